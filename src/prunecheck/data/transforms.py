"""How training images are varied and how all images are normalised, where a user says so."""

import math
import re
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from prunecheck.constraints import Constraint
from prunecheck.data.channel_statistics import Statistics
from prunecheck.data.datasets import Augmentation, Dataset
from prunecheck.data.token_data import TokenDataset
from prunecheck.errors import InputError, field_name

NONE = "none"
"""Images are not varied; or their values are taken as they are."""

OF_TRAINING_PART = "dataset"
"""Images are normalised by the mean and the standard deviation of the training part."""

CROP = re.compile(r"crop=([1-9][0-9]{0,5})")
NORMALIZE_PARTS = ("mean", "std")


@dataclass(frozen=True)
class AugmentText(Constraint[str]):
    """How training images are varied, as text: ``none``, ``crop=4``, ``flip``, ``crop=4,flip``."""

    @property
    def takes(self) -> str:
        """What is taken, in words."""
        return "none, or crop=PIXELS, flip, or both with a comma between them, such as 'crop=4,flip'"

    def read(self, value: object) -> str:
        """Return the text as specs have it."""
        if not isinstance(value, str):
            raise self.refusal(value)
        words = [word.strip() for word in value.split(",")]
        crops = [word for word in words if CROP.fullmatch(word)]
        flips = [word for word in words if word == "flip"]
        if words == [NONE]:
            return NONE
        if len(crops) > 1 or len(flips) > 1 or len(crops) + len(flips) < len(words):
            raise self.refusal(value)
        return ",".join(crops + flips)


@dataclass(frozen=True)
class NormalizeText(Constraint[str]):
    """How images are normalised, as text: ``none``, ``dataset``, ``mean=0.5,0.5,0.5 std=0.2,0.2,0.2``."""

    @property
    def takes(self) -> str:
        """What is taken, in words."""
        return "none, dataset, or mean and std (above 0) of each channel or of all, such as 'mean=0.5 std=0.2'"

    def read(self, value: object) -> str:
        """Return the text as specs have it."""
        if not isinstance(value, str):
            raise self.refusal(value)
        if value.strip() in (NONE, OF_TRAINING_PART):
            return value.strip()
        parts = dict(part.partition("=")[::2] for part in value.split())
        if sorted(parts) != sorted(NORMALIZE_PARTS) or len(value.split()) != len(NORMALIZE_PARTS):
            raise self.refusal(value)
        try:
            mean, std = (tuple(float(number) for number in parts[part].split(",")) for part in NORMALIZE_PARTS)
        except ValueError:
            raise self.refusal(value) from None
        is_finite = all(map(math.isfinite, (*mean, *std)))
        if not (is_finite and min(std) > 0 and (len(mean) == len(std) or 1 in (len(mean), len(std)))):
            raise self.refusal(value)
        return f"mean={_numbers(mean)} std={_numbers(std)}"


AUGMENT = AugmentText()
NORMALIZE = NormalizeText()


def _numbers(values: tuple[float, ...]) -> str:
    return ",".join(repr(value + 0.0).removesuffix(".0") for value in values)


def transformed(dataset: Dataset, augment: str | None, normalize: str | None) -> Dataset:
    """Return a data set whose training images are varied, and all images normalised, as texts say.

    Args:
        dataset: whole, for the mean and the standard deviation are those of all of its training images.
        augment: see :data:`AUGMENT`; None for the set's own.
        normalize: see :data:`NORMALIZE`; None for the set's own. Means and standard deviations are those of uint8
            scaled to [0, 1], and of floats as they are.

    Raises:
        InputError: a frame is as wide as the images, or there are not as many numbers as channels.
    """
    if isinstance(dataset, TokenDataset) and (augment, normalize) != (None, None):
        name = "augment" if augment is not None else "normalize"
        raise InputError(
            f"{field_name(name)} is about images, and {dataset.name} holds tokens: leave it out.", field=name
        )
    if augment is not None:
        dataset = replace(dataset, augmentation=_augmentation(dataset, augment))
    if normalize is not None:
        mean, deviation = _normalization(dataset, normalize)
        dataset = replace(dataset, mean=mean, deviation=deviation)
    return dataset


