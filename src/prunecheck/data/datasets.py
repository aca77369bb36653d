"""What a data set is, and the register of them."""

import functools
import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy
from numpy.typing import NDArray

from prunecheck.data.channel_statistics import Statistics, mean_and_deviation
from prunecheck.errors import InputError, field_name
from prunecheck.registry import Origin, Registry
from prunecheck.user_code import Reference, find_reference, is_reference


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images; two are equal if they are the same object, as for :class:`Dataset`.

    Attributes:
        pixels: uint8, or float32 in units of the user's own, (N, channels, height, width); perhaps a memory map,
            which is not written to.
        labels: int64, (N,), in [0, number of classes).
        in_file_order: whether training goes through them in this order in every epoch, unshuffled.
    """

    pixels: NDArray[Any]
    labels: NDArray[numpy.int64]
    in_file_order: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def unit(self) -> float:
        """What a pixel holds that counts as 1 in means and deviations: 255 of uint8, 1 of floats."""
        return 255.0 if self.pixels.dtype == numpy.uint8 else 1.0

    def __getitem__(self, indices: NDArray[numpy.int64]) -> "Images":
        return replace(self, pixels=self.pixels[indices], labels=self.labels[indices])


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
    """The network and recipe with which a check of this data set is a good start.

    Attributes:
        recipe: the name of the recipe that has the rest; None for SGD with momentum and the published schedule.
    """

    model: str
    width: int | None
    epochs: int
    batch_size: int
    learning_rate: float
    recipe: str | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory.

    Attributes:
        mean: per channel, of uint8 scaled to [0, 1], or of floats as they are; subtracted.
        deviation: per channel, likewise; divided by.
        fingerprint: SHA-256 of what was read, for a set that its name does not determine: a user's
            own, or a sample; None for one that is the publisher's, hash for hash.
        is_stand_in: whether it has the shape of a published set and none of its images.
    """

    name: str
    train: Images
    test: Images
    num_classes: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    augmentation: Augmentation
    suggestion: Suggestion
    fingerprint: str | None = None
    is_stand_in: bool = False

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Channels, height and width of an image; see :data:`prunecheck.data.inputs.InputShape`."""
        _, channels, height, width = self.train.pixels.shape
        return channels, height, width

    @property
    def chance_accuracy(self) -> float:
        """Accuracy, percent, of always guessing the commonest class of the test part."""
        return 100 * int(numpy.bincount(self.test.labels.ravel()).max()) / self.test.labels.size

    @property
    def usual_metric(self) -> str:
        """The name of what runs are judged by unless the user says otherwise."""
        return "accuracy"

    @functools.cached_property
    def measured(self) -> Statistics:
        """Means and deviations of the training part, by channel, in the units of ``mean`` and ``deviation``."""
        return mean_and_deviation(self.train.pixels)

    def shortened(self, train_images: int | None, test_images: int | None) -> "Dataset":
        """Return the set with so many images of each part, as many of every class, the first in file order.

        Args:
            train_images: of the training part; None for all.
            test_images: of the test part; None for all.

        Raises:
            InputError: a part has fewer images, or not enough of a class.
        """
        return replace(
            self,
            train=_first_of_each_class(self, "train", train_images),
            test=_first_of_each_class(self, "test", test_images),
        )


@dataclass(frozen=True)
class DataPlaces:
    """Where data sets lie.

    Attributes:
        roots: folders that hold data sets in their publishers' layouts, searched in this order.
        cache: folder for what is fetched, and for decoded arrays that all processes share.
        may_be_missing: whether something of its shape stands in for a published set that lies in none of them: for
            plans, which look at no image.
    """

    roots: tuple[Path, ...]
    cache: Path
    may_be_missing: bool = False


def _first_of_each_class(dataset: Dataset, part: str, count: int | None) -> Images:
    images: Images = getattr(dataset, part)
    if count is None:
        return images
    field = f"{part}_images"
    each, rest = divmod(count, dataset.num_classes)
    if count < dataset.num_classes or rest:
        raise InputError(
            f"{dataset.name} has {dataset.num_classes} classes, with as many {part} images of each: "
            f"{field_name(field)} takes a multiple of {dataset.num_classes}, not {count}.",
            field=field,
        )
    counts = numpy.bincount(images.labels, minlength=dataset.num_classes)
    if counts.min() < each:
        most = counts.min() * dataset.num_classes
        raise InputError(
            f"class {counts.argmin()} of {dataset.name} has {counts.min()} {part} images and "
            f"{field_name(field)} {count} needs {each} of each class: give {most} or less.",
            field=field,
        )
    chosen = [numpy.flatnonzero(images.labels == label)[:each] for label in range(dataset.num_classes)]
    return images[numpy.sort(numpy.concatenate(chosen))]


DatasetLoader = Callable[..., Dataset]

DATASETS: Registry[DatasetLoader] = Registry("data set", "prunecheck.datasets")

Loader = TypeVar("Loader", bound=DatasetLoader)

OF_PATH = ":<path>"
"""Ends the name of a kind of data set that lies where the user says, such as ``folder:<path>``."""


def register_dataset(name: str) -> Callable[[Loader], Loader]:
    """Register a function that returns a :class:`Dataset` under ``name``.

    One that takes ``places`` is given the :class:`DataPlaces`. If the name ends in ``:<path>``, the
    function is first given that path.
    """
    return DATASETS.register(name)


AnyDataset = str | Callable[..., Any] | Dataset | Reference | Mapping[str, Any] | Sequence[Any]
"""What names a data set: see :func:`load_dataset`."""


def load_dataset(dataset: AnyDataset, places: DataPlaces | None = None) -> Dataset:
    """Return a data set by name, read once per process, or as users' own code makes it.

    Args:
        dataset: a registered name; a kind and a path, such as ``folder:PATH``; ``FILE.py:FUNCTION`` or
            ``package.module:FUNCTION``; such a function, which returns ``(x_train, y_train, x_test, y_test)`` as arrays
            or tensors, a pair ``(train, test)`` of data sets or data loaders of torch, a mapping of either, see
            :func:`prunecheck.data.parts.read_parts`, or a :class:`Dataset`; or what it returns itself.
        places: where data sets lie; not needed for one that ships with a package.

    Raises:
        InputError: no data set has this name, it lies in none of the places, it is damaged, or a function
            returns something else.
    """
    name, own = named_dataset(dataset)
    if own is None:
        return _registered(name, places)
    from prunecheck.data.user_datasets import dataset_of_users  # which registers kinds here

    return dataset_of_users(own, places)


def _registered(name: str, places: DataPlaces | None) -> Dataset:
    if (name, places) not in _read:
        _read[name, places] = _read_by_name(name, places)
    return _read[name, places]


_read: dict[tuple[str, DataPlaces | None], Dataset] = {}


def was_read_by_name(dataset: Dataset) -> bool:
    """Say whether a data set is one that :func:`load_dataset` has returned for a name, and left as it was."""
    return any(dataset is read for read in _read.values())


def _read_by_name(name: str, places: DataPlaces | None) -> Dataset:
    kind, colon, path = name.partition(":")
    if colon and kind + OF_PATH in DATASETS.names():
        loader = DATASETS.get(kind + OF_PATH)
        dataset = loader(Path(path), **with_places(loader, places))
    else:
        loader = DATASETS.get(name)
        dataset = loader(**with_places(loader, places))
    # Of a data set of others the name says nothing, and what they call its fingerprint is theirs.
    return replace(dataset, fingerprint=content_fingerprint(dataset)) if dataset_origin(name) else dataset


def forget_datasets() -> None:
    """Have data sets read anew that this process has read by their names."""
    _read.clear()


def named_dataset(dataset: AnyDataset) -> tuple[str, Reference | Dataset | None]:
    """Return the text that names a data set, and what makes it in users' own code; None if the text finds it.

    Args:
        dataset: see :func:`load_dataset`.

    Raises:
        InputError: there is no such function.
    """
    if isinstance(dataset, str) and not _is_reference(dataset):
        return dataset, None
    if isinstance(dataset, Dataset):
        return dataset.name, None if was_read_by_name(dataset) else dataset
    if not isinstance(dataset, str | Reference):
        known = next((entry.name for entry in DATASETS if entry.item is dataset), None)
        if known:
            return known, None
        if not callable(dataset) and not isinstance(dataset, int | float | None):
            from prunecheck.data.user_datasets import dataset_of_objects

            made = dataset_of_objects(dataset)
            return made.name, made
    may_be = (Dataset, Mapping, tuple, list)
    if isinstance(dataset, Reference):
        return dataset.name, dataset
    found = find_reference("data set", dataset, may_be=may_be, supplied=("places",))
    return found.name, found


def _is_reference(name: str) -> bool:
    """Say whether a name is that of users' own code, and not of a kind and a path."""
    kind = name.partition(":")[0]
    return is_reference(name) and name not in DATASETS.names() and kind + OF_PATH not in DATASETS.names()


def dataset_origin(name: str) -> Origin | None:
    """Return whose code reads a data set; None for prunecheck's own."""
    kind, colon, _ = name.partition(":")
    return DATASETS.origin_of(kind + OF_PATH if colon else name)


def content_fingerprint(dataset: Dataset) -> str:
    """Return a SHA-256 of what a run depends on: images, labels, classes, normalisation, augmentation."""
    digest = hashlib.sha256()
    for images in (dataset.train, dataset.test):
        for array in (images.pixels, images.labels):
            digest.update(f"{array.dtype} {array.shape} {images.in_file_order}\n".encode())
            digest.update(numpy.ascontiguousarray(array).data)
    described = (dataset.num_classes, dataset.mean, dataset.deviation, dataset.augmentation)
    digest.update(repr(described).encode())
    return digest.hexdigest()


def with_places(loader: DatasetLoader, places: DataPlaces | None) -> dict[str, DataPlaces | None]:
    """Return ``places`` as an argument if a loader takes it."""
    return {"places": places} if "places" in inspect.signature(loader).parameters else {}
