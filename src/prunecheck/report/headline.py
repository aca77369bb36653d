"""The answer in two sentences."""

from collections import Counter
from collections.abc import Mapping, Sequence

from prunecheck.analysis.comparison import Comparison
from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.verdicts import Verdict
from prunecheck.checks import find_check
from prunecheck.checks.registry import JOINT, SHARE
from prunecheck.report.reading import joined

MOST_NAMES = 4
"""So many methods are named in a sentence."""


def headline(answers: Sequence[Conclusion]) -> tuple[str, str]:
    """Return the answer in two sentences: about what the methods use, and about the baseline."""
    if not answers:
        return (
            "These runs compare nothing.",
            "Verdicts need a method's tickets beside changed ones (checks), or beside random ones (a baseline).",
        )
    if len(answers) == 1:
        return _about_one(answers[0])
    margins = {answer.question.margin for answer in answers}
    points = f"{min(margins):g} points" if len(margins) == 1 else "the margin"
    return _about_checks(answers, points), _about_baselines(answers, points)


def _about_one(answer: Conclusion) -> tuple[str, str]:
    dense = answer.dense
    if answer.dense_at_chance:
        how = "could not be trained" if dense.accuracy is None else f"learned nothing ({dense.accuracy:.1f} %)"
        return (
            f"These runs decide nothing, for the dense network itself {how}.",
            "Change the recipe: a change that costs nothing then shows nothing.",
        )
    return _uses(answer), _beside_baseline(answer)


def _uses(answer: Conclusion) -> str:
    name = answer.question.method
    clauses: list[str] = []
    for verdict, clause in (
        (Verdict.USES, "{subject} uses {what}"),
        (Verdict.DOES_NOT_USE, "{subject} does not use {what}"),
        (Verdict.UNDECIDED, "whether {subject} uses {what} is not decided"),
        (Verdict.COLLAPSED, "whether {subject} uses {what} cannot be told, for too many tickets collapsed"),
    ):
        found = [comparison for comparison in answer.checks if comparison.verdict == verdict]
        if found:
            what = _information(answer, found, "and" if verdict is Verdict.USES else "or")
            clauses.append(clause.format(subject="it" if clauses else name, what=what))
    if not clauses:
        return f"Nothing was changed in the tickets of {name}, so that nothing is known of what it uses."
    starts_with_name = any(one.verdict in (Verdict.USES, Verdict.DOES_NOT_USE) for one in answer.checks)
    # A method's name is written as it is, even where a sentence begins.
    return _sentence(clauses, as_it_is=starts_with_name)


def _beside_baseline(answer: Conclusion) -> str:
    margin = answer.question.margin
    if not answer.baselines:
        count = len(answer.checks)
        return (
            f"{'This verdict rests' if count == 1 else f'These {count} verdicts rest'} on pairs of "
            f"{len(answer.question.seeds)} seeds and a margin of {margin:g} points; no baseline was trained."
        )
    others = answer.baselines[0].against
    clauses = []
    for verdict, clause in (
        (Verdict.EQUIVALENT, f"its tickets do as well as those of {others}, within {margin:g} points, {{at}}"),
        (Verdict.BETTER, f"its tickets beat those of {others} by more than {margin:g} points {{at}}"),
        (Verdict.WORSE, f"those of {others} beat its tickets by more than {margin:g} points {{at}}"),
        (Verdict.UNDECIDED, f"whether its tickets beat those of {others} is not decided {{at}}"),
        (Verdict.COLLAPSED, f"too many tickets collapsed to compare them with those of {others} {{at}}"),
    ):
        found = [comparison.sparsity for comparison in answer.baselines if comparison.verdict == verdict]
        if found:
            clauses.append(clause.format(at=f"at sparsity {joined([f'{sparsity:g}' for sparsity in found], 'and')}"))
    return _sentence(clauses)


