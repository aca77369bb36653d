"""What a data set is, and the register of them."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from prunecheck.registry import Registry


@dataclass(frozen=True)
class Images:
    """Labelled images.

    Attributes:
        pixels: uint8, (N, channels, height, width).
        labels: int64, (N,), in [0, number of classes).
    """

    pixels: NDArray[numpy.uint8]
    labels: NDArray[numpy.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Augmentation:
    """How training images are varied: cropped from a zero-padded frame, and mirrored half of the time.

    Attributes:
        padding: pixels of zeros on each side; 0 crops nothing.
        flip: whether images are mirrored left to right.
    """

    padding: int
    flip: bool


@dataclass(frozen=True)
class Suggestion:
    """The network and recipe with which a check of this data set is decidable on a laptop."""

    model: str
    width: int | None
    epochs: int
    batch_size: int
    learning_rate: float


@dataclass(frozen=True)
class Dataset:
    """A data set in memory.

    Attributes:
        mean: per channel, of pixels scaled to [0, 1]; subtracted.
        deviation: per channel, of pixels scaled to [0, 1]; divided by.
    """

    name: str
    train: Images
    test: Images
    num_classes: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    augmentation: Augmentation
    suggestion: Suggestion

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        _, channels, height, width = self.train.pixels.shape
        return channels, height, width


DATASETS: Registry[Callable[[], Dataset]] = Registry("data set", "prunecheck.datasets")


def register_dataset(name: str) -> Callable[[Callable[[], Dataset]], Callable[[], Dataset]]:
    """Register a function that returns a :class:`Dataset` under ``name``."""
    return DATASETS.register(name)


@functools.cache
def load_dataset(name: str) -> Dataset:
    """Return a data set by name, read once per process.

    Raises:
        InputError: no data set has this name.
    """
    return DATASETS.get(name)()
