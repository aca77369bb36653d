"""The verdicts of many comparisons at a glance: a sign for each method, change and sparsity."""

from collections.abc import Sequence

from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.verdicts import Verdict
from prunecheck.report.contents import AnsweredSetting, ReportContents
from prunecheck.report.table import RowGroup, Table, VerdictCell, numbers, words
from prunecheck.runs.sparsities import sparsity_text

KIND = "matrix"
"""The class of such tables in the page's style sheet."""

COLLAPSED_SIGN = "✕"
"""In tables, where the sign of ``undecided`` would be the same."""


def verdict_matrix(contents: ReportContents) -> Table | None:
    """Return a table of signs: a group for each question, a row for each change, a column for each sparsity.

    Sparsities that look alike, such as those of a mask and of a method, have one column unless one question has both.

    None where nothing is compared.
    """
    answers = list(contents.answers())
    if not answers:
        return None
    sparsities: dict[str, float] = {}
    for _, answer in answers:
        for sparsity in dict.fromkeys(one.sparsity for one in answer.comparisons):
            sparsities.setdefault(sparsity_text(sparsity, answer.question.sparsities), sparsity)
    shown = sorted(sparsities, key=lambda text: sparsities[text])
    several = len(contents.settings) > 1, len(contents.margins) > 1
    groups = [RowGroup(tuple(_rows(answer, shown)), _title(setting, answer, *several)) for setting, answer in answers]
    found = {one.verdict for _, answer in answers for one in answer.comparisons}
    legend = "; ".join(f"{sign_of(verdict)} {verdict}" for verdict in Verdict if verdict in found)
    columns = (*words("sparsity"), *numbers(*shown))
    return Table("Verdicts at a glance", columns, tuple(groups), (f"{legend}.",), kind=KIND)


def sign_of(verdict: Verdict) -> str:
    """Return the sign of a verdict in tables."""
    return COLLAPSED_SIGN if verdict is Verdict.COLLAPSED else verdict.glyph


def _title(setting: AnsweredSetting, answer: Conclusion, several_settings: bool, several_margins: bool) -> str:
    parts = [answer.question.method]
    if several_settings:
        parts.append(setting.title)
    if several_margins:
        parts.append(f"margin {answer.question.quantity.amount(answer.question.margin.amount)}")
    return ", ".join(parts)


def _rows(answer: Conclusion, shown: Sequence[str]) -> list[tuple[str, ...]]:
    texts = {sparsity: sparsity_text(sparsity, answer.question.sparsities) for sparsity in answer.question.sparsities}
    verdicts = {(one.against, texts[one.sparsity]): one.verdict for one in answer.comparisons}
    names = dict.fromkeys(one.against for one in answer.comparisons)
    return [(name, *(_cell(verdicts.get((name, text))) for text in shown)) for name in names]


def _cell(verdict: Verdict | None) -> str:
    return "" if verdict is None else VerdictCell(sign_of(verdict), verdict)