def _information(answer: Conclusion, found: Sequence[Comparison], word: str) -> str:
    """Name what was taken away; the shares and sparsities too, where others of them have another verdict."""
    phrases = []
    for base in dict.fromkeys(_base(comparison.against) for comparison in found):
        of_base = [comparison for comparison in answer.checks if _base(comparison.against) == base]
        here = [comparison for comparison in found if _base(comparison.against) == base]
        phrase = find_check(base).information
        if len(here) < len(of_base):
            phrase += f" ({_which(here, of_base)})"
        phrases.append(phrase)
    return joined(phrases, word)


def _base(check: str) -> str:
    """Return a check's name without shares."""
    return JOINT.join(part.partition(SHARE)[0] for part in check.split(JOINT))


def _which(here: Sequence[Comparison], of_base: Sequence[Comparison]) -> str:
    """Say which of a check's comparisons are meant."""
    parts = []
    for sparsity in dict.fromkeys(comparison.sparsity for comparison in here):
        checks = [comparison.against for comparison in here if comparison.sparsity == sparsity]
        every = [comparison.against for comparison in of_base if comparison.sparsity == sparsity]
        shares = "" if len(checks) == len(every) else f"{joined(checks, 'and')} "
        parts.append(f"{shares}at sparsity {sparsity:g}")
    return joined(parts, "and")


def _about_checks(answers: Sequence[Conclusion], points: str) -> str:
    verdicts = Counter(comparison.verdict for answer in answers for comparison in answer.checks)
    total = sum(verdicts.values())
    methods = list(dict.fromkeys(answer.question.method for answer in answers))
    names = joined(methods, "and") if len(methods) <= MOST_NAMES else f"{len(methods)} methods"
    if not total:
        return f"Nothing was changed in the tickets of {names}, so that nothing is known of what they use."
    words = {
        Verdict.USES: ("cost", f"more than {points} of accuracy"),
        Verdict.DOES_NOT_USE: (
            "cost",
            "less" if verdicts[Verdict.USES] else f"less than {points} of accuracy",
        ),
        Verdict.UNDECIDED: ("are", "not decided"),
        Verdict.COLLAPSED: ("are", "beyond telling, for tickets collapsed"),
    }
    changes = "1 change" if total == 1 else f"{total} changes"
    return f"Of {changes} to the tickets of {names}, {_counted(verdicts, words)}."


def _counted(verdicts: Counter[Verdict], words: Mapping[Verdict, tuple[str, str]]) -> str:
    """Say how many have each verdict, with a verb that agrees."""
    singular = {"cost": "costs", "are": "is", "do": "does", "were": "was"}
    told = []
    for verdict, (verb, rest) in words.items():
        if count := verdicts[verdict]:
            told.append(f"{count} {singular[verb] if count == 1 else verb} {rest}")
    return joined(told, "and")


def _about_baselines(answers: Sequence[Conclusion], points: str) -> str:
    baselines = [comparison for answer in answers for comparison in answer.baselines]
    if not baselines:
        return "No baseline was trained beside them."
    verdicts = Counter(comparison.verdict for comparison in baselines)
    words = {
        Verdict.EQUIVALENT: ("do", f"as well within {points}"),
        Verdict.BETTER: ("are", f"better by more than {points}"),
        Verdict.WORSE: ("are", f"worse by more than {points}"),
        Verdict.UNDECIDED: ("are", "not decided"),
        Verdict.COLLAPSED: ("were", "lost to collapsed tickets"),
    }
    others = joined(list(dict.fromkeys(comparison.against for comparison in baselines)), "or")
    count = "1 comparison" if len(baselines) == 1 else f"{len(baselines)} comparisons"
    return f"Of {count} with tickets of {others}, {_counted(verdicts, words)}."


def _sentence(clauses: Sequence[str], *, as_it_is: bool = False) -> str:
    text = "; ".join(clauses)
    return f"{text if as_it_is else text[:1].upper() + text[1:]}."
