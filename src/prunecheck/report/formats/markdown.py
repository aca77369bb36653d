"""Tables in Markdown."""

from collections.abc import Iterable

from prunecheck.report.escaping import in_markdown
from prunecheck.report.table import Table


def markdown(tables: Iterable[Table]) -> str:
    """Return tables as Markdown, each below its title and its notes; names in them are text and no markup."""
    return "\n".join(map(_table, tables))


def _table(table: Table) -> str:
    lines = []
    for paragraph in (f"## {in_markdown(table.title)}" if table.title else "", in_markdown(" ".join(table.notes))):
        lines += [paragraph, ""] if paragraph else []
    lines.append(_line(map(in_markdown, table.headings)))
    lines.append(f"|{'|'.join('---:' if column.is_number else '---' for column in table.columns)}|")
    for group in table.groups:
        if group.title:
            lines.append(_line(table.padded((f"**{in_markdown(group.title)}**",))))
        lines += [_line(map(in_markdown, table.padded(row))) for row in group.rows]
    return "\n".join([*lines, ""])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
