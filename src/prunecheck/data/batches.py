"""Batches cut, augmented and normalised where the images lie: on the device, as uint8.

Everything random is drawn on the CPU, per epoch, so that an epoch is the same on every device and
can be repeated by its number alone.
"""

import math
from collections.abc import Callable, Iterator

import numpy
import torch
from torch import Tensor
from torch.nn import functional

from prunecheck.data.datasets import Augmentation, Dataset, Images
from prunecheck.errors import InputError
from prunecheck.randomness import generator

Batch = tuple[Tensor, Tensor]

EVALUATION_BATCH_SIZE = 256


class Batches:
    """The images of one part of a data set on a device, served in batches.

    Args:
        images: what to serve.
        dataset: whose normalisation and augmentation apply.
        batch_size: images per batch; the last batch of an epoch is what is left.
        device: where the images are kept and the batches are made.
        channels_last: whether float images have their channels innermost in memory.
    """

    def __init__(
        self,
        images: Images,
        dataset: Dataset,
        batch_size: int,
        device: torch.device | str = "cpu",
        channels_last: bool = False,
    ) -> None:
        self.pixels = torch.from_numpy(images.pixels).to(device)
        self.labels = torch.from_numpy(images.labels).to(device)
        self.batch_size = batch_size
        self.augmentation = dataset.augmentation
        shape = (1, -1, 1, 1)
        self.mean = torch.tensor(dataset.mean, device=device).view(shape) * 255
        self.deviation = torch.tensor(dataset.deviation, device=device).view(shape) * 255
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil(len(self.labels) / self.batch_size)

    def epoch(self, seed: int, number: int) -> Iterator[Batch]:
        """Yield one epoch's batches, shuffled and augmented.

        Args:
            seed: the run's seed.
            number: which epoch; each has an order and an augmentation of its own.

        Yields:
            float32 images (batch, channels, height, width) and int64 labels (batch,).
        """
        count, device = len(self.labels), self.labels.device
        order = torch.randperm(count, generator=generator(seed, "data order", number)).to(device)
        shifts, mirrored = draw_augmentation(count, self.augmentation, generator(seed, "augmentation", number))
        shifts, mirrored = shifts.to(device), mirrored.to(device)
        for start in range(0, count, self.batch_size):
            stop = start + self.batch_size
            chosen = order[start:stop]
            pixels = augment(self.pixels[chosen], self.augmentation, shifts[start:stop], mirrored[start:stop])
            yield self.normalise(pixels), self.labels[chosen]

    def in_order(self) -> Iterator[Batch]:
        """Yield all images in file order, as they are."""
        for start in range(0, len(self.labels), self.batch_size):
            stop = start + self.batch_size
            yield self.normalise(self.pixels[start:stop]), self.labels[start:stop]

    def normalise(self, pixels: Tensor) -> Tensor:
        """Turn uint8 pixels into float32 of mean 0 and deviation 1 per channel of the training set."""
        floats = pixels.to(torch.float32, memory_format=self.memory_format)
        return floats.sub_(self.mean).div_(self.deviation)


def draw_augmentation(count: int, augmentation: Augmentation, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw the crop offsets (int64, (count, 2), in [0, 2 padding]) and the mirroring (bool, (count,))."""
    shifts = torch.randint(2 * augmentation.padding + 1, (count, 2), generator=source)
    mirrored = torch.rand(count, generator=source) < (0.5 if augmentation.flip else 0)
    return shifts, mirrored


def augment(pixels: Tensor, augmentation: Augmentation, shifts: Tensor, mirrored: Tensor) -> Tensor:
    """Crop each image out of its zero-padded frame and mirror some of them.

    Args:
        pixels: (N, channels, height, width).
        augmentation: how far the frame reaches, and whether to mirror at all.
        shifts: int64, (N, 2); row and column of the frame at which the crop begins.
        mirrored: bool, (N,).

    Returns:
        A tensor of the shape and dtype of ``pixels``.
    """
    count, channels, height, width = pixels.shape
    device, padding = pixels.device, augmentation.padding
    columns = torch.arange(width, device=device).expand(count, width)
    if augmentation.flip:
        columns = torch.where(mirrored[:, None], width - 1 - columns, columns)
    elif padding == 0:
        return pixels
    rows = torch.arange(height, device=device)[None] + shifts[:, :1]
    framed = functional.pad(pixels, (padding,) * 4)
    image = torch.arange(count, device=device)[:, None, None, None]
    channel = torch.arange(channels, device=device)[None, :, None, None]
    return framed[image, channel, rows[:, None, :, None], (columns + shifts[:, 1:])[:, None, None, :]]


def scoring_batch(
    images: Images,
    dataset: Dataset,
    per_class: int,
    seed: int,
    change: Callable[[Images], Images] = lambda images: images,
) -> Batch:
    """Draw the batch that a pruning criterion sees: the same number of images of every class.

    As in the published code, images come from the shuffled, augmented training set and lie sorted
    by class.

    Args:
        images: the training images; the choice is balanced by their labels.
        dataset: whose normalisation and augmentation apply.
        per_class: images of each class.
        seed: the run's seed.
        change: a corruption of the chosen images, which are a copy: the same images are seen with
            and without it.

    Returns:
        float32 images (classes * per_class, channels, height, width) and int64 labels, on the CPU.

    Raises:
        InputError: a class has fewer images than asked for.
    """
    order = torch.randperm(len(images), generator=generator(seed, "scoring data")).numpy()
    chosen = []
    for label in range(dataset.num_classes):
        members = order[images.labels[order] == label]
        if len(members) < per_class:
            raise InputError(
                f"class {label} of {dataset.name} has {len(members)} training images and the criterion "
                f"needs {per_class} of each class: use a larger data set or fewer samples a class."
            )
        chosen.append(members[:per_class])
    indices = numpy.concatenate(chosen)
    seen = change(Images(images.pixels[indices], images.labels[indices]))
    batches = Batches(seen, dataset, batch_size=len(seen))
    draws = draw_augmentation(len(seen), dataset.augmentation, generator(seed, "scoring augmentation"))
    return batches.normalise(augment(batches.pixels, dataset.augmentation, *draws)), batches.labels
