"""Image files: which files are some, and many of them decoded into one array."""

import errno
import io
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
import torch
from numpy.typing import NDArray

from prunecheck.data.verified import read_file
from prunecheck.errors import InputError
from prunecheck.extras import extra
from prunecheck.process_limits import gibibytes, require_memory

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
FORMATS = ("BMP", "JPEG", "PNG", "WEBP")

GREY_MODES = ("1", "L", "LA", "La")
DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's names for grey of 1 or 8 bits, with and without transparency, and for more than 8 bits."""

THREADED_PIXELS = 128 * 128
"""Where a second thread begins to pay. On two cores, Pillow 13 decodes 6,000 JPEGs of 64x64 a second in one
thread and 5,000 in two, as waiting for the interpreter's lock costs more than the decoding outside it."""

CHUNK = 64


def is_clutter(name: str) -> bool:
    """Whether a file or folder is hidden, or one that a desktop leaves everywhere."""
    return name.startswith(".") or name in ("Thumbs.db", "desktop.ini", "__MACOSX")


def is_image_name(name: str) -> bool:
    """Whether a file's name ends as an image's does, in capitals or not."""
    return name.lower().endswith(SUFFIXES)


def entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, sorted by name, without clutter.

    Raises:
        InputError: there is no such folder, or it cannot be read.
    """
    try:
        folder.stat()
        if not os.access(folder, os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return sorted(entry for entry in folder.iterdir() if not is_clutter(entry.name))
    except FileNotFoundError:
        raise InputError(f"{folder} is missing: expected a folder, name the one that holds the images.") from None
    except OSError as error:
        raise InputError(
            f"{folder} cannot be read ({error.strerror}): expected a folder that you may read, check its kind and "
            f"permissions."
        ) from error


def decode_images(
    files: Sequence[Path], size: tuple[int, int] | None = None, colour: bool = False
) -> NDArray[numpy.uint8]:
    """Decode image files of one size into one array.

    Transparency is dropped and turning marks are not followed, as torchvision's ImageFolder does; of
    a moving image the first frame is taken. A truncated file is always found, other damage where
    decoding fails: only PNG has a checksum.

    Args:
        files: at least one JPEG, PNG, BMP or WebP file, of 8 bits a channel.
        size: height and width that all must have; None for those of the first.
        colour: whether grey images become RGB even where all are grey.

    Returns:
        uint8, (N, channels, height, width) in the order of ``files``: 1 channel if all images are grey
        and not ``colour``, otherwise 3.

    Raises:
        InputError: a file is no image, is damaged, has another size, or has more than 8 bits a channel.
    """
    height, width = size or _decode(files[0]).shape[:2]
    whose = "expected" if size else f"{files[0]} has"
    pixels = _allocate(len(files), height, width)
    is_grey = numpy.zeros(len(files), dtype=bool)

    def decode_chunk(start: int) -> None:
        for index, file in enumerate(files[start : start + CHUNK], start):
            image = _decode(file)
            if image.shape[:2] != (height, width):
                raise InputError(
                    f"{file} is {image.shape[1]} pixels wide and {image.shape[0]} high, {whose} {width} and {height}: "
                    f"all images of a set have one size, crop or scale them to it."
                )
            is_grey[index] = image.ndim == 2
            pixels[index] = image if is_grey[index] else image.transpose(2, 0, 1)

    threads = torch.get_num_threads() if height * width >= THREADED_PIXELS else 1
    _for_each(decode_chunk, range(0, len(files), CHUNK), threads)
    return pixels[:, :1].copy() if is_grey.all() and not colour else pixels


def _decode(file: Path) -> NDArray[numpy.uint8]:
    """Return (height, width) of a grey image, otherwise (height, width, 3)."""
    return decoded_image(read_file(file), file)


def decoded_image(content: bytes, where: Path | str) -> NDArray[numpy.uint8]:
    """Return the pixels of what an image file holds.

    Args:
        content: of a JPEG, PNG, BMP or WebP file, of 8 bits a channel.
        where: it comes from, for the message.

    Returns:
        uint8, (height, width) of a grey image, otherwise (height, width, 3).

    Raises:
        InputError: it is no image, is damaged, or has more than 8 bits a channel.
    """
    with extra("images", "reading image files"):
        from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return pixels_of_image(image, where)
    except InputError:
        raise
    except Exception as error:  # Pillow raises all kinds, by format and damage
        reason = str(error).partition(" <")[0]  # not the address of the buffer
        raise InputError(
            f"{where} cannot be decoded ({reason}): expected a whole JPEG, PNG, BMP or WebP image, replace or remove "
            f"it."
        ) from error


def pixels_of_image(image: "Image", where: Path | str) -> NDArray[numpy.uint8]:
    """Return the pixels of an image of Pillow's; see :func:`decoded_image`."""
    if image.mode in DEEP_MODES:
        raise InputError(f"{where} has more than 8 bits a channel: expected 8, convert the images.")
    image.load()
    if image.mode in ("L", "RGB"):
        return numpy.asarray(image)
    if image.mode == "P":  # Pillow warns of a palette with transparency unless it becomes RGBA first
        return numpy.asarray(image.convert("RGBA").convert("RGB"))
    return numpy.asarray(image.convert("L" if image.mode in GREY_MODES else "RGB"))


def _allocate(count: int, height: int, width: int) -> NDArray[numpy.uint8]:
    shape = (count, 3, height, width)
    require_memory(f"{count} images of {height}x{width} pixels", math.prod(shape))
    try:
        return numpy.empty(shape, dtype=numpy.uint8)
    except MemoryError as error:
        raise InputError(
            f"{count} images of {height}x{width} pixels: {gibibytes(math.prod(shape))} of memory are needed, which are "
            f"not free: scale them down."
        ) from error


def _for_each(work: Callable[[int], None], starts: range, threads: int) -> None:
    """Do the work in order, or in threads; either way the first error in order is the one raised."""
    if threads == 1:
        for start in starts:
            work(start)
        return
    with ThreadPoolExecutor(threads) as executor:
        for _ in executor.map(work, starts):
            pass
