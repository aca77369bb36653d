"""Training curves: what runs have written down of their epochs, over all of them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from prunecheck.analysis.estimates import Curve
from prunecheck.metrics import is_value
from prunecheck.plain_files import read_plain_text

MOST_EPOCHS = 40
"""So many points of a training curve are drawn and listed."""


def curves_of(files: Iterable[Path], quantities: Iterable[str]) -> dict[str, Curve]:
    """Return the course of some columns over several runs, by column; those without values are left out.

    Args:
        files: ``metrics.csv`` of each run, which is read once.
        quantities: the names of the columns.
    """
    names = list(quantities)
    of_runs = [_columns(file, names) for file in files]
    found = {name: _curve([columns[name] for columns in of_runs]) for name in names}
    return {name: curve for name, curve in found.items() if curve}


def listed_epochs(epochs: Sequence[int]) -> tuple[int, ...]:
    """Return which of some epochs are shown: all, or some at equal distances and the last."""
    step = max(1, math.ceil(len(epochs) / MOST_EPOCHS))
    return tuple(sorted({*epochs[::step], *epochs[-1:]}))


def _curve(columns: Sequence[Mapping[int, float]]) -> Curve | None:
    """Return the course of values by epoch, of those runs that have any; None if there are none."""
    columns = [column for column in columns if column]
    epochs = listed_epochs(sorted(set.intersection(*map(set, columns)))) if columns else ()
    if not epochs:
        return None
    values = [[column[epoch] for column in columns] for epoch in epochs]
    return Curve(
        epochs,
        tuple(math.fsum(of_epoch) / len(of_epoch) for of_epoch in values),
        tuple(map(min, values)),
        tuple(map(max, values)),
        len(columns),
    )


def _columns(file: Path, quantities: Iterable[str]) -> dict[str, dict[int, float]]:
    """Return columns by epoch, where there is a value; empty ones of what cannot be read."""
    try:
        names, *lines = read_plain_text(file).splitlines()
    except (OSError, ValueError):
        return {quantity: {} for quantity in quantities}
    rows = [line.split(",") for line in lines]
    return {quantity: _column(names.split(","), rows, quantity) for quantity in quantities}


def _column(names: Sequence[str], rows: Sequence[Sequence[str]], quantity: str) -> dict[int, float]:
    try:
        index = names.index(quantity)
        found = {epoch: float(row[index]) for epoch, row in enumerate(rows, 1) if row[index]}
    except (ValueError, IndexError):
        return {}
    return {epoch: value for epoch, value in found.items() if is_value(value)}
