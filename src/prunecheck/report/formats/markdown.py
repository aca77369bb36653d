"""Tables and text in Markdown, in which names are text and no markup."""

from collections.abc import Iterable

from prunecheck.printable import printable
from prunecheck.report.escaping import in_markdown
from prunecheck.report.table import Table


def markdown(tables: Iterable[Table]) -> str:
    """Return tables as Markdown, each below its title and its notes."""
    return "\n".join(map(_table, tables))


def heading(text: str, level: int) -> str:
    """Return a heading; 1 is the document's own."""
    return f"{'#' * level} {in_markdown(text)}\n"


def paragraph(text: str) -> str:
    """Return a paragraph."""
    return f"{in_markdown(text)}\n"


def listed(texts: Iterable[str]) -> str:
    """Return texts as the points of a list."""
    return "".join(f"- {in_markdown(text)}\n" for text in texts)


def code(line: str) -> str:
    """Return a line of code, set apart."""
    return f"    {printable(line)}\n"


def _table(table: Table) -> str:
    lines = [heading(table.title, 2)] if table.title else []
    lines += [paragraph(" ".join(table.notes))] if table.notes else []
    lines.append(_line(map(in_markdown, table.headings)))
    lines.append(f"|{'|'.join('---:' if column.is_number else '---' for column in table.columns)}|")
    for group in table.groups:
        if group.title:
            lines.append(_line(table.padded((f"**{in_markdown(group.title)}**",))))
        lines += [_line(map(in_markdown, table.padded(row))) for row in group.rows]
    return "\n".join([*lines, ""])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
