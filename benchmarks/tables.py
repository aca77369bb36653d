"""Plain text tables."""

from collections.abc import Sequence


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return lines of columns as wide as what is in them; the first is flush left, numbers are flush right."""
    lines = [headings, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip()


def three_digits(value: float) -> str:
    """Return a positive number with three significant digits, or all those before the point."""
    return f"{value:.0f}" if value >= 99.95 else f"{value:#.3g}"
