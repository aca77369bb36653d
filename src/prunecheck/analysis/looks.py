"""What looking at verdicts with growing numbers of seeds costs."""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from prunecheck.analysis.families import Answer
from prunecheck.analysis.reading import joined
from prunecheck.analysis.statistics import LEVEL, t_quantile
from prunecheck.studies.question_log import LoggedQuestion, looks_at

DRAWS = 2_000_000
"""Differences that are drawn for an estimate: a fraction of a second, and half a point of the result."""

MOST_REPETITIONS = 40_000


def with_looks(answers: Iterable[Answer], logged: Iterable[LoggedQuestion]) -> list[Answer]:
    """Return answers with the looks that were taken at what they compare."""
    listed = list(logged)
    return [replace(answer, looks=looks_at(answer.question, listed)) for answer in answers]


@functools.cache
def error_over_looks(looks: tuple[int, ...]) -> float:
    """Return how often one comparison is decided wrongly if one looks until it is decided.

    By simulation, of normally distributed differences whose mean is just at the margin, with the t test at its level
    at each look.

    Args:
        looks: numbers of seeds, from small to large, the first at least 2.
    """
    import numpy

    draws = numpy.random.default_rng(0)
    repetitions = max(min(MOST_REPETITIONS, DRAWS // looks[-1]), 100)
    values = draws.standard_normal((repetitions, looks[-1]))
    undecided = numpy.ones(repetitions, dtype=bool)
    wrong = 0
    for n in looks:
        seen = values[:, :n]
        statistic = seen.mean(axis=1) / (seen.std(axis=1, ddof=1) / n**0.5)
        bound = t_quantile(n - 1, 1 - LEVEL)
        wrong += int((undecided & (statistic > bound)).sum())
        undecided &= numpy.abs(statistic) <= bound
    return wrong / repetitions


def looks_text(answer: Answer) -> str:
    """Say what the looks so far cost, and what another one would; empty if there is nothing to say."""
    return " ".join(filter(None, (looks_so_far(answer), _another_look(answer))))


def named_looks(answers: Sequence[Answer], text_of: Callable[[Answer], str]) -> list[str]:
    """Return what is to be said of answers' looks, each text once, with the methods that it is about.

    Args:
        answers: to any questions.
        text_of: :func:`looks_text` or :func:`looks_so_far`.
    """
    methods: dict[str, list[str]] = {}
    for answer in answers:
        methods.setdefault(text_of(answer), []).append(answer.question.method)
    methods.pop("", None)
    if len(answers) == 1:
        return list(methods)
    return [f"{joined(list(dict.fromkeys(names)), 'and')}: {text}" for text, names in methods.items()]


def looks_so_far(answer: Answer) -> str:
    """Say what the looks so far cost; empty if there was only one."""
    looks = answer.looks
    if len(looks) < 2:
        return ""
    numbers = f"{', '.join(map(str, looks[:-1]))} and {looks[-1]}"
    sentence = f"This was looked at with {numbers} seeds: {_cost(looks)}"
    return f"{sentence} A verdict that a first look left undecided is worth less than one of a fixed number of seeds."


def _another_look(answer: Answer) -> str:
    needed = answer.most_seeds_needed
    if needed is None:
        return ""
    looks = tuple(sorted({*answer.looks, len(answer.question.seeds), needed}))
    return (
        f"Adding seeds because this is undecided is another look: with looks at {', '.join(map(str, looks[:-1]))} and "
        f"{looks[-1]} seeds, {_cost(looks)} For a verdict of full worth fix the number of seeds beforehand "
        "(prunecheck seeds), or take fresh ones."
    )


def _cost(looks: tuple[int, ...]) -> str:
    testing = tuple(look for look in looks if look > 1)  # one seed decides nothing
    error = error_over_looks(testing) if len(testing) > 1 else LEVEL
    return (
        f"about {100 * error:.0f} % of verdicts about a true difference of just the margin are wrong, and not "
        f"{100 * LEVEL:g} %."
    )
