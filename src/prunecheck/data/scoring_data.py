"""What a pruning criterion sees of a data set: a few batches of samples, the training set, or a blank image."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from prunecheck.data.augmentation import augment, draw_augmentation
from prunecheck.data.batches import Batch, Batches
from prunecheck.data.datasets import Dataset, Images
from prunecheck.data.inputs import blank_inputs
from prunecheck.data.token_data import Sequences
from prunecheck.errors import InputError
from prunecheck.randomness import derive_seed, generator


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
