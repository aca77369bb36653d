"""A user's own images as arrays: their layout, kind and labels, made those of :class:`Images`."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from prunecheck.data.datasets import Dataset, Images
from prunecheck.data.readers.labels import require_labels
from prunecheck.errors import InputError
from prunecheck.process_limits import require_memory

KEYS = ("x_train", "y_train", "x_test", "y_test")

CHANNELS = (1, 3)
"""Numbers of channels that need not be smaller than height and width to be taken for some."""

AT_A_TIME = 1 << 22
"""Values that are looked at together."""


def images_of(arrays: Mapping[str, NDArray[Any]], path: Path | str) -> tuple[Images, Images]:
    """Return the images that four arrays hold.

    ``x`` is uint8, or floats that become float32, of shape (N, height, width, channels) or (N, channels, height, width)
    with 1 or 3 channels, or with fewer channels than there are pixels in a row and a column; or (N, height, width) and
    then grey. Where both ends could be channels, as in (N, 3, 32, 3), they are last. ``y`` holds integers of shape (N,)
    or (N, 1), from 0 to the number of classes - 1, each of them in ``y_train``.

    Args:
        arrays: by their :data:`KEYS`.
        path: where they come from, for the message.

    Returns:
        Training and test images of one shape, (channels, height, width), and one kind of numbers, in their order.

    Raises:
        InputError: one of them is not as above.
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
    _require_same_images(train, test, path)
    _require_classes(train, test, path)
    return train, test


def _require_same_images(train: Images, test: Images, path: Path | str) -> None:
    if train.pixels.shape[1:] != test.pixels.shape[1:]:
        raise InputError(
            f"images in {path} have (channels, height, width) {train.pixels.shape[1:]} in x_train and "
            f"{test.pixels.shape[1:]} in x_test: expected the same, save them anew."
        )
    if train.pixels.dtype != test.pixels.dtype:
        raise InputError(
            f"images in {path} are {train.pixels.dtype} in x_train and {test.pixels.dtype} in x_test: expected the "
            f"same kind of numbers, convert one of them."
        )


def _require_classes(train: Images, test: Images, path: Path | str) -> None:
    num_classes = int(train.labels.max()) + 1
    if num_classes < 2:
        raise InputError(f"y_train in {path} has one class: expected two or more to tell apart.")
    require_labels(train.labels, num_classes, f"y_train in {path}")
    require_labels(test.labels, num_classes, f"y_test in {path}", every_class=False)


def _pixels(array: NDArray[Any], where: str) -> NDArray[Any]:
    if array.dtype != numpy.uint8 and array.dtype.kind != "f":
        raise InputError(
            f"{where} holds {array.dtype}: expected uint8 from 0 to 255, or floats in units of your own, convert it."
        )
    if not array.size:
        raise InputError(f"{where} is empty, its shape is {array.shape}: expected images, save them anew.")
    moved = array[:, None] if array.ndim == 3 else numpy.moveaxis(array, _channel_axis(array.shape, where), 1)
    kind = numpy.dtype(numpy.uint8 if array.dtype == numpy.uint8 else numpy.float32)
    if array.dtype != kind or not moved.flags.c_contiguous:
        require_memory(f"a copy of {where}", moved.size * kind.itemsize)
    with numpy.errstate(over="ignore"):  # what becomes infinite is refused below
        pixels = numpy.ascontiguousarray(moved, dtype=kind)
    require_finite(pixels, where)
    return pixels


def _channel_axis(shape: tuple[int, ...], where: str) -> int:
    """Return which dimension holds the channels: one of 1 or 3, or the one that is the smallest by far."""
    if len(shape) == 4:
        for axis in (3, 1):
            if shape[axis] in CHANNELS:
                return axis
        for axis, others in ((1, shape[2:]), (3, shape[1:3])):
            if shape[axis] < min(others):
                return axis
    raise InputError(
        f"{where} has shape {shape}: expected (N, height, width), (N, height, width, channels) or "
        f"(N, channels, height, width) with 1 or 3 channels, or fewer than pixels in a row and a column, reshape it."
    )


def require_consistent(dataset: Dataset, name: str) -> None:
    """See that a data set that users made is what :class:`Dataset` says.

    Raises:
        InputError: images are no uint8 or float32 of one shape, labels no class numbers, or means and deviations not
            those of the channels.
    """
    for part, images in (("train", dataset.train), ("test", dataset.test)):
        where, pixels, labels = f"{part} in {name}", images.pixels, images.labels
        if pixels.dtype not in (numpy.uint8, numpy.float32) or pixels.ndim != 4 or not pixels.size:
            raise InputError(
                f"{where} has pixels of {pixels.dtype} and shape {pixels.shape}: expected uint8 or float32 of shape "
                f"(N, channels, height, width)."
            )
        if labels.dtype != numpy.int64 or labels.shape != (len(pixels),):
            raise InputError(
                f"{where} has labels of {labels.dtype} and shape {labels.shape}: expected int64 of shape "
                f"({len(pixels)},), one for each image."
            )
        require_finite(pixels, where)
        require_labels(labels, dataset.num_classes, where, every_class=False)
    _require_same_images(dataset.train, dataset.test, name)
    channels = dataset.image_shape[0]
    is_normalizable = all(map(math.isfinite, dataset.mean)) and all(0 < value < math.inf for value in dataset.deviation)
    if not (len(dataset.mean) == len(dataset.deviation) == channels and is_normalizable):
        raise InputError(
            f"{name} has the mean {dataset.mean} and the deviation {dataset.deviation}: expected {channels} finite "
            f"numbers each, one for each channel, and deviations above 0."
        )


def require_finite(pixels: NDArray[Any], where: str) -> None:
    """Raise :class:`InputError` if images, (N, ...), have a value that is not a finite number."""
    if pixels.dtype == numpy.uint8:
        return
    step = max(1, AT_A_TIME // pixels[0].size)
    for start in range(0, len(pixels), step):
        is_finite = numpy.isfinite(pixels[start : start + step]).reshape(-1, pixels[0].size).all(axis=1)
        if not is_finite.all():
            index = start + int(is_finite.argmin())
            value = pixels[index][~numpy.isfinite(pixels[index])][0]
            raise InputError(
                f"{where} has the value {value} in image {index} (the first is 0): expected finite numbers that "
                f"float32 can hold, correct or remove the image."
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
