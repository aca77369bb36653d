"""Images and labels that come one by one, or batch by batch, gathered into arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray
from torch import Tensor

from prunecheck.data.readers.image_files import decoded_image, pixels_of_image
from prunecheck.errors import InputError
from prunecheck.process_limits import require_memory

IMAGE_KEYS = ("image", "img", "images", "pixel_values", "pixels", "x")
LABEL_KEYS = ("label", "labels", "fine_label", "target", "class", "y")
"""Under which keys an item that is a mapping has its image and its label: the first of each that is there."""

FIRST_ROOM = 64
"""For so many images there is room at first, where it is not known how many come."""


class ImageStack:
    """Gathers images of one shape and kind.

    Args:
        where: they come from, for messages: ``train in data.py:load``.
        count: how many will come; None if that is not known.
    """

    def __init__(self, where: str, count: int | None = None) -> None:
        self.where = where
        self.labels: list[Any] = []
        self._count = count
        self._filled = 0
        self._pixels: NDArray[Any] | None = None
        self._is_all_grey = True

    def add_item(self, item: Any) -> NDArray[Any]:
        """Add an item, a pair or a mapping of an image and a label, and return its pixels.

        Raises:
            InputError: it is something else, or of another shape or kind than those before.
        """
        image, label = image_and_label(item, self._at())
        values = self._of_image(image)
        self._add(values[None])
        self.labels.append(_plain_label(label))
        return values

    def add_batch(self, batch: Any) -> None:
        """Add a batch of a data loader's: a pair or a mapping of images (B, ...) and B labels.

        Raises:
            InputError: see :meth:`add_item`.
        """
        images, labels = image_and_label(batch, f"a batch of {self.where}")
        values, listed = as_array(images, f"a batch of {self.where}"), _labels_of_batch(labels)
        if values.ndim < 1 or len(values) != len(listed):
            raise InputError(
                f"a batch of {self.where} has images of shape {values.shape} and {len(listed)} labels: expected a "
                f"label for each image."
            )
        self._add(values)
        self.labels += listed

    def arrays(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return all images, (N, ...), and labels, (N, ...).

        Raises:
            InputError: there are none, or labels are of several shapes.
        """
        if self._pixels is None:
            raise InputError(f"{self.where} has no images: expected some, look at how it is made.")
        pixels = self._pixels[: self._filled]
        if self._is_all_grey and pixels.ndim == 4 and pixels.shape[-1] == 3:
            pixels = pixels[..., 0]
        try:
            return pixels, numpy.asarray(self.labels)
        except ValueError as error:
            raise InputError(f"labels of {self.where} have several shapes: expected one class number each.") from error

    def _at(self) -> str:
        return f"item {self._filled} of {self.where} (the first is 0)"

    def _of_image(self, image: Any) -> NDArray[Any]:
        """Return pixels; of image files and Pillow's images always three channels, until all are known to be grey."""
        if isinstance(image, bytes):
            pixels = decoded_image(image, self._at())
        elif hasattr(image, "getbands"):
            pixels = pixels_of_image(image, self._at())
        else:
            self._is_all_grey = False
            return as_array(image, self._at())
        if pixels.ndim == 2:
            return numpy.repeat(pixels[..., None], 3, axis=2)
        self._is_all_grey = False
        return pixels

    def _add(self, values: NDArray[Any]) -> None:
        buffer = self._buffer(values)
        if values.shape[1:] != buffer.shape[1:] or values.dtype != buffer.dtype:
            raise InputError(
                f"{self._at()} is {values.dtype} of shape {values.shape[1:]}, and those before are {buffer.dtype} of "
                f"shape {buffer.shape[1:]}: all images of a set have one size and kind of numbers, make them so."
            )
        buffer[self._filled : self._filled + len(values)] = values
        self._filled += len(values)

    def _buffer(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return an array with room for more images, which is twice as large whenever it is full."""
        needed, buffer = self._filled + len(values), self._pixels
        if buffer is None or needed > len(buffer):
            room = max(needed, 2 * self._filled, self._count or FIRST_ROOM)
            require_memory(self.where, room * values[:1].nbytes)
            grown = numpy.empty((room, *values.shape[1:]), values.dtype)
            if buffer is not None:
                grown[: self._filled] = buffer[: self._filled]
            self._pixels = buffer = grown
        return buffer


def image_and_label(item: Any, where: str) -> tuple[Any, Any]:
    """Return the image and the label of an item, or the images and labels of a batch.

    Raises:
        InputError: it is no pair, and no mapping with an image and a label.
    """
    if isinstance(item, Mapping):
        found = [next((key for key in keys if key in item), None) for keys in (IMAGE_KEYS, LABEL_KEYS)]
        if None in found:
            raise InputError(
                f"{where} has the keys {', '.join(map(str, item))}: expected an image (under {', '.join(IMAGE_KEYS)}) "
                f"and a label (under {', '.join(LABEL_KEYS)}), rename them."
            )
        return item[found[0]], item[found[1]]
    if not isinstance(item, tuple | list) or len(item) != 2:
        kind = f"{len(item)} values" if isinstance(item, tuple | list) else f"a {type(item).__name__}"
        raise InputError(f"{where} is {kind}: expected an image and a label, or a mapping of them.")
    return item[0], item[1]


def as_array(value: Any, where: str) -> NDArray[Any]:
    """Return a tensor, or an array, as an array on the CPU.

    Raises:
        InputError: it is something else.
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return numpy.asarray((value.float() if value.is_floating_point() else value).numpy())
    if not isinstance(value, numpy.ndarray):
        raise InputError(f"{where} is a {type(value).__name__}: expected a numpy array or a torch tensor, convert it.")
    return value


def _plain_label(label: Any) -> Any:
    return label.detach().cpu().numpy() if isinstance(label, Tensor) else label


def _labels_of_batch(labels: Any) -> list[Any]:
    if isinstance(labels, Tensor):
        labels = labels.detach().cpu().numpy()
    is_listed = isinstance(labels, Sequence) or (isinstance(labels, numpy.ndarray) and labels.ndim > 0)
    return list(labels) if is_listed else [labels]
