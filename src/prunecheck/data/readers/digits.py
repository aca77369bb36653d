"""The embedded data set: 1,797 handwritten digits of 8x8 pixels.

``digits.csv.gz`` is the test set of Optical Recognition of Handwritten Digits by E. Alpaydin and C. Kaynak (UCI
Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49), licensed under CC BY 4.0, in the form in which
scikit-learn ships it: a row for each image, of 64 pixels from 0 to 16, row by row, and the label.
"""

import gzip
from pathlib import Path

import numpy

from prunecheck.data.datasets import Augmentation, Dataset, Images, Suggestion, register_dataset

TRAIN_PER_CLASS = 64
"""Balanced, and whole batches of 64 for ten classes; the other 1,157 images measure accuracy."""

BRIGHTEST = 16

FILE = Path(__file__).with_name("digits.csv.gz")

SIDE = 8
"""Pixels."""


@register_dataset("digits")
def digits() -> Dataset:
    """Handwritten digits, 8x8 grey, 640 training and 1,157 test images (ships with prunecheck)."""
    text = gzip.decompress(FILE.read_bytes()).decode("ascii")
    rows = numpy.fromstring(",".join(text.split()), sep=",").reshape(-1, SIDE * SIDE + 1)
    pixels = numpy.rint(rows[:, :-1] * (255 / BRIGHTEST)).astype(numpy.uint8).reshape(-1, 1, SIDE, SIDE)
    labels = rows[:, -1].astype(numpy.int64)
    is_train = _spread_over_each_class(labels, TRAIN_PER_CLASS)
    train = Images(pixels[is_train], labels[is_train])
    scaled = train.pixels / 255
    return Dataset(
        name="digits",
        train=train,
        test=Images(pixels[~is_train], labels[~is_train]),
        num_classes=10,
        mean=(float(scaled.mean()),),
        deviation=(float(scaled.std()),),
        augmentation=Augmentation(padding=1, flip=False),
        suggestion=Suggestion(model="resnet8", width=16, epochs=20, batch_size=64, learning_rate=0.2),
    )


def _spread_over_each_class(labels: numpy.ndarray, count: int) -> numpy.ndarray:
    """Mark ``count`` images of each class, evenly spaced in file order, so that all writers are in."""
    chosen = numpy.zeros(len(labels), dtype=bool)
    for label in numpy.unique(labels):
        members = numpy.flatnonzero(labels == label)
        chosen[members[numpy.linspace(0, len(members) - 1, count).round().astype(int)]] = True
    return chosen
