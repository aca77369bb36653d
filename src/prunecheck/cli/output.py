"""Tables and text on stdout, and sentences on stderr."""

import io
import os
import shutil
import sys
import textwrap
from typing import Any

from prunecheck.api.rendering import WIDTH
from prunecheck.printable import for_terminal

NARROWEST = 80
"""Columns below which a table would lose some; a narrower terminal breaks its lines itself."""

NARROWEST_SENTENCE = 20
"""Columns of a terminal that says that it has fewer, or none."""


def say(text: str) -> None:
    """Print a sentence on stderr: one line, which on a terminal is broken between words alone."""
    line = f"prunecheck: {for_terminal(' '.join(text.split()))}"
    if sys.stderr.isatty():
        columns = shutil.get_terminal_size().columns
        line = textwrap.fill(line, max(columns, NARROWEST_SENTENCE), break_long_words=False, break_on_hyphens=False)
    print(line, file=sys.stderr)


def print_text(text: str) -> None:
    """Print lines on stdout; what a terminal would obey of names that come from files stands as escapes."""
    print(for_terminal(text))


def print_content(content: str) -> None:
    """Print what is for other programs: as it is, unless it is a terminal that reads it."""
    print(for_terminal(content) if sys.stdout.isatty() else content, end="")


def print_out(*renderables: Any) -> None:
    """Print what rich can render, without markup in it.

    It is as wide as the terminal, or as COLUMNS says, which counts where stdout is no terminal, too; where nothing
    says it, as wide as is usual, and a table wider where it would break words. No line for
    what is no terminal ends with spaces.

    Args:
        renderables: tables and strings.
    """
    from rich.console import Group

    from prunecheck.report.formats.whole_words import WholeWords

    printed = Group(*(for_terminal(one) if isinstance(one, str) else one for one in renderables))
    if sys.stdout.isatty():
        terminal = WholeWords(is_bounded=True, file=sys.stdout)
        terminal.width = max(terminal.width, NARROWEST)
        terminal.print(printed, crop=False)
        return
    # Told the encoding, rich draws lines with what it has.
    text = io.TextIOWrapper(io.BytesIO(), encoding=sys.stdout.encoding or "utf-8", errors="replace")
    asked = _asked_columns()
    WholeWords(is_bounded=asked is not None, file=text, width=asked or WIDTH).print(printed, crop=False)
    text.seek(0)
    for line in text:
        print(line.rstrip())


def _asked_columns() -> int | None:
    """Return the columns that the environment asks for, at least as many as a table needs; None where it does not."""
    text = os.environ.get("COLUMNS", "")
    return max(int(text), NARROWEST) if text.isascii() and text.isdigit() and int(text) else None
