"""What tells runs apart, so that a table says no more of each than that."""

from collections.abc import Sequence
from typing import Any

NAMED = ("dataset", "model", "width", "method", "sparsity", "check", "trained_on", "seed")
"""What runs are usually told apart by."""

ALWAYS = ("method", "sparsity", "check", "seed")

WITHOUT_WORD = ("dataset", "model", "method", "sparsity", "check")
"""What needs no word beside its value."""


def distinguishing_columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the columns of runs that say which is which.

    Args:
        rows: of :func:`prunecheck.runs.table.spec_row`, no two of them equal.

    Returns:
        The method, sparsity, check and seed; of the data set and network what is not the same for
        all; of the other columns as many as it takes to tell the runs apart.
    """
    chosen = [name for name in NAMED if name in ALWAYS or len({row[name] for row in rows}) > 1]
    for name in rows[0] if rows else ():
        if name not in NAMED and _would_tell_apart(name, chosen, rows):
            chosen.append(name)
    return chosen


def _would_tell_apart(name: str, chosen: Sequence[str], rows: Sequence[dict[str, Any]]) -> bool:
    """Say whether rows that agree in the chosen columns differ in another."""
    if all(row[name] == rows[0][name] for row in rows):
        return False  # as nearly all columns are, of thousands of runs
    seen: dict[tuple[Any, ...], Any] = {}
    return any(seen.setdefault(tuple(row[column] for column in chosen), row[name]) != row[name] for row in rows)


def run_name(row: dict[str, Any], columns: Sequence[str]) -> str:
    """Return a run's name in words: ``snip 0.9 rearrange-mask seed 3``."""
    parts = []
    for name in columns:
        if row[name] is not None and (name, row[name]) != ("sparsity", 0):
            parts.append(cell(row[name]) if name in WITHOUT_WORD else f"{heading(name)} {cell(row[name])}")
    return " ".join(parts)


def heading(column: str) -> str:
    """Return a column's name in words."""
    return column.replace("_", " ")


def cell(value: Any) -> str:
    """Return a value as a table shows it."""
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def sorting_key(row: dict[str, Any], columns: Sequence[str]) -> list[tuple[bool, Any]]:
    """Return what rows are sorted by: the columns in order, what is missing first."""
    return [(row[name] is not None, row[name] if row[name] is not None else 0) for name in columns]
