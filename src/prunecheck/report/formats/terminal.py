"""Tables on a terminal."""

import itertools
import textwrap
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from prunecheck.checks.registry import JOINT
from prunecheck.printable import printable
from prunecheck.report.formats.word_parts import longest_part, longest_word
from prunecheck.report.table import Column, Table, VerdictCell

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, Group, RenderResult
    from rich.table import Table as Columns
    from rich.text import Text

WIDTH_OF_NAME = 20
"""Columns that the names of rows may take from what stands beside them; longer ones are broken into lines."""

WIDTH_OF_HEADING = 13
"""Columns that a heading may take from the numbers below it."""

WIDTH_OF_NOTES = 110

MOST_DRAWN = 1_000
"""So many rows are fitted to the terminal, which takes a millisecond each."""

STYLES = {"uses": "dark_orange3", "not-uses": "dodger_blue2", "better": "green", "undecided": "bright_black"}
"""Of verdicts, by their tones."""

BETWEEN = EDGES = "  "
"""Between columns, and on both sides of a table together."""

INDENT = "  "
"""Before the rows of a group that has a title."""


def rich_table(table: Table) -> "Group":
    """Return a table as rich prints it: its title, its columns and its notes."""
    from rich import box
    from rich.console import Group
    from rich.constrain import Constrain
    from rich.table import Table as Columns
    from rich.text import Text

    from prunecheck.report.formats.whole_words import Cell

    title = [Text(printable(table.title), style="table.title")] if table.title else []
    notes = [Constrain(Text(printable(note), style="table.caption"), WIDTH_OF_NOTES) for note in table.notes]
    if sum(len(group.rows) for group in table.groups) > MOST_DRAWN:
        return Group(*title, *(Text(line, no_wrap=True, overflow="ignore") for line in _plain_lines(table)), *notes)
    drawn = Columns(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    broken: dict[int, Widths] = {}
    needed = len(BETWEEN) * (len(table.columns) - 1)
    names = [_name(row[0], bool(group.title)) for group in table.groups for row in group.rows]
    titles = [printable(group.title) for group in table.groups]
    for index, column in enumerate(table.columns):
        cells = names if index == 0 else [row[index] for row in table.rows]
        whole = column.is_number or (index == 0 and all(_width(name) <= WIDTH_OF_NAME for name in names))
        heading = Text(_heading(column, cells))
        verdicts = [len(cell.verdict) for cell in cells if isinstance(cell, VerdictCell) and not column.is_number]
        drawn.add_column(
            heading,
            justify="right" if column.is_number else "left",
            no_wrap=whole,
            overflow="fold",
        )
        shown = [heading.plain, *([*names, *titles] if index == 0 else map(printable, cells))]
        if whole:
            needed += max(map(_width, shown))
            continue
        broken[index] = Widths(
            parts=max([*verdicts, *map(longest_part, shown)]),
            words=max([*verdicts, *map(longest_word, shown)]),
            lines=max(map(_width, shown)),
        )
    for group in table.groups:
        drawn.add_section()
        if group.title:
            drawn.add_row(Cell(printable(group.title)))
        for row in group.rows:
            name, *others = table.padded(row)
            drawn.add_row(Cell(_name(name, bool(group.title))), *map(_cell, others))
    return Group(*title, _Fitting(drawn, broken, needed), *notes)


def _plain_lines(table: Table) -> Iterator[str]:
    """Yield the lines of a table that is too long to be fitted: as wide as its cells are."""
    rows = [[printable(cell) for cell in table.headings], *([printable(cell) for cell in row] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = [str.rjust if column.is_number else str.ljust for column in table.columns]

    def line(cells: Iterable[str]) -> str:
        parts = (align(cell, width) for align, cell, width in zip(aligned, cells, widths, strict=True))
        return BETWEEN.join(parts).rstrip()

    yield line(rows[0])
    below = iter(rows[1:])
    for group in table.groups:
        if group.title:
            yield printable(group.title)
        yield from map(line, itertools.islice(below, len(group.rows)))


class Widths(NamedTuple):
    """Columns that the cells take of a column whose cells may be broken into lines.

    Attributes:
        parts: what of words stays whole in any case, and verdicts.
        words: the longest word or verdict.
        lines: the longest cell.
    """

    parts: int
    words: int
    lines: int


class _Fitting:
    """A table that is as narrow as the console: if need be long words are broken after signs, then edges are left out.

    Args:
        drawn: the table.
        broken: the widths of each column whose cells may be broken into lines.
        needed: columns of the console, without edges, for the other columns and what is between all of them.
    """

    def __init__(self, drawn: "Columns", broken: dict[int, Widths], needed: int) -> None:
        self._drawn, self._broken, self._needed = drawn, broken, needed

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from prunecheck.report.formats.whole_words import WholeWords

        whole = {index: widths.words for index, widths in self._broken.items()}
        needed = self._needed + sum(whole.values()) + len(EDGES)
        if isinstance(console, WholeWords) and not console.is_bounded and needed > options.max_width:
            options = options.update(width=needed)
        least, self._drawn.show_edge, has_room = self._fitted(whole, options.max_width)
        spare = options.max_width - self._needed - sum(least.values()) - len(EDGES) * self._drawn.show_edge
        for index, width in self._shared(least, spare).items():
            self._drawn.columns[index].width = width if has_room else None
        yield from console.render(self._drawn, options)

    def _fitted(self, whole: dict[int, int], room: int) -> tuple[dict[int, int], bool, bool]:
        """Return how wide columns are at least, whether there are edges, and whether all of it has room."""
        in_parts = {index: widths.parts for index, widths in self._broken.items()}
        names_whole = {index: whole[index] if index == 0 else width for index, width in in_parts.items()}
        for has_edges in (True, False):
            for least in (whole, names_whole, in_parts):
                if self._needed + sum(least.values()) + len(EDGES) * has_edges <= room:
                    return least, has_edges, True
        return in_parts, True, False

    def _shared(self, least: dict[int, int], spare: int) -> dict[int, int]:
        """Return the width of each column that may be broken; what is to spare is shared, to what each can use."""
        widths: dict[int, int] = {}
        wanted = {index: self._broken[index].lines - width for index, width in least.items()}
        by_want = sorted(wanted, key=lambda index: wanted[index])
        for others, index in zip(range(len(by_want), 0, -1), by_want, strict=True):
            more = min(wanted[index], max(spare, 0) // others)
            widths[index], spare = least[index] + more, spare - more
        return widths


def _cell(cell: str) -> "Text":
    from prunecheck.report.formats.whole_words import Cell

    return Cell(printable(cell), style=STYLES[cell.verdict.tone] if isinstance(cell, VerdictCell) else "")


def _heading(column: Column, cells: list[str]) -> str:
    """Return a column's heading, in lines that are not wider than its numbers."""
    heading = printable(column.heading)
    if not column.is_number or len(heading) <= WIDTH_OF_HEADING:
        return heading
    return "\n".join(textwrap.wrap(heading, max(WIDTH_OF_HEADING, *map(len, cells)), break_long_words=False))


def _name(name: str, is_in_group: bool) -> str:
    """Return the first cell of a row as it stands below its group's title; joined names in lines of their own."""
    indent, name = INDENT * is_in_group, printable(name)
    lines = [name] if len(indent + name) <= WIDTH_OF_NAME else name.split(JOINT)
    return f"\n{indent}{JOINT}".join([indent + lines[0], *lines[1:]])


def _width(text: str) -> int:
    return max(map(len, text.split("\n")))
