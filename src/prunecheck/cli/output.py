"""What a command leaves: tables and text on stdout, and files that never take another one's place."""

import io
import sys
from pathlib import Path
from typing import Any

from prunecheck.errors import InputError

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
        terminal = Console(file=sys.stdout, highlight=False, markup=False)
        terminal.width = max(terminal.width, NARROWEST)
        terminal.print(*renderables, sep="\n")
        return
    # Told the encoding, rich draws lines with what it has.
    text = io.TextIOWrapper(io.BytesIO(), encoding=sys.stdout.encoding or "utf-8", errors="replace")
    Console(file=text, width=width, highlight=False, markup=False).print(*renderables, sep="\n")
    text.seek(0)
    for line in text:
        print(line.rstrip())


def require_output(output: Path, ending: str | None = None) -> None:
    """Raise :class:`InputError` unless ``output`` can be written: before any work is done.

    Args:
        output: where a file is to appear.
        ending: how its name must end, such as ``.png``; None for any name.
    """
    if ending and output.suffix.lower() != ending:
        raise InputError(f"{output} is not named as a {ending[1:].upper()} file: let --output end in {ending}.")
    if output.is_dir():
        raise InputError(f"{output} is a folder: give --output the name of a file.")
    if not output.parent.is_dir():
        raise InputError(f"there is no folder {output.parent}: make it, or choose another --output.")


def write_output(content: bytes, output: Path) -> None:
    """Write a file, unless it is there already.

    Raises:
        InputError: another content is there, which is left as it is.
    """
    from prunecheck.io import write_whole

    if output.exists():
        if output.is_file() and output.read_bytes() == content:
            return
        raise InputError(f"{output} exists and holds something else: choose another --output, or remove it.")
    write_whole(output, content)
