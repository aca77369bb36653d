"""``log.txt`` and ``log_scratch.txt``: a row per epoch, parted by tabs, six decimals."""

import math
from collections.abc import Iterable
from pathlib import Path

from prunecheck.errors import InputError
from prunecheck.plain_files import read_plain_text
from prunecheck.training import EpochMetrics

HEADINGS = ("Learning Rate", "Train Loss", "Valid Loss", "Train Acc.", "Valid Acc.")


def log_text(metrics: Iterable[EpochMetrics]) -> str:
    """Return the content of a log: each value is followed by a tab, as published."""
    rows = [
        (epoch.learning_rate, epoch.train_loss, epoch.test_loss, epoch.train_accuracy, epoch.test_accuracy)
        for epoch in metrics
    ]
    lines = ["".join(f"{heading}\t" for heading in HEADINGS)]
    lines += ["".join(f"{math.nan if value is None else value:.6f}\t" for value in row) for row in rows]
    return "\n".join(lines) + "\n"


def read_log(path: Path, epochs: int) -> tuple[EpochMetrics, ...]:
    """Return the metrics of the first epochs of a log.

    Args:
        path: of the log.
        epochs: how many, counted from 1.

    Raises:
        InputError: it is missing, has fewer rows, or is no such log.
    """
    if not path.is_file():
        raise InputError(f"there is no {path}: going on with a training needs the log of its first {epochs} epochs.")
    try:
        headings, *lines = read_plain_text(path).splitlines()
        rows = [tuple(float(value) for value in line.split("\t") if value.strip()) for line in lines if line.strip()]
        if tuple(headings.rstrip("\t").split("\t")) != HEADINGS or any(len(row) != len(HEADINGS) for row in rows):
            raise ValueError("other columns")
        if not all(math.isfinite(value) for row in rows for value in row):
            raise ValueError("a training that diverged")
    except (UnicodeDecodeError, ValueError) as error:
        raise InputError(
            f"{path} is not the log of a training ({', '.join(HEADINGS)}, a row of numbers per epoch): restore it."
        ) from error
    if len(rows) < epochs:
        raise InputError(
            f"{path} has {len(rows)} epochs and the checkpoint beside it {epochs}: restore the log that belongs to it."
        )
    return tuple(EpochMetrics(epoch, *row) for epoch, row in enumerate(rows[:epochs], 1))
