"""Batches cut, augmented and normalised where the images lie: on the device, as uint8 or float32.

Everything random is drawn on the CPU, per epoch, so that an epoch is the same on every device and
can be repeated by its number alone.
"""

import functools
from collections.abc import Iterator
from itertools import pairwise

import numpy
import torch
from torch import Tensor

from prunecheck.data.augmentation import augment, crop, cut_out, draw_augmentation, draw_centres, framed, mirror
from prunecheck.data.datasets import Dataset, Images
from prunecheck.data.inputs import TokenShape
from prunecheck.data.token_data import Sequences
from prunecheck.randomness import generator

Batch = tuple[Tensor, Tensor]
Draws = tuple[Tensor, ...]

EVALUATION_BATCH_SIZE = 256

MOST_LOGITS = 2**24
"""So many numbers the logits of a batch of tokens have at most, if the logits of one sequence are fewer."""


MOST_HELD = 2**24
"""So many numbers, 64 MiB, the normalised images of a part have at most that are held beside it."""


def evaluation_batch_size(dataset: Dataset) -> int:
    """Return how many images, or sequences of tokens, are tested at a time."""
    shape = dataset.image_shape
    if not isinstance(shape, TokenShape):
        return EVALUATION_BATCH_SIZE
    return max(2, min(EVALUATION_BATCH_SIZE, MOST_LOGITS // (shape.length * shape.vocabulary)))


class Batches:
    """The images of one part of a data set on a device, served in batches.

    Args:
        images: what to serve.
        dataset: whose normalisation and augmentation apply.
        batch_size: images per batch; the last batch of an epoch is what is left, and never a single image.
        device: where the images are kept and the batches are made.
        channels_last: whether float images have their channels innermost in memory.
        cutout: side of the square that is cut out of each image of an epoch, pixels; 0 for none.
    """

    def __init__(
        self,
        images: Images,
        dataset: Dataset,
        batch_size: int,
        device: torch.device | str = "cpu",
        channels_last: bool = False,
        cutout: int = 0,
    ) -> None:
        self.cutout = cutout
        self.are_tokens = isinstance(images, Sequences)
        pixels, labels = images.pixels, images.labels
        if self.are_tokens:  # of which uint8 can be chosen from, and not other unsigned numbers
            pixels, labels = (
                part if part.dtype == numpy.uint8 else part.astype(numpy.int64) for part in (pixels, labels)
            )
        self.pixels = torch.from_numpy(pixels).to(device)
        self.labels = torch.from_numpy(labels).to(device)
        self.batch_size = batch_size
        self.in_file_order = images.in_file_order
        self.augmentation = dataset.augmentation
        shape = (1, -1, 1, 1)
        self.mean = torch.tensor(dataset.mean, device=device).view(shape) * images.unit
        self.deviation = torch.tensor(dataset.deviation, device=device).view(shape) * images.unit
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self._bounds)

    @functools.cached_property
    def _bounds(self) -> list[tuple[int, int]]:
        """Return where batches start and stop; a rest of one joins the last batch, for batch norm needs two."""
        count = len(self.labels)
        starts = list(range(0, count, self.batch_size))
        if len(starts) > 1 and count - starts[-1] == 1:
            starts.pop()
        return list(pairwise([*starts, count]))

    def epoch(self, seed: int, number: int) -> Iterator[Batch]:
        """Yield one epoch's batches, augmented, and shuffled unless the images keep their file order.

        Args:
            seed: the run's seed.
            number: which epoch; each has an order and an augmentation of its own.

        Yields:
            float32 images (batch, channels, height, width) and int64 labels (batch,); of tokens, int64 (batch, T), and
            the tokens that follow them, int64 (batch * T,).
        """
        for draws in self.draws(seed, number):
            yield self.drawn(*draws)

    def draws(self, seed: int, number: int) -> Iterator[Draws]:
        """Yield what an epoch's batches are made of, on the device: each batch is :meth:`drawn` by it.

        Where the work of a batch is repeated as it was recorded, these few numbers are what changes.
        """
        count, device = len(self.labels), self.labels.device
        order = torch.arange(count)
        if not self.in_file_order:
            order = torch.randperm(count, generator=generator(seed, "data order", number))
        shifts, mirrored = draw_augmentation(count, self.augmentation, generator(seed, "augmentation", number))
        drawn = [order, shifts, mirrored]
        if self.cutout:
            height, width = self.pixels.shape[2:]
            drawn.append(draw_centres(count, height, width, generator(seed, "cutout", number)))
        drawn = [numbers.to(device) for numbers in drawn]
        sizes = [stop - start for start, stop in self._bounds]
        yield from zip(*(torch.split(numbers, sizes) for numbers in drawn), strict=True)

    def drawn(self, chosen: Tensor, shifts: Tensor, mirrored: Tensor, centres: Tensor | None = None) -> Batch:
        """Return a batch; nothing in here waits for the device.

        Args:
            chosen: int64, (batch,); which images.
            shifts: see :func:`augment`.
            mirrored: see :func:`augment`.
            centres: see :func:`cut_out`; None where nothing is cut out.
        """
        if (frames := self._frames) is None:
            x = self.normalise(augment(self.pixels.index_select(0, chosen), self.augmentation, shifts, mirrored))
        else:
            x = crop(frames, self.augmentation, chosen, shifts)
            x = mirror(x, mirrored) if self.augmentation.flip else x
            x = x.contiguous(memory_format=self.memory_format)
        if centres is not None:
            cut_out(x, self.cutout, centres)
        return x, self.labels_of(self.labels.index_select(0, chosen))

    @functools.cached_property
    def _frames(self) -> Tensor | None:
        """All images in their frames, normalised once; None for more than are to be held so, on a GPU, and for tokens.

        A batch of small images, which a small network learns in milliseconds, takes half the time by them.
        """
        if self.are_tokens:
            return None
        channels, height, width = self.pixels.shape[1:]
        wider = 2 * self.augmentation.padding
        count = len(self.pixels) * channels * (height + wider) * (width + wider)
        return self.normalise(framed(self.pixels, self.augmentation)).contiguous() if self._is_held(count) else None

    def _is_held(self, count: int) -> bool:
        """Say whether so many normalised numbers are held beside the pixels."""
        return count <= MOST_HELD and not self.are_tokens and self.pixels.device.type == "cpu"

    def in_order(self) -> Iterator[Batch]:
        """Yield all images in file order, as they are."""
        for start, stop in self._bounds:
            held = self._normalised
            x = self.normalise(self.pixels[start:stop]) if held is None else held[start:stop].clone()
            yield x, self.labels_of(self.labels[start:stop])

    @functools.cached_property
    def _normalised(self) -> Tensor | None:
        """All images, normalised once; None where they are not to be held so, see :attr:`_frames`."""
        return self.normalise(self.pixels) if self._is_held(self.pixels.numel()) else None

    def all_labels(self) -> Tensor:
        """Return the labels of all images in file order, as batches have them; a tensor of the caller's own."""
        return self.labels_of(self.labels).clone()

    def labels_of(self, labels: Tensor) -> Tensor:
        """Return labels as batches have them: those of tokens in one dimension, int64."""
        return labels.flatten().to(torch.int64) if self.are_tokens else labels

    def normalise(self, pixels: Tensor) -> Tensor:
        """Turn pixels into new float32 of mean 0 and deviation 1 per channel of the training set; tokens into int64."""
        if self.are_tokens:
            return pixels.to(torch.int64)
        floats = pixels.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
        floats.sub_(self.mean).div_(self.deviation)
        if self.memory_format == torch.contiguous_format:
            return floats
        # Rearranged last, for arithmetic with a number per channel is slow where channels are innermost.
        return floats.clone(memory_format=self.memory_format)
