"""Small images that say which they are, for the tests of batches and of scoring samples."""

import itertools

import numpy
import torch
from torch import Tensor

from prunecheck.data import Augmentation, Dataset, Images
from prunecheck.data.datasets import Suggestion

NOTHING = Augmentation(padding=0, flip=False)
CROPS_AND_MIRRORS = Augmentation(padding=1, flip=True)


def toy(images: Images, augmentation: Augmentation = NOTHING, num_classes: int = 10) -> Dataset:
    """Return a data set whose normalisation does nothing but divide by 255."""
    channels = images.pixels.shape[1]
    mean, deviation = (0.0,) * channels, (1.0,) * channels
    suggestion = Suggestion("resnet8", None, 1, 8, 0.1)
    return Dataset("toy", images, images, num_classes, mean, deviation, augmentation, suggestion)


def numbered(count: int, labels: list[int] | None = None) -> Images:
    """Return images that carry their number in every pixel; it is their label too unless labels are given."""
    pixels = numpy.empty((count, 2, 3, 4), dtype=numpy.uint8)
    pixels[:] = numpy.arange(count)[:, None, None, None]
    return Images(pixels, numpy.array(range(count) if labels is None else labels, dtype=numpy.int64))


def textured(count: int) -> Images:
    source = numpy.random.default_rng(count)
    return Images(source.integers(1, 256, (count, 2, 3, 4), dtype=numpy.uint8), numpy.arange(count))


def numbers(pixels: Tensor) -> list[int]:
    """Return the numbers of numbered images, all of whose pixels must agree."""
    values = (pixels * 255).round().long().flatten(1)
    assert (values == values[:, :1]).all()
    return values[:, 0].tolist()


def variants(images: Images, padding: int) -> list[set[bytes]]:
    """Return for each image all that it can be cropped and mirrored to."""
    frame = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    framed = numpy.pad(images.pixels, frame)
    _, _, height, width = images.pixels.shape
    found: list[set[bytes]] = [set() for _ in range(len(images))]
    for row, column in itertools.product(range(2 * padding + 1), repeat=2):
        crops = framed[:, :, row : row + height, column : column + width]
        for one, crop in zip(found, crops, strict=True):
            one.update((crop.tobytes(), crop[:, :, ::-1].tobytes()))
    return found


def as_bytes(pixels: Tensor) -> list[bytes]:
    return [image.tobytes() for image in (pixels * 255).round().to(torch.uint8).numpy()]
