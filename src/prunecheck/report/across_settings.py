"""A method in several settings: a table of verdicts with one row for each, and a sentence that says what follows."""

from collections.abc import Sequence
from typing import Any

from prunecheck.analysis.across_settings import AcrossSettings, Dependence, MethodAcrossSettings
from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.verdicts import Verdict
from prunecheck.checks import find_check
from prunecheck.pruning.mask_files import are_masks_by_seed
from prunecheck.report.cells import family_text, summary_text
from prunecheck.report.contents import setting_titles
from prunecheck.report.reading import joined
from prunecheck.report.table import Row, RowGroup, Table, VerdictCell, numbers, words
from prunecheck.runs.sparsities import sparsity_text
from prunecheck.runs.spec import Setting
from prunecheck.studies.question import Scope, what_pairs
from prunecheck.training.named_recipes import recipe_name

MOST_TOLD = 3
"""So many comparisons are told in a sentence."""

NOT_ASKED = "not asked"


def settings_in_words(settings: Sequence[Setting]) -> list[str]:
    """Return what tells settings from each other, in as few words as do."""
    parts = [
        [one.data for one in settings],
        [one.network for one in settings],
        [recipe_name(one.recipe) for one in settings],
        [f"{one.recipe.epochs} epochs" for one in settings],
    ]
    telling = [names for names in parts if len(set(names)) > 1]
    found = [" / ".join(names) for names in zip(*telling, strict=True)] if telling else []
    return found if len(set(found)) == len(settings) else setting_titles(settings)


def across_table(across: MethodAcrossSettings) -> Table:
    """Return the verdicts about a method: one row for each setting, a column for each comparison."""
    names = list(dict.fromkeys(one.against for one in across.comparisons))
    titles = settings_in_words(across.settings)
    groups = []
    for sparsity in dict.fromkeys(one.sparsity for one in across.comparisons):
        by_name = {one.against: one for one in across.comparisons if one.sparsity == sparsity}
        rows = [
            _row(title, answer, sparsity, index, [by_name.get(name) for name in names])
            for index, (title, answer) in enumerate(zip(titles, across.answers, strict=True))
        ]
        at = sparsity_text(sparsity, (one.sparsity for one in across.comparisons))
        groups.append(RowGroup(tuple(rows), f"sparsity {at}"))
    columns = (*words(" and ".join(across.varied)), *numbers("dense", across.method), *words(*names))
    return Table(f"{across.method} in {len(titles)} settings", columns, tuple(groups), (_family_note(across.answers),))


def _row(title: str, answer: Conclusion, sparsity: float, index: int, compared: Sequence[AcrossSettings | None]) -> Row:
    quantity, own = answer.question.quantity, answer.found.own.get(sparsity)
    cells = []
    for one in compared:
        comparison = one.comparisons[index] if one else None
        cells.append(VerdictCell(comparison.verdict.value, comparison.verdict) if comparison else NOT_ASKED)
    return title, summary_text(answer.dense, quantity), summary_text(own, quantity) if own else "-", *cells


def _family_note(answers: Sequence[Conclusion]) -> str:
    families = {answer.family for answer in answers}
    if len(families) == 1 and answers[0].family.scope is Scope.REPORT:
        return f"verdicts: {family_text(answers[0].family)}"
    return "verdicts: 5 % over the comparisons of each setting by itself (Holm), not over all of them together"


def across_sentence(across: MethodAcrossSettings) -> str:
    """Say whether the verdicts about a method hang on what its settings differ in."""
    varied = f"the {joined(across.varied, 'and')}"
    titles = settings_in_words(across.settings)
    count, sparsities = len(across.comparisons), [one.sparsity for one in across.comparisons]
    same, undecided = across.of_kind(Dependence.SAME), across.of_kind(Dependence.UNDECIDED)
    verdicts = "The verdict" if count == 1 else "The verdicts"
    if depending := across.of_kind(Dependence.DEPENDS):
        told = "; ".join(_told(one, across.method, titles, sparsities) for one in depending[:MOST_TOLD])
        rest = f" ({len(depending)} of {count} comparisons do)" if len(depending) > MOST_TOLD else ""
        verb = "hangs" if count == 1 else "hang"
        return f"{verdicts} about {across.method} {verb} on {varied}: {told}{rest}."
    everywhere = joined(titles, "and")
    if not undecided:
        verb, which = ("does", "it is") if count == 1 else ("do", f"all {count} are")
        return f"{verdicts} about {across.method} {verb} not hang on {varied}: {which} the same with {everywhere}."
    verb = "verdict" if count == 1 else "verdicts"
    hang = "hangs" if count == 1 else "hang"
    more = max((one.seeds_needed or 0 for of_one in undecided for one in of_one.comparisons if one), default=0)
    unit = what_pairs(answer.question for answer in across.answers)
    seeds = f"; about {more} {'mask' if are_masks_by_seed(across.method) else unit}s would decide" if more else ""
    return (
        f"Whether the {verb} about {across.method} {hang} on {varied} is not decided: {len(same)} of {count} "
        f"{'is' if len(same) == 1 else 'are'} the same with {everywhere}, and {len(undecided)} "
        f"{'is' if len(undecided) == 1 else 'are'} not decided with all of them{seeds}."
    )


def _told(one: AcrossSettings, method: str, titles: Sequence[str], sparsities: Sequence[float]) -> str:
    """Say of a comparison with which settings it has which verdict."""
    by_verdict: dict[Verdict, list[str]] = {}
    for title, comparison in zip(titles, one.comparisons, strict=True):
        if comparison:
            by_verdict.setdefault(comparison.verdict, []).append(title)
    is_check = any(comparison.is_check for comparison in one.comparisons if comparison)
    about = find_check(one.against).information if is_check else f"{one.against} tickets"
    clauses = [
        f"{_verdict_in_words(verdict, about)} with {joined(by_verdict[verdict], 'and')}" for verdict in by_verdict
    ]
    return f"at sparsity {sparsity_text(one.sparsity, sparsities)} {method} {joined(clauses, 'and')}"


def _verdict_in_words(verdict: Verdict, about: str) -> str:
    return {
        Verdict.USES: f"uses {about}",
        Verdict.DOES_NOT_USE: f"does not use {about}",
        Verdict.BETTER: f"is better than {about}",
        Verdict.EQUIVALENT: f"is equivalent to {about}",
        Verdict.WORSE: f"is worse than {about}",
        Verdict.UNDECIDED: f"is undecided about {about}",
        Verdict.COLLAPSED: f"lost tickets to collapse beside {about}",
    }[verdict]


def across_json(across: MethodAcrossSettings) -> dict[str, Any]:
    """Return what several settings show about a method, as JSON holds it."""
    titles = settings_in_words(across.settings)
    return {
        "method": across.method,
        "varied": list(across.varied),
        "settings": titles,
        "depends_on_the_setting": {Dependence.DEPENDS: True, Dependence.SAME: False}.get(across.dependence),
        "sentence": across_sentence(across),
        "comparisons": [
            {
                "sparsity": one.sparsity,
                "against": one.against,
                "verdicts": {
                    title: comparison.verdict if comparison else None
                    for title, comparison in zip(titles, one.comparisons, strict=True)
                },
                "together": one.dependence,
            }
            for one in across.comparisons
        ],
    }
