"""A user's own arrays, in one ``.npz`` file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from prunecheck.data.datasets import Images
from prunecheck.data.readers.labels import require_labels
from prunecheck.errors import InputError

KEYS = ("x_train", "y_train", "x_test", "y_test")

CHANNELS = (1, 3)


def read_npz(path: Path) -> tuple[Images, Images]:
    """Read ``x_train``, ``y_train``, ``x_test`` and ``y_test``; other arrays are passed over.

    ``x`` is uint8 of shape (N, height, width, channels) or (N, channels, height, width) with 1 or 3
    channels, or (N, height, width) and then grey. Where both ends could be channels, as in (N, 3, 32, 3),
    they are last. ``y`` holds integers of shape (N,) or (N, 1), from 0 to the number of classes - 1, each
    of them in ``y_train``.

    Args:
        path: made by ``numpy.savez`` or ``numpy.savez_compressed``; objects in it are not unpickled.

    Returns:
        Training and test images of one shape, (channels, height, width), in the order of the file.

    Raises:
        InputError: the file or an array in it is missing, damaged, or not as above.
    """
    return images_of(_load(path), path)


def images_of(arrays: Mapping[str, NDArray[Any]], path: Path | str) -> tuple[Images, Images]:
    """Return the images that four arrays hold.

    Args:
        arrays: by their :data:`KEYS`; see :func:`read_npz`.
        path: where they come from, for the message.

    Returns:
        Training and test images; see :func:`read_npz`.

    Raises:
        InputError: one of them is not as there.
    """
    parts = []
    for part in ("train", "test"):
        pixels = _pixels(arrays[f"x_{part}"], f"x_{part} in {path}")
        labels = _labels(arrays[f"y_{part}"], f"y_{part} in {path}")
        if len(pixels) != len(labels):
            raise InputError(
                f"{path} has {len(pixels)} images in x_{part} and {len(labels)} labels in y_{part}: expected as many, "
                f"save them anew."
            )
        parts.append(Images(pixels, labels))
    train, test = parts
    _require_same_kind(train, test, path)
    return train, test


def _require_same_kind(train: Images, test: Images, path: Path | str) -> None:
    if train.pixels.shape[1:] != test.pixels.shape[1:]:
        raise InputError(
            f"images in {path} have (channels, height, width) {train.pixels.shape[1:]} in x_train and "
            f"{test.pixels.shape[1:]} in x_test: expected the same, save them anew."
        )
    num_classes = int(train.labels.max()) + 1
    if num_classes < 2:
        raise InputError(f"y_train in {path} has one class: expected two or more to tell apart.")
    require_labels(train.labels, num_classes, f"y_train in {path}")
    require_labels(test.labels, num_classes, f"y_test in {path}", every_class=False)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        file = numpy.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing: expected an .npz file, name one that is there.") from error
    except Exception as error:  # a damaged file fails in any way
        raise _unreadable(path, error) from error
    if not isinstance(file, numpy.lib.npyio.NpzFile):
        raise InputError(f"{path} holds a single array: expected {', '.join(KEYS)}, save them with numpy.savez.")
    with file:
        absent = [key for key in KEYS if key not in file.files]
        if absent:
            raise InputError(
                f"{path} has no array {absent[0]}: expected {', '.join(KEYS)}, and it has "
                f"{', '.join(file.files) or 'none'}."
            )
        return {key: _member(file, key, path) for key in KEYS}


def _member(file: "numpy.lib.npyio.NpzFile", key: str, path: Path) -> NDArray[Any]:
    try:
        return numpy.asarray(file[key])
    except Exception as error:
        raise _unreadable(f"{key} in {path}", error) from error


def _unreadable(what: Path | str, error: Exception) -> InputError:
    return InputError(f"{what} cannot be read ({error}): expected plain arrays written by numpy.savez, save them anew.")


def _pixels(array: NDArray[Any], where: str) -> NDArray[numpy.uint8]:
    if array.dtype != numpy.uint8:
        raise InputError(
            f"{where} holds {array.dtype}: expected uint8 from 0 to 255, convert it (a float in [0, 1] times 255, "
            f"rounded)."
        )
    if not array.size:
        raise InputError(f"{where} is empty, its shape is {array.shape}: expected images, save them anew.")
    if array.ndim == 3:
        return numpy.ascontiguousarray(array[:, None])
    if array.ndim == 4 and array.shape[3] in CHANNELS:
        return numpy.ascontiguousarray(array.transpose(0, 3, 1, 2))
    if array.ndim == 4 and array.shape[1] in CHANNELS:
        return numpy.ascontiguousarray(array)
    raise InputError(
        f"{where} has shape {array.shape}: expected (N, height, width), (N, height, width, channels) or "
        f"(N, channels, height, width) with 1 or 3 channels, reshape it."
    )


def _labels(array: NDArray[Any], where: str) -> NDArray[numpy.int64]:
    if array.dtype.kind not in "iu":
        raise InputError(f"{where} holds {array.dtype}: expected integers, convert the labels to class numbers.")
    if array.ndim != 1 and (array.ndim != 2 or array.shape[1] != 1):
        raise InputError(f"{where} has shape {array.shape}: expected (N,) or (N, 1), one class number for each image.")
    labels = array.reshape(-1)
    if not labels.size:
        raise InputError(f"{where} is empty: expected a class number for each image.")
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest > numpy.iinfo(numpy.int64).max:
        wrong = lowest if lowest < 0 else highest
        raise InputError(f"{where} has the label {wrong}: expected 0, 1, 2 and so on, number the classes from 0.")
    return labels.astype(numpy.int64)
