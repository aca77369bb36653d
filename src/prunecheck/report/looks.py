"""What is said of looks at growing numbers of seeds."""

from collections.abc import Callable, Sequence

from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.looks import error_over_looks
from prunecheck.analysis.statistics import LEVEL
from prunecheck.report.reading import joined


def looks_text(answer: Conclusion) -> str:
    """Say what the looks so far cost, and what another one would; empty if there is nothing to say."""
    return " ".join(filter(None, (looks_so_far(answer), _another_look(answer))))


def named_looks(answers: Sequence[Conclusion], text_of: Callable[[Conclusion], str]) -> list[str]:
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


def looks_so_far(answer: Conclusion) -> str:
    """Say what the looks so far cost; empty if there was only one."""
    looks = answer.looks
    if len(looks) < 2:
        return ""
    numbers = f"{', '.join(map(str, looks[:-1]))} and {looks[-1]}"
    sentence = f"This was looked at with {numbers} seeds: {_cost(looks)}"
    return f"{sentence} A verdict that a first look left undecided is worth less than one of a fixed number of seeds."


def _another_look(answer: Conclusion) -> str:
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
