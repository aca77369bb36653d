"""A conclusion as a table, in each form in which it is shown."""

from collections.abc import Iterator

from prunecheck.analysis.comparison import Comparison
from prunecheck.analysis.families import Conclusion
from prunecheck.report.cells import (
    difference_meaning,
    difference_text,
    family_text,
    in_unit,
    lost_text,
    p_text,
    seeds_text,
    summary_text,
    verdict_text,
)
from prunecheck.report.formats.html import html_by_itself
from prunecheck.report.formats.latex import latex
from prunecheck.report.formats.markdown import markdown
from prunecheck.report.table import Row, RowGroup, Table, VerdictCell, numbers, words
from prunecheck.runs.sparsities import sparsity_text


def answer_table(answer: Conclusion) -> Table:
    """Return the table that ``prunecheck check`` prints: values and, where tickets are compared, the verdicts."""
    return _table(answer, with_p=False)


def answer_html(answer: Conclusion) -> str:
    """Return a conclusion as an HTML table for notebooks, with the p values; it needs no style sheet."""
    return html_by_itself(_table(answer, with_p=True))


def answer_latex(answer: Conclusion) -> str:
    """Return a conclusion as a LaTeX table for the package booktabs, with the p values."""
    return latex([_table(answer, with_p=True)], f"prunecheck: {_title(answer)}")


def answer_markdown(answer: Conclusion) -> str:
    """Return a conclusion as a Markdown table, with the p values."""
    return markdown([_table(answer, with_p=True)])


def _table(answer: Conclusion, with_p: bool) -> Table:
    compared, quantity = bool(answer.comparisons), answer.question.quantity
    more = [heading for heading, _ in _more_cells(answer, None, with_p)]
    width = 3 + len(more)
    if compared:
        columns = (
            *words("tickets"),
            *numbers(quantity.name, "difference", "95 % interval", *more),
            *words("verdict"),
        )
    else:
        lost = "not tested" if answer.question.is_after_training else "not trained"
        columns, width = (*words("tickets"), *numbers(quantity.name), *words(lost)), 1
    blank: Row = ("",) * (width - 1)
    groups = [RowGroup((("dense", summary_text(answer.dense, quantity), *blank, lost_text(answer.dense)),))]
    for sparsity in answer.question.sparsities:
        own = answer.found.own[sparsity]
        rows: list[Row] = [(answer.question.method, summary_text(own, quantity), *blank, lost_text(own))]
        rows += [_row(one, answer, with_p) for one in answer.comparisons if one.sparsity == sparsity]
        groups.append(RowGroup(tuple(rows), f"sparsity {sparsity_text(sparsity, answer.question.sparsities)}"))
    return Table(_title(answer), columns, tuple(groups), (_note(answer, with_p),))


def _row(comparison: Comparison, answer: Conclusion, with_p: bool) -> Row:
    return (
        comparison.against,
        summary_text(comparison.other, comparison.quantity),
        *difference_text(comparison.difference, comparison.quantity),
        *(cell for _, cell in _more_cells(answer, comparison, with_p)),
        VerdictCell(verdict_text(comparison, answer.dense_at_chance), comparison.verdict),
    )


def _more_cells(answer: Conclusion, comparison: Comparison | None, with_p: bool) -> Iterator[tuple[str, str]]:
    """Yield headings and cells of the columns that not every table has; without a comparison, the headings alone."""
    if with_p:
        yield "p", p_text(comparison) if comparison else ""
        yield "pairs", str(len(comparison.pairs)) if comparison else ""
    if answer.question.sequential:
        yield f"{answer.question.paired_by}s", str(comparison.look.seeds) if comparison and comparison.look else ""


def _title(answer: Conclusion) -> str:
    return f"{answer.question.method} on {answer.question.setting}, {seeds_text(answer)}"


def _note(answer: Conclusion, with_p: bool) -> str:
    quantity, method, unit = answer.question.quantity, answer.question.method, answer.question.paired_by
    values = f"{quantity}, mean and standard deviation over the {unit}s"
    if not answer.comparisons:
        return values
    return (
        f"{values}; difference: {difference_meaning(quantity, method, 'the changed tickets')}"
        f"{in_unit(quantity) if quantity.has_relative_differences else ''}, paired by {unit}; "
        f"verdicts: one-sided t tests against the margin of {quantity.amount(answer.question.margin.amount)}, "
        f"{family_text(answer.family, unit)}{'; p: adjusted within this family' if with_p else ''}"
        f"{_note_on_looks(answer)}"
    )


def _note_on_looks(answer: Conclusion) -> str:
    if answer.question.sequential is None:
        return ""
    units = f"{answer.question.paired_by}s"
    return (
        f"; {units}: those of the look at which the verdict fell, and of the difference, while means are of all that "
        "there are; interval: 95 % over all looks together"
    )
