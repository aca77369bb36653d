"""Tables as HTML: in the report's page, which has a style sheet, and by themselves, for notebooks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prunecheck.report.escaping import in_html
from prunecheck.report.table import Column, Row, Table, VerdictCell

TONES = {"uses": "#c8651b", "not-uses": "#2f7fbf", "better": "#1c9070", "undecided": "#7b848e"}
"""Colours of verdicts' signs where no style sheet is: each stands out from white as from black."""

RULE = "border-bottom:1px solid currentColor"

WHOLE = "border-collapse:collapse;font-variant-numeric:tabular-nums;color:inherit;font-size:inherit"
"""Tables of pages without a document type inherit no colour by themselves."""

CELL = "padding:.2em .8em .2em 0;vertical-align:top;background:none;border:0"


@dataclass(frozen=True)
class _Look:
    """Attributes of the parts of a table, each with a space before it, and how a verdict is marked."""

    heading: Callable[[Column], str]
    group: str
    group_cell: str
    name: Callable[[Column], str]
    cell: Callable[[Column], str]
    verdict: Callable[[VerdictCell], str]


def html_in_page(table: Table) -> str:
    """Return a table whose classes are those of the report's style sheet; its title stands elsewhere on the page."""
    notes = in_html(" ".join(table.notes))
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{notes or in_html(table.title)}">\n'
        f'<table class="{in_html(table.kind)}">\n<caption>{notes}</caption>\n{_body(table, _PAGE)}</table>\n</div>\n'
    )


def html_by_itself(table: Table) -> str:
    """Return a table that needs no style sheet and is readable on light and dark pages, with its title and notes."""
    notes = "".join(f'<div style="font-size:.85em;opacity:.8;max-width:60em">{in_html(n)}</div>' for n in table.notes)
    return (
        f'<div style="overflow-x:auto"><table style="{WHOLE}">\n'
        f'<caption style="caption-side:top;text-align:left;font-weight:600;color:inherit">{in_html(table.title)}'
        f"</caption>\n{_body(table, _ALONE)}</table>{notes}</div>\n"
    )


def paragraph(text: str) -> str:
    """Return text as a paragraph; empty for none."""
    return f"<p>{in_html(text)}</p>" if text else ""


def _body(table: Table, look: _Look) -> str:
    heads = "".join(f'<th scope="col"{look.heading(one)}>{in_html(one.heading)}</th>' for one in table.columns)
    return f"<thead><tr>{heads}</tr></thead>\n{''.join(_groups(table, look))}"


def _groups(table: Table, look: _Look) -> Iterator[str]:
    for group in table.groups:
        yield "<tbody>\n"
        if group.title:
            attributes = f'colspan="{len(table.columns)}" scope="rowgroup"{look.group_cell}'
            yield f"<tr{look.group}><th {attributes}>{in_html(group.title)}</th></tr>\n"
        for row in group.rows:
            yield f"<tr>{_cells(table, table.padded(row), look)}</tr>\n"
        yield "</tbody>\n"


def _cells(table: Table, row: Row, look: _Look) -> str:
    name, *others = row
    cells = [f'<th scope="row"{look.name(table.columns[0])}>{in_html(name)}</th>']
    for column, cell in zip(table.columns[1:], others, strict=True):
        shown = look.verdict(cell) if isinstance(cell, VerdictCell) else in_html(cell)
        cells.append(f"<td{look.cell(column)}>{shown}</td>")
    return "".join(cells)


def _class(column: Column) -> str:
    return ' class="n"' if column.is_number else ""


def _told(cell: VerdictCell) -> str:
    """Return the title of a cell that shows the sign of a verdict alone."""
    return f' title="{cell.verdict}"' if len(cell) == 1 else ""


_PAGE = _Look(
    heading=_class,
    group=' class="group"',
    group_cell="",
    name=_class,
    cell=lambda column: f' data-label="{in_html(column.heading)}"{_class(column)}',
    verdict=lambda cell: f'<span class="verdict {cell.verdict.tone}"{_told(cell)}>{in_html(cell)}</span>',
)


def _style(column: Column, *more: str) -> str:
    align = "text-align:right;white-space:nowrap" if column.is_number else "text-align:left"
    return f' style="{";".join([CELL, align, *more])}"'


_ALONE = _Look(
    heading=lambda column: _style(column, "font-weight:600", RULE),
    group="",
    group_cell=f' style="{CELL};text-align:left;font-weight:600;padding-top:.7em"',
    name=lambda column: _style(column, "font-weight:400"),
    cell=_style,
    verdict=lambda cell: f'<span style="color:{TONES[cell.verdict.tone]}">{cell.verdict.glyph}</span> {in_html(cell)}',
)
