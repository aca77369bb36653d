"""A part of CIFAR-10 in one file that is small enough to send along."""

from pathlib import Path

import numpy

from prunecheck.data import DataPlaces, load_dataset

TRAIN_IMAGES = 15_000
TEST_IMAGES = 5_000
"""Together 58.6 MiB of pixels, uncompressed."""


def pack(
    data_root: Path, cache: Path, file: Path, train_images: int = TRAIN_IMAGES, test_images: int = TEST_IMAGES
) -> None:
    """Write so many images of each part, as many of each class, as ``npz:FILE`` reads them.

    Args:
        data_root: a folder that holds CIFAR-10.
        cache: for what is decoded.
        file: what is written.
        train_images: of the training part.
        test_images: of the test part.

    Raises:
        InputError: CIFAR-10 does not lie there.
    """
    dataset = load_dataset("cifar10", DataPlaces((data_root,), cache)).shortened(train_images, test_images)
    with file.open("wb") as opened:
        numpy.savez(
            opened,
            x_train=numpy.asarray(dataset.train.pixels).transpose(0, 2, 3, 1),
            y_train=dataset.train.labels,
            x_test=numpy.asarray(dataset.test.pixels).transpose(0, 2, 3, 1),
            y_test=dataset.test.labels,
        )
