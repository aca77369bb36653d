"""A study's answer in a few sentences."""

from collections.abc import Iterable, Sequence

from prunecheck.analysis.comparison import Comparison
from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.verdicts import Verdict
from prunecheck.checks import find_check

FEW_SEEDS = 3


def reading(answer: Conclusion) -> str:
    """Say what the verdicts mean: which information the method uses, and whether it beats random tickets."""
    if not answer.comparisons:
        return "Nothing is compared here: verdicts need checks or a baseline."
    sentences = [*_about_chance(answer), *_about_checks(answer), *_about_baseline(answer), *_about_losses(answer)]
    if len(answer.question.seeds) <= FEW_SEEDS:
        count = len(answer.question.seeds)
        sentences.append("One seed cannot decide anything." if count == 1 else f"{count} seeds seldom decide anything.")
    return " ".join(sentences)


def _about_chance(answer: Conclusion) -> Iterable[str]:
    dense, chance = answer.dense, f"guessing gives {answer.chance:.1f} %"
    consequence = "so that a change that costs nothing shows nothing: change the recipe."
    if answer.dense_at_chance and dense.accuracy is None:
        yield f"The dense network itself could not be trained, {consequence}"
    elif answer.dense_at_chance:
        yield f"The dense network itself learned nothing ({dense.accuracy:.1f} %; {chance}), {consequence}"
    elif at_chance := list(dict.fromkeys(c.sparsity for c in answer.comparisons if c.at_chance)):
        name = answer.question.method
        yield f"The tickets of {name} learned nothing at {_at(at_chance)} ({chance}): choose a lower sparsity."


def _about_checks(answer: Conclusion) -> Iterable[str]:
    name, margin = answer.question.method, answer.question.margin
    for verdict, sentence in (
        (Verdict.USES, "{name} depends on {what}: such a change costs more than {margin:g} points."),
        (
            Verdict.DOES_NOT_USE,
            "{name} does not depend on {what}: such a change costs less than {margin:g} points.",
        ),
        (Verdict.UNDECIDED, "Whether {name} depends on {what}, these runs do not decide."),
        (Verdict.COLLAPSED, "Whether {name} depends on {what} cannot be told: too many tickets collapsed."),
    ):
        found = [comparison for comparison in answer.checks if comparison.verdict == verdict]
        if found:
            yield sentence.format(name=name, what=_information(answer, found), margin=margin)


def _information(answer: Conclusion, found: Sequence[Comparison]) -> str:
    """Name what was taken away, with the sparsities unless it is all of them."""
    parts = []
    for check in dict.fromkeys(comparison.against for comparison in found):
        sparsities = [comparison.sparsity for comparison in found if comparison.against == check]
        where = "" if len(sparsities) == len(answer.question.sparsities) else f" (at {_at(sparsities)})"
        parts.append(f"{find_check(check).information}{where}")
    first, *others = parts
    word = "and" if found[0].verdict is Verdict.USES else "or"
    return joined([first, *(f"on {other}" for other in others)], word)


def _about_baseline(answer: Conclusion) -> Iterable[str]:
    margin, baseline = answer.question.margin, answer.question.baseline
    if baseline is None:
        return
    known = {"random-smart": "random tickets with smart ratios"}
    others = known.get(baseline, f"{baseline} tickets")
    for verdict, sentence in (
        (Verdict.EQUIVALENT, "Its tickets do as well as {others}, within {margin:g} points, at {at}."),
        (Verdict.BETTER, "Its tickets beat {others} by more than {margin:g} points at {at}."),
        (Verdict.WORSE, "{Others} beat its tickets by more than {margin:g} points at {at}."),
        (Verdict.UNDECIDED, "Whether its tickets beat {others} is not decided at {at}."),
        (Verdict.COLLAPSED, "Too many tickets collapsed to compare them with {others} at {at}."),
    ):
        sparsities = [comparison.sparsity for comparison in answer.baselines if comparison.verdict == verdict]
        if sparsities:
            first_upper = others[0].upper() + others[1:]
            yield sentence.format(margin=margin, others=others, Others=first_upper, at=_at(sparsities))


def _about_losses(answer: Conclusion) -> Iterable[str]:
    if any(one.is_of_survivors and one.verdict is Verdict.UNDECIDED for one in answer.comparisons):
        yield (
            "Where tickets collapsed or diverged on one side only, that is evidence about the change, and those that "
            "are left do not show that nothing is lost."
        )


def _at(sparsities: Sequence[float]) -> str:
    return f"sparsity {joined([f'{sparsity:g}' for sparsity in sparsities], 'and')}"


def joined(parts: Sequence[str], word: str) -> str:
    """Return parts as a list in words: ``a, b and c``."""
    if len(parts) == 1:
        return parts[0]
    return f"{', '.join(parts[:-1])} {word} {parts[-1]}"
