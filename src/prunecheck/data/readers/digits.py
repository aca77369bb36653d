"""The embedded data set: scikit-learn's 1,797 handwritten digits of 8x8 pixels."""

import numpy

from prunecheck.data.datasets import Augmentation, Dataset, Images, Suggestion, register_dataset

TRAIN_PER_CLASS = 64
"""Balanced, and whole batches of 64 for ten classes; the other 1,157 images measure accuracy."""

BRIGHTEST = 16


@register_dataset("digits")
def digits() -> Dataset:
    """Handwritten digits, 8x8 grey, 640 training and 1,157 test images (ships with scikit-learn)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = numpy.rint(bunch.images * (255 / BRIGHTEST)).astype(numpy.uint8)[:, None]
    labels = bunch.target.astype(numpy.int64)
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
