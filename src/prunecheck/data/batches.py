"""Batches cut, augmented and normalised where the images lie: on the device, as uint8 or float32.

Everything random is drawn on the CPU, per epoch, so that an epoch is the same on every device and
can be repeated by its number alone.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from prunecheck.data.augmentation import augment, crop, cut_out, draw_augmentation, draw_centres, framed, mirror
from prunecheck.data.datasets import Dataset, Images
from prunecheck.data.inputs import TokenShape, blank_inputs
from prunecheck.data.token_data import Sequences
from prunecheck.errors import InputError
from prunecheck.randomness import derive_seed, generator

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
        return len(self._bounds())

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
        sizes = [stop - start for start, stop in self._bounds()]
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
        for start, stop in self._bounds():
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


@dataclass(frozen=True)
class ScoringData:
    """What a pruning criterion may look at.

    Attributes:
        samples: batches with the same number of images of every class; see :func:`scoring_samples`.
        new_samples: the same, but that each pass over them draws others; see :class:`NewSamples`.
        training_set: all training images; each pass over it is another epoch, shuffled and augmented.
        shape_only: a batch of one blank image, for what only needs to know how large images are.
        calibration: the sequences of tokens that a method after training sees, int64 (sequences, T).
    """

    samples: Sequence[Batch] = ()
    new_samples: "NewSamples | Sequence[Batch]" = ()
    training_set: "TrainingEpochs | Sequence[Batch]" = ()
    shape_only: Sequence[Batch] = ()
    calibration: Tensor | None = None


def blank_batch(image_shape: tuple[int, ...]) -> Batch:
    """Return a batch of one image of zeros (1, channels, height, width), of class 0; likewise of one sequence."""
    blank = blank_inputs(1, image_shape)
    return blank, torch.zeros(1 if blank.is_floating_point() else blank.numel(), dtype=torch.int64)


class TrainingEpochs:
    """The training images for a criterion that learns: each pass over them is another epoch.

    Args:
        batches: what is served.
        seed: the run's seed; the order and augmentation are not those of the ticket's training.
    """

    def __init__(self, batches: Batches, seed: int) -> None:
        self._batches = batches
        self._seed = derive_seed(seed, "scoring epochs")
        self._passes = 0

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        self._passes += 1
        return self._batches.epoch(self._seed, self._passes - 1)


class NewSamples:
    """Scoring samples for a criterion in rounds: each pass over them draws others.

    Args:
        images: returns the training images to choose from, changed already; called by the first pass.
        dataset: whose normalisation and augmentation apply.
        per_class: images of each class in a batch.
        rounds: how many batches there are in a pass.
        seed: the run's seed.
        device: where the batches go.
    """

    def __init__(
        self,
        images: Callable[[], Images],
        dataset: Dataset,
        per_class: int,
        rounds: int,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self._images = functools.cache(images)
        self._dataset = dataset
        self._amount = (per_class, rounds)
        self._seed = seed
        self._device = device
        self._passes = 0

    def __len__(self) -> int:
        return self._amount[1]

    def __iter__(self) -> Iterator[Batch]:
        self._passes += 1
        seed, images = derive_seed(self._seed, "scoring pass", self._passes), self._images()
        order = torch.randperm(len(images), generator=generator(seed, "scoring data")).numpy()
        chosen = order[_balanced(images.labels[order], *self._amount)]
        for x, y in _augmented(images[chosen], self._dataset, len(self), seed):
            yield x.to(self._device), y.to(self._device)


IMAGES_CHANGED_FIRST = (4, 32)
"""How many images of the shuffled set are changed before the choice: so many times as the criterion needs, and
so many of each class besides. Labels drawn uniformly then fall short of a class once in millions of seeds."""


def scoring_samples(
    images: Images,
    dataset: Dataset,
    per_class: int,
    rounds: int,
    seed: int,
    change: Callable[[Images], Images] = lambda images: images,
) -> list[Batch]:
    """Draw the batches that a pruning criterion sees: the same number of images of every class in each.

    As in the published code the training set is changed first; then its images are gone through in random
    order, and of each of the labels that they have now the first are taken. They are augmented as for
    training and lie sorted by class.

    Args:
        images: the training images to choose from.
        dataset: whose normalisation and augmentation apply.
        per_class: images of each class in a batch; of a class that has no image, none are asked for. Of tokens,
            sequences in a batch.
        rounds: how many batches, of different images.
        seed: the run's seed.
        change: a corruption, which returns as many images as it is given, in their order. If it leaves
            labels alone, the same images are chosen with and without it.

    Returns:
        Per round, float32 images (classes * per_class, channels, height, width) and int64 labels,
        on the CPU. Where a change leaves fewer images of a label than are asked for, these are seen
        again, under another augmentation.

    Raises:
        InputError: a class has fewer images than asked for, by the labels that were given.
    """
    needed = per_class * rounds
    _require_samples(images, dataset, needed)
    changed = _changed_until_every_class_has(needed, images, dataset.num_classes, seed, change)
    return _augmented(changed[_balanced(changed.labels, per_class, rounds)], dataset, rounds, seed)


def _balanced(labels: NDArray[numpy.int64], per_class: int, rounds: int) -> NDArray[numpy.int64]:
    """Return the indices of the first of each label: those of the first batch by class, then of the second.

    Sequences of tokens have no classes: the first of them all are returned.
    """
    if labels.ndim > 1:
        return numpy.resize(numpy.arange(len(labels)), per_class * rounds)
    chosen: list[list[NDArray[numpy.int64]]] = [[] for _ in range(rounds)]
    for label in numpy.unique(labels):
        members = numpy.resize(numpy.flatnonzero(labels == label), per_class * rounds)
        for part, taken in zip(chosen, numpy.split(members, rounds), strict=True):
            part.append(taken)
    return numpy.concatenate([indices for part in chosen for indices in part])


def _augmented(images: Images, dataset: Dataset, rounds: int, seed: int) -> list[Batch]:
    """Return images as so many batches of one size, augmented and normalised."""
    batches = Batches(images, dataset, batch_size=len(images) // rounds)
    draws = draw_augmentation(len(images), dataset.augmentation, generator(seed, "scoring augmentation"))
    seen = batches.normalise(augment(batches.pixels, dataset.augmentation, *draws))
    return list(zip(seen.chunk(rounds), map(batches.labels_of, batches.labels.chunk(rounds)), strict=True))


def _require_samples(images: Images, dataset: Dataset, needed: int) -> None:
    if isinstance(images, Sequences):
        if len(images) < needed:
            raise InputError(
                f"{dataset.name} has {len(images)} training sequences and the criterion needs {needed}: use a longer "
                "text or fewer samples."
            )
        return
    for label, count in zip(*numpy.unique(images.labels, return_counts=True), strict=True):
        if count < needed:
            raise InputError(
                f"class {label} of {dataset.name} has {count} training images and the criterion "
                f"needs {needed} of each class: use a larger data set or fewer samples a class."
            )


def _changed_until_every_class_has(
    needed: int, images: Images, num_classes: int, seed: int, change: Callable[[Images], Images]
) -> Images:
    """Return the beginning of the shuffled and changed set in which every class has enough, if all of it has.

    To change a whole set for the sake of a few images would take seconds to minutes.
    """
    order = torch.randperm(len(images), generator=generator(seed, "scoring data")).numpy()
    if isinstance(images, Sequences):
        return change(images[order[:needed]])
    times, besides = IMAGES_CHANGED_FIRST
    count = (times * needed + besides) * num_classes
    while True:
        changed = change(images[order[:count]])
        if count >= len(order) or (numpy.bincount(changed.labels, minlength=num_classes) >= needed).all():
            return changed
        count *= 2
