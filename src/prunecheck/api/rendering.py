"""What rich can render, as text."""

import io
from typing import Any

WIDTH = 110
"""Columns of a table that is not printed to a terminal."""


def as_text(*renderables: Any, width: int = WIDTH, height: int | None = None) -> str:
    """Return what rich can render as text in lines that do not end with spaces, one below the other.

    Args:
        renderables: tables and strings; no markup is read in them.
        width: columns.
        height: lines, for what depends on them.
    """
    from rich.console import Console

    file = io.StringIO()
    console = Console(
        file=file,
        width=width,
        height=height,
        highlight=False,
        markup=False,
        emoji=False,  # mask:FILE is a method, and :mask: a face with one
        color_system=None,
        force_jupyter=False,  # it would show in the notebook what is to be written to the file
    )
    console.print(*renderables, sep="\n")
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())
