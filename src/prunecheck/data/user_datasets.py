"""A user's own images: a folder of image files by class, arrays in an .npz file, or what a function returns."""

import contextlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from prunecheck.data.cache import DecodedSet, decode_once, described
from prunecheck.data.datasets import (
    OF_PATH,
    Augmentation,
    DataPlaces,
    Dataset,
    Images,
    Suggestion,
    content_fingerprint,
    register_dataset,
    with_places,
)
from prunecheck.data.parts import read_parts
from prunecheck.data.readers.arrays import require_consistent
from prunecheck.data.readers.folder import read_image_folder
from prunecheck.data.readers.huggingface import read_huggingface
from prunecheck.data.readers.npz import read_npz
from prunecheck.data.sources import require_places
from prunecheck.errors import InputError
from prunecheck.observation import Observation
from prunecheck.randomness import seeded_global_generator
from prunecheck.user_code import Reference, global_state_kept
from prunecheck.user_code.failures import failure_named

SUGGESTION = Suggestion(model="resnet20", width=16, epochs=60, batch_size=64, learning_rate=0.1)
"""A small network and a middling budget: a start for images of which nothing is known."""


@register_dataset("folder" + OF_PATH)
def image_folder(path: Path, places: DataPlaces | None) -> Dataset:
    """Your own images: <path>/train/<class>/*.png (or jpg, bmp, webp), and <path>/test/<class>."""
    folder = path.expanduser()
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: folder:PATH takes one that holds train/<class> and test/<class>.")
    return _own_set(f"folder:{path}", folder, read_image_folder, places)


@register_dataset("npz" + OF_PATH)
def npz_file(path: Path, places: DataPlaces | None) -> Dataset:
    """Your own arrays: an .npz file with x_train, y_train, x_test and y_test."""
    file = path.expanduser()
    if not file.is_file():
        raise InputError(f"{file} is not a file: npz:PATH takes one with x_train, y_train, x_test and y_test.")
    return _own_set(f"npz:{path}", file, read_npz, places)


@register_dataset("huggingface" + OF_PATH)
def huggingface_folder(path: Path, places: DataPlaces | None) -> Dataset:
    """Your own data set of Hugging Face's datasets: a folder that DatasetDict.save_to_disk wrote."""
    folder = path.expanduser()
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: huggingface:PATH takes one that DatasetDict.save_to_disk wrote.")
    return _own_set(f"huggingface:{path}", folder, read_huggingface, places)


def own_augmentation(channels: int, height: int, width: int) -> Augmentation:
    """Return how images are varied of which nothing is known but their size.

    They are cropped from a frame an eighth of the shorter side wide, as CIFAR's are. Colour images are
    mirrored, grey ones are not: those are digits, letters and scans more often than photographs.
    """
    return Augmentation(padding=min(height, width) // 8, flip=channels == 3)


def _own_set(
    name: str, source: Path, read: Callable[[Path], tuple[Images, Images]], places: DataPlaces | None
) -> Dataset:
    folder = source if source.is_dir() else source.parent
    plain_name = source.resolve().name
    decoded = decode_once(plain_name, folder, [source], lambda: read(source), require_places(name, places).cache)
    return _dataset_of(name, decoded, decoded.fingerprint)


def _dataset_of(name: str, decoded: DecodedSet, fingerprint: str | None) -> Dataset:
    return Dataset(
        name=name,
        train=decoded.train,
        test=decoded.test,
        num_classes=int(decoded.train.labels.max()) + 1,
        mean=decoded.mean,
        deviation=decoded.deviation,
        augmentation=own_augmentation(*decoded.train.pixels.shape[1:]),
        suggestion=SUGGESTION,
        fingerprint=fingerprint,
    )


_made: dict[str | int, tuple[Reference, Dataset]] = {}
"""What functions have returned, by the text that finds them or their identity."""

_known: "WeakKeyDictionary[Dataset, Dataset]" = WeakKeyDictionary()
"""Data sets that users made, with what is known of their content."""


def dataset_of_users(given: Reference | Dataset, places: DataPlaces | None) -> Dataset:
    """Return a data set that a function of users returns, or that they made, known by its content.

    A function is called once in a process for every version of what it is made of and reads.

    Raises:
        InputError: a function fails, or returns something else.
    """
    if isinstance(given, Dataset):
        if given not in _known:
            _known[given] = _with_fingerprint(given, given.name)
        return _known[given]
    reference = given
    key = reference.argument or id(reference.item)
    if key in _made:
        earlier, dataset = _made[key]
        if not earlier.code.changed():
            return dataset
    with Observation() as seen:
        dataset = _returned(reference, places)
    reference.code.include(seen.files)
    _ = reference.code.hash
    _made[key] = reference, dataset
    return dataset


def dataset_of_objects(given: Any) -> Dataset:
    """Return the data set that arrays, or data sets or data loaders of torch, make; it is read here and now.

    Args:
        given: see :func:`prunecheck.data.parts.read_parts`.

    Raises:
        InputError: it is something else, or cannot be read.
    """
    name = _name_of(given)
    return _read(name, lambda: given, "is")


def _name_of(given: Any) -> str:
    """Return a name for objects: the class of the training part, or what they are."""
    train = given.get("train") if isinstance(given, Mapping) else given[0] if isinstance(given, tuple | list) else given
    if isinstance(train, DataLoader):
        train = train.dataset
    is_named = isinstance(train, TorchDataset) and not isinstance(train, TensorDataset)
    return type(train).__name__ if is_named else "arrays"


def _returned(reference: Reference, places: DataPlaces | None) -> Dataset:
    name, loader = reference.name, reference.value
    if not callable(loader):
        return _read(name, lambda: loader, "is")
    return _read(name, lambda: loader(**with_places(loader, places)), "returned")


def _read(name: str, make: Callable[[], Any], verb: str) -> Dataset:
    """Return what users' code makes, read into memory with its random numbers seeded."""
    with (
        failure_named(f"the data set {name} failed", beside=(MemoryError,)),
        global_state_kept(),
        seeded_global_generator(0, "data set"),
        contextlib.redirect_stdout(sys.stderr),  # what it prints must not end up in the middle of an answer
    ):
        made = make()
        images = None if isinstance(made, Dataset) else read_parts(name, made, verb)
    return _with_fingerprint(made if images is None else _dataset_of(name, described(*images), None), name)


def _with_fingerprint(dataset: Dataset, name: str) -> Dataset:
    """Return a data set of users' own under a name, known by its content; raise :class:`InputError` if it is wrong."""
    require_consistent(dataset, name)
    return replace(dataset, name=name, fingerprint=content_fingerprint(dataset))
