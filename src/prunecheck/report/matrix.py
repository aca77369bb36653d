"""The verdicts of many comparisons at a glance: a sign for each method, change and sparsity."""

from collections.abc import Sequence

from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.verdicts import Verdict
from prunecheck.report.contents import AnsweredSetting, ReportContents
from prunecheck.report.table import RowGroup, Table, VerdictCell, numbers, words

KIND = "matrix"
"""The class of such tables in the page's style sheet."""

COLLAPSED_SIGN = "✕"
"""In tables, where the sign of ``undecided`` would be the same."""


def verdict_matrix(contents: ReportContents) -> Table | None:
    """Return a table of signs: a group for each question, a row for each change, a column for each sparsity.

    None where nothing is compared.
    """
    answers = list(contents.answers())
    if not answers:
        return None
    sparsities = sorted({one.sparsity for _, answer in answers for one in answer.comparisons})
    several = len(contents.settings) > 1, len(contents.margins) > 1
    groups = [
        RowGroup(tuple(_rows(answer, sparsities)), _title(setting, answer, *several)) for setting, answer in answers
    ]
    found = {one.verdict for _, answer in answers for one in answer.comparisons}
    legend = "; ".join(f"{sign_of(verdict)} {verdict}" for verdict in Verdict if verdict in found)
    columns = (*words("sparsity"), *numbers(*(f"{sparsity:g}" for sparsity in sparsities)))
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


def _rows(answer: Conclusion, sparsities: Sequence[float]) -> list[tuple[str, ...]]:
    verdicts = {(one.against, one.sparsity): one.verdict for one in answer.comparisons}
    names = dict.fromkeys(one.against for one in answer.comparisons)
    return [(name, *(_cell(verdicts.get((name, sparsity))) for sparsity in sparsities)) for name in names]


def _cell(verdict: Verdict | None) -> str:
    return "" if verdict is None else VerdictCell(sign_of(verdict), verdict)
