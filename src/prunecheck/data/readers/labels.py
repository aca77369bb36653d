"""What the labels of a readable data set are held to."""

from pathlib import Path

import numpy
from numpy.typing import NDArray

from prunecheck.errors import InputError


def require_labels(labels: NDArray[numpy.int64], num_classes: int, where: Path | str, every_class: bool = True) -> None:
    """See that labels name existing classes, and that each class has an image.

    Args:
        labels: int64, (N,).
        num_classes: labels are in [0, num_classes).
        where: the file or folder that they were read from, for the message.
        every_class: whether each class has to occur, as it has to in a training part.

    Raises:
        InputError: a label is out of range, or a class has no image.
    """
    wrong = numpy.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(wrong):
        raise InputError(
            f"{where}: image {wrong[0]} (the first is 0) has label {labels[wrong[0]]}, expected 0 to "
            f"{num_classes - 1}: the file is damaged or of another data set, fetch or make it anew."
        )
    if not every_class:
        return
    present = numpy.unique(labels)
    if len(present) < num_classes:
        absent = next((rank for rank, label in enumerate(present) if rank != label), len(present))
        raise InputError(
            f"{where}: no training image has label {absent}, expected labels 0 to {num_classes - 1} without gaps: "
            f"add images of that class, or number the classes anew."
        )
