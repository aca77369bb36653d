"""Where rich prints what is read: no word of a sentence is broken, nor of a table where no screen bounds it."""

import textwrap
from typing import Any

from rich.console import Console, OverflowMethod
from rich.containers import Lines
from rich.text import Text


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
