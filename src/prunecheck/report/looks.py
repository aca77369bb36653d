"""What is said of looks at growing numbers of seeds."""

from collections.abc import Callable, Sequence

from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.looks import error_over_looks
from prunecheck.analysis.statistics import LEVEL
from prunecheck.pruning.mask_files import are_masks_by_seed
from prunecheck.report.cells import numbers_text
from prunecheck.report.reading import joined
from prunecheck.studies.looks import USUAL_LOOKS, Look


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
    """Say what the looks so far cost; empty if there was only one, or one series whose level was divided."""
    if answer.question.sequential:
        return _continued(answer) if answer.looks else ""
    if answer.sequential_looks:
        return _fixed_after_looks(answer)
    looks = _that_decide(answer.looks)
    if len(looks) < 2:
        return ""
    unit = _unit(answer)
    return (
        f"This was looked at with {numbers_text(looks)} {unit}: {_cost(_fixed(looks))} A verdict that a first look "
        f"left undecided is worth less than one of a fixed number of {unit}."
    )


def _continued(answer: Conclusion) -> str:
    """Say what it costs that seeds are added now after answers of a fixed number of them were shown."""
    looks = _both(answer.looks, answer.question.looks)
    return (
        f"Before these looks this was answered with {numbers_text(answer.looks)} {_unit(answer)}, fixed beforehand, "
        f"and such an answer has {100 * LEVEL:g} % of its own. Taking whichever verdict falls first, {_cost(looks)} "
        "The verdicts above do not depend on the earlier answers: quoted whatever those said, they keep their "
        f"{100 * LEVEL:g} %."
    )


def _fixed_after_looks(answer: Conclusion) -> str:
    looks = _both(answer.looks, USUAL_LOOKS.up_to(answer.sequential_looks))
    return (
        f"{_unit(answer).capitalize()} were also added, up to {answer.sequential_looks}, until this was decided, and "
        f"those looks have {100 * LEVEL:g} % of their own. Taking whichever verdict falls first, {_cost(looks)}"
    )


def _another_look(answer: Conclusion) -> str:
    needed = answer.most_seeds_needed
    if answer.missing:
        count = len(answer.missing)
        lacking = "1 run has" if count == 1 else f"{count} runs have"
        return f"The next look is not whole: {lacking} no result yet; the command that began goes on when called again."
    if needed is None:
        return ""
    if any(map(are_masks_by_seed, (answer.question.method, answer.question.baseline or ""))):
        return (
            f"If the differences stay as they are, about {needed} masks decide what can be decided: more seeds need "
            "more files, and one more file makes other runs, so make them all before you ask anew."
        )
    if answer.question.sequential:
        return (
            f"If the differences stay as they are, a look at {needed} {_unit(answer)} decides what can be decided. To "
            "allow as many now adds nothing to the errors: what later looks may spend was set aside before the first "
            "run."
        )
    looks, unit = _that_decide(sorted({*answer.looks, len(answer.question.seeds), needed})), _unit(answer)
    if len(looks) < 2:
        return ""
    return (
        f"Adding {unit} because this is undecided is another look: with looks at {numbers_text(looks)} {unit}, "
        f"{_cost(_fixed(looks))} For a verdict of full worth fix the number of {unit} beforehand (prunecheck seeds), "
        "or take fresh ones."
    )


def _unit(answer: Conclusion) -> str:
    """Return what there are more and more of, in the plural."""
    return f"{answer.question.paired_by}s"


def _that_decide(numbers: Sequence[int]) -> tuple[int, ...]:
    """Return the looks that could have given a verdict: one with a single seed has no deviation to test with."""
    return tuple(seeds for seeds in numbers if seeds > 1)


def _fixed(numbers: Sequence[int]) -> tuple[Look, ...]:
    """Return looks each of which takes the whole level."""
    return tuple(Look(seeds, 1.0) for seeds in numbers)


def _both(numbers: Sequence[int], looks: Sequence[Look]) -> tuple[Look, ...]:
    return tuple(sorted((*_fixed(numbers), *looks), key=lambda look: look.seeds))


def _cost(looks: tuple[Look, ...]) -> str:
    testing = tuple(look for look in looks if look.seeds > 1)
    error = error_over_looks(testing) if len(testing) > 1 else LEVEL
    return (
        f"about {100 * error:.0f} % of verdicts about a true difference of just the margin are wrong, and not "
        f"{100 * LEVEL:g} %."
    )
