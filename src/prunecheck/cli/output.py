"""Tables and text on stdout."""

import io
import sys
from typing import Any

NARROWEST = 80
"""Columns below which a table would lose some; a narrower terminal breaks its lines itself."""


def print_out(*renderables: Any, width: int) -> None:
    """Print what rich can render, without markup in it.

    Args:
        renderables: tables and strings.
        width: columns, where stdout is not a terminal; lines then end without spaces.
    """
    from rich.console import Console

    from prunecheck.report.escaping import for_terminal

    renderables = tuple(for_terminal(one) if isinstance(one, str) else one for one in renderables)
    if sys.stdout.isatty():
        terminal = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
        terminal.width = max(terminal.width, NARROWEST)
        terminal.print(*renderables, sep="\n")
        return
    # Told the encoding, rich draws lines with what it has.
    text = io.TextIOWrapper(io.BytesIO(), encoding=sys.stdout.encoding or "utf-8", errors="replace")
    Console(file=text, width=width, highlight=False, markup=False, emoji=False).print(*renderables, sep="\n")
    text.seek(0)
    for line in text:
        print(line.rstrip())
