"""What rich can render, as text."""

import io
from typing import Any

WIDTH = 110
"""Columns where nothing says how many there are."""


def as_text(*renderables: Any, width: int = WIDTH, height: int | None = None) -> str:
    """Return what rich can render as text in lines that do not end with spaces, one below the other.

    Args:
        renderables: tables and strings; no markup is read in them.
        width: columns; a table takes more rather than break words.
        height: lines, for what depends on them.
    """
    from rich.console import Group

    from prunecheck.report.formats.whole_words import WholeWords

    file = io.StringIO()
    console = WholeWords(
        is_bounded=False,
        file=file,
        width=width,
        height=height,
        color_system=None,
        force_jupyter=False,  # it would show in the notebook what is to be written to the file
    )
    console.print(Group(*renderables), crop=False)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())
