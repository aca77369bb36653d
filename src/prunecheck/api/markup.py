"""Tables as HTML that a notebook shows among other outputs: escaped, styled by themselves, without scripts."""

import html
from collections.abc import Iterator

from prunecheck.report.tables import Row, Table, Toned

COLOURS = {"uses": "#b54a00", "not-uses": "#00639c", "better": "#007a59", "undecided": "#5b626b"}
"""By tone; they can be read on white, and on a dark ground beside the notebook's own text."""

CAPTION = "caption-side: bottom; text-align: left; font-size: 85%; max-width: 60em"


def table_html(table: Table) -> str:
    """Return a table, its groups under lines of their own."""
    body = "".join(_group(name, rows, table) for name, rows in table.groups)
    head = "".join(
        f'<th style="text-align: {_side(table, column)}">{html.escape(heading)}</th>'
        for column, heading in enumerate(table.headings)
    )
    caption = f'<caption style="{CAPTION}">{html.escape(table.caption)}</caption>'
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def paragraph(text: str) -> str:
    """Return text as a paragraph; empty for none."""
    return f"<p>{html.escape(text)}</p>" if text else ""


def _group(name: str, rows: tuple[Row, ...], table: Table) -> str:
    heading = f'<th colspan="{len(table.headings)}" style="text-align: left">{html.escape(name)}</th>'
    lines = [heading] if name else []
    return "".join(f"<tr>{cells}</tr>" for cells in (*lines, *("".join(_cells(row, table)) for row in rows)))


def _cells(row: Row, table: Table) -> Iterator[str]:
    for column, cell in enumerate(row):
        style = f"text-align: {_side(table, column)}"
        if isinstance(cell, Toned):
            style += f"; font-weight: 600; color: {COLOURS[cell.tone]}"
        yield f'<td style="{style}">{html.escape(cell)}</td>'


def _side(table: Table, column: int) -> str:
    return "left" if column in table.words else "right"
