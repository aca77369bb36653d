"""Where rich prints what is read: no word of a sentence is broken, nor of a table where no screen bounds it."""

import textwrap
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, JustifyMethod, OverflowMethod, RenderResult
from rich.containers import Lines
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from prunecheck.report.formats.word_parts import broken_line

BOUNDLESS = 1 << 16
"""Columns that no line of a table takes."""


class Sentences(Text):
    """Lines of text that are broken between words alone."""

    def wrap(
        self,
        console: Console,
        width: int,
        *,
        justify: object = None,
        overflow: OverflowMethod | None = None,
        tab_size: int = 8,
        no_wrap: bool | None = None,
    ) -> Lines:
        """Return the lines; one word that is longer than ``width`` stands on a line of its own, whole."""
        return Lines(
            Text(part, style=self.style)
            for line in self.plain.split("\n")
            for part in textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) or [""]
        )


class Cell(Text):
    """The text of a table's cell, whose words are broken only where a column has no room for them."""

    def wrap(
        self,
        console: Console,
        width: int,
        *,
        justify: JustifyMethod | None = None,
        overflow: OverflowMethod | None = None,
        tab_size: int = 8,
        no_wrap: bool | None = None,
    ) -> Lines:
        """Return the lines, as :func:`~prunecheck.report.formats.word_parts.broken_line` breaks each."""
        if cell_len(self.plain) != len(self.plain):  # signs of other widths are rich's to count
            return super().wrap(console, width, justify=justify, overflow=overflow, tab_size=tab_size, no_wrap=no_wrap)
        lines = self.plain.split("\n")
        if not no_wrap:
            lines = [part for line in lines for part in broken_line(line, width)]
        broken = Lines(Text(part, style=self.style) for part in lines)
        if justify:
            broken.justify(console, width, justify=justify, overflow=overflow or "fold")
        return broken


class WholeWords(Console):
    """A console that reads no markup.

    Args:
        is_bounded: whether a table has the console's columns and no more, so that it breaks words that have no room.
        options: of rich's console.
    """

    def __init__(self, *, is_bounded: bool, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)  # :mask: would be a face with one
        self.is_bounded = is_bounded

    def render_str(self, text: str, **options: Any) -> Text:
        """Return what stands for a text."""
        return Sentences(text)


class WholeRows:
    """A table of which each row stands on a line of its own where no screen bounds it: paths are copied from there.

    Args:
        table: as rich has them.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if isinstance(console, WholeWords) and not console.is_bounded:
            needed = Measurement.get(console, options.update(width=BOUNDLESS), self._table).maximum
            options = options.update(width=max(needed, options.max_width))
        yield from console.render(self._table, options)