def in_sequences(dataset: Dataset, sequence_length: int | None) -> Dataset:
    """Return a data set of tokens in sequences of a length; None for its own.

    Raises:
        InputError: it holds images, or too few tokens for one sequence.
    """
    if sequence_length is None:
        return dataset.of_length(None) if isinstance(dataset, TokenDataset) and _is_uncut(dataset) else dataset
    if not isinstance(dataset, TokenDataset):
        raise InputError(
            f"{field_name('sequence_length')} is about tokens, and {dataset.name} holds images: leave it out.",
            field="sequence_length",
        )
    return dataset.of_length(sequence_length)


def _is_uncut(dataset: Dataset) -> bool:
    """Say whether tokens are too few for sequences of the usual length."""
    return isinstance(dataset, TokenDataset) and not len(dataset.train)


_changed: "WeakKeyDictionary[Dataset, dict[tuple[object, ...], Dataset]]" = WeakKeyDictionary()
"""What was made of data sets so far: once for all questions about them, and for all runs that a process does."""


def as_spec_says(
    dataset: Dataset,
    augment: str | None,
    normalize: str | None,
    train_images: int | None,
    test_images: int | None,
    sequence_length: int | None = None,
) -> Dataset:
    """Return a data set as the setting of a run describes it.

    See :func:`transformed`, :func:`in_sequences` and :meth:`Dataset.shortened`.
    """
    changes = augment, normalize, train_images, test_images, sequence_length
    if changes == (None,) * len(changes) and not _is_uncut(dataset):
        return dataset
    made = _changed.setdefault(dataset, {})
    if changes not in made:
        changed = in_sequences(transformed(dataset, augment, normalize), sequence_length)
        made[changes] = changed.shortened(train_images, test_images)
    return made[changes]


def other_than_own(dataset: Dataset, augment: str | None, normalize: str | None) -> tuple[str | None, str | None]:
    """Return texts as specs have them: None where what they say is what the data set does by itself.

    Raises:
        InputError: see :func:`transformed`.
    """
    changed = transformed(dataset, augment, normalize)
    is_normalized_so = (changed.mean, changed.deviation) == (dataset.mean, dataset.deviation)
    return (
        None if changed.augmentation == dataset.augmentation else augment,
        None if is_normalized_so else normalize,
    )


def _augmentation(dataset: Dataset, augment: str) -> Augmentation:
    words = augment.split(",")
    padding = next((int(found[1]) for word in words if (found := CROP.fullmatch(word))), 0)
    _, height, width = dataset.image_shape
    if padding >= min(height, width):
        raise InputError(
            f"{field_name('augment')} crop={padding} moves images of {dataset.name}, which are {height}x{width}, "
            f"out of sight: give at most {min(height, width) - 1} pixels.",
            field="augment",
        )
    return Augmentation(padding, flip="flip" in words)


def _normalization(dataset: Dataset, normalize: str) -> Statistics:
    channels = dataset.image_shape[0]
    if normalize == NONE:
        return (0.0,) * channels, (1.0,) * channels
    if normalize == OF_TRAINING_PART:
        return dataset.measured
    mean, std = (tuple(map(float, part.partition("=")[2].split(","))) for part in normalize.split())
    given = max(len(mean), len(std))
    if given not in (1, channels):
        plural = "s" if channels > 1 else ""
        raise InputError(
            f"{field_name('normalize')} has {given} numbers and images of {dataset.name} have {channels} "
            f"channel{plural}: give one for each, or one for all.",
            field="normalize",
        )
    return mean * (channels // len(mean)), std * (channels // len(std))
