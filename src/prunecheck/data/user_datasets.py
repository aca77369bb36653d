"""A user's own images: a folder of image files by class, arrays in an .npz file, or what a function returns."""

import contextlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
from torch import Tensor

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
from prunecheck.data.readers.arrays import KEYS, images_of
from prunecheck.data.readers.folder import read_image_folder
from prunecheck.data.readers.npz import read_npz
from prunecheck.data.sources import require_places
from prunecheck.errors import InputError
from prunecheck.observation import Observation
from prunecheck.randomness import seeded_global_generator
from prunecheck.user_code import Reference

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


_made: dict[str | int, tuple[Reference | Dataset, Dataset]] = {}
"""What functions have returned, by the text that finds them or their identity; and data sets whose content is known."""


def dataset_of_users(given: Reference | Dataset, places: DataPlaces | None) -> Dataset:
    """Return a data set that a function of users returns, or that they made, known by its content.

    A function is called once in a process for every version of what it is made of and reads.

    Raises:
        InputError: a function fails, or returns something else.
    """
    if isinstance(given, Dataset):
        if id(given) not in _made:
            _made[id(given)] = given, replace(given, fingerprint=content_fingerprint(given))
        return _made[id(given)][1]
    reference = given
    key = reference.argument or id(reference.item)
    if key in _made:
        earlier, dataset = _made[key]
        if isinstance(earlier, Reference) and not earlier.code.changed():
            return dataset
    with Observation() as seen:
        dataset = _returned(reference, places)
    reference.code.include(seen.files)
    _ = reference.code.hash
    _made[key] = reference, dataset
    return dataset


def _returned(reference: Reference, places: DataPlaces | None) -> Dataset:
    name, loader = reference.name, reference.value
    if isinstance(loader, Dataset):
        return replace(loader, name=name, fingerprint=content_fingerprint(loader))
    try:
        # What it prints must not end up in the middle of an answer.
        with seeded_global_generator(0, "data set"), contextlib.redirect_stdout(sys.stderr):
            returned = loader(**with_places(loader, places))
    except (InputError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        message = " ".join(str(error).split())
        raise InputError(
            f"the data set {name} failed ({type(error).__name__}: {message}): correct it first."
        ) from error
    if isinstance(returned, Dataset):
        return replace(returned, name=name, fingerprint=content_fingerprint(returned))
    arrays = returned if isinstance(returned, Mapping) else dict(zip(KEYS, _four(name, returned), strict=True))
    if missing := [key for key in KEYS if key not in arrays]:
        raise InputError(f"the data set {name} returned no {missing[0]}: expected {', '.join(KEYS)}, or a Dataset.")
    decoded = described(*images_of({key: _array(name, key, arrays[key]) for key in KEYS}, name))
    dataset = _dataset_of(name, decoded, None)
    return replace(dataset, fingerprint=content_fingerprint(dataset))


def _four(name: str, returned: Any) -> tuple[Any, ...]:
    if not isinstance(returned, tuple | list) or len(returned) != len(KEYS):
        kind = (
            f"{len(returned)} of them"
            if isinstance(returned, tuple | list)
            else f"an object of type {type(returned).__name__}"
        )
        raise InputError(
            f"the data set {name} returned {kind}: expected the four arrays ({', '.join(KEYS)}), or a Dataset."
        )
    return tuple(returned)


def _array(name: str, key: str, value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, list | tuple) and key.startswith("y_"):
        return numpy.asarray(value)
    if not isinstance(value, numpy.ndarray):
        raise InputError(
            f"{key} in {name} is a {type(value).__name__}: expected a numpy array or a torch tensor, convert it."
        )
    return value
