"""What looking at verdicts with growing numbers of seeds costs: how often they are then wrong."""

import functools
from collections.abc import Iterable
from dataclasses import replace

from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.statistics import LEVEL, t_quantile
from prunecheck.studies.looks import Look
from prunecheck.studies.question_log import LoggedQuestion, looks_at, sequential_looks_at

DRAWS = 2_000_000
"""Differences that are drawn for an estimate: a fraction of a second, and half a point of the result."""

MOST_REPETITIONS = 40_000


def with_looks(answers: Iterable[Conclusion], logged: Iterable[LoggedQuestion]) -> list[Conclusion]:
    """Return answers with the looks that were taken at what they compare."""
    listed = list(logged)
    return [
        replace(
            answer,
            looks=looks_at(answer.question, listed),
            sequential_looks=sequential_looks_at(answer.question, listed),
        )
        for answer in answers
    ]


def with_terms(answers: Iterable[Conclusion], asked: Iterable[LoggedQuestion | None]) -> list[Conclusion]:
    """Return answers with the terms that their questions were asked under, and those of what had been shown before.

    Args:
        answers: in any order.
        asked: what was noted of the question of each; None for nothing.
    """
    return [
        replace(answer, asked=entry.terms, shown_before=entry.shown_before) if entry else answer
        for answer, entry in zip(answers, asked, strict=True)
    ]


@functools.cache
def error_over_looks(looks: tuple[Look, ...]) -> float:
    """Return how often one comparison is decided wrongly if one looks until it is decided.

    By simulation, of normally distributed differences whose mean is just at the margin, with the t test at each look
    at what that may spend of its level.

    Args:
        looks: with growing numbers of seeds, or the same again; the first with 2 at least.
    """
    import numpy

    draws = numpy.random.default_rng(0)
    most = looks[-1].seeds
    repetitions = max(min(MOST_REPETITIONS, DRAWS // most), 100)
    values = draws.standard_normal((repetitions, most))
    undecided = numpy.ones(repetitions, dtype=bool)
    wrong = 0
    for look in looks:
        n = look.seeds
        seen = values[:, :n]
        statistic = seen.mean(axis=1) / (seen.std(axis=1, ddof=1) / n**0.5)
        bound = t_quantile(n - 1, 1 - LEVEL * look.share)
        wrong += int((undecided & (statistic > bound)).sum())
        undecided &= numpy.abs(statistic) <= bound
    return wrong / repetitions
