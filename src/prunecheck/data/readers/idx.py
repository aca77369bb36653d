"""MNIST and the sets that share its files, such as Fashion-MNIST (http://yann.lecun.com/exdb/mnist/)."""

import gzip
import io
import math
import zlib
from pathlib import Path

import numpy
from numpy.typing import NDArray

from prunecheck.data.datasets import Images
from prunecheck.data.readers.image_files import entries
from prunecheck.data.readers.labels import require_labels
from prunecheck.data.verified import LARGEST, read_file
from prunecheck.errors import InputError

CLASSES = 10
SIZE = (28, 28)

UNSIGNED_BYTE = 0x08


def read_mnist(folder: Path) -> tuple[Images, Images]:
    """Read the four idx files of MNIST or Fashion-MNIST.

    Args:
        folder: holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
            ``t10k-labels-idx1-ubyte``, each as it is or, if it is not there, with ``.gz``; a dot may
            stand before ``idx`` instead of the dash.

    Returns:
        Training and test images of shape (1, 28, 28), in file order; 10 classes.

    Raises:
        InputError: a file is missing or damaged, or images and labels differ in number.
    """
    train = _read_part(folder, "train", every_class=True)
    return train, _read_part(folder, "t10k", every_class=False)


def _read_part(folder: Path, part: str, every_class: bool) -> Images:
    image_file = _find(folder, f"{part}-images", 3)
    label_file = _find(folder, f"{part}-labels", 1)
    pixels, labels = read_idx(image_file, 3), read_idx(label_file, 1).astype(numpy.int64)
    if pixels.shape[1:] != SIZE:
        raise InputError(
            f"{image_file} has images of {pixels.shape[1]}x{pixels.shape[2]} pixels, expected 28x28: name a folder "
            f"that holds MNIST or Fashion-MNIST."
        )
    if len(pixels) != len(labels):
        raise InputError(
            f"{image_file} has {len(pixels)} images and {label_file} {len(labels)} labels, expected as many: "
            f"fetch both again."
        )
    require_labels(labels, CLASSES, label_file, every_class)
    return Images(pixels[:, None], labels)


def read_idx(file: Path, rank: int) -> NDArray[numpy.uint8]:
    """Read an idx file of unsigned bytes: a magic number, big-endian lengths, then the elements.

    Args:
        file: gzipped if its name ends in ``.gz``.
        rank: how many dimensions it has to have.

    Returns:
        uint8, of ``rank`` dimensions; writable.

    Raises:
        InputError: it is missing, damaged, or of another kind.
    """
    content = _unzipped(file) if file.suffix == ".gz" else read_file(file)
    magic, expected = content[:4], bytes([0, 0, UNSIGNED_BYTE, rank])
    if magic != expected:
        raise InputError(
            f"{file} begins with 0x{magic.hex()}, expected 0x{expected.hex()}, the mark of an idx file of bytes with "
            f"{rank} {'dimensions' if rank > 1 else 'dimension'}: fetch it again."
        )
    start = 4 + 4 * rank
    shape = [int.from_bytes(content[place : place + 4]) for place in range(4, start, 4)]
    size = start + math.prod(shape)
    if len(content) != size or not all(shape):
        raise InputError(
            f"{file} has {len(content)} bytes where its header says {'x'.join(map(str, shape))} elements, expected "
            f"{size} bytes and at least one element: it is damaged, fetch it again."
        )
    return numpy.frombuffer(content, numpy.uint8, offset=start).reshape(shape).copy()


def _unzipped(file: Path) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(read_file(file))) as unzipped:
            content = unzipped.read(LARGEST + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"{file} cannot be unzipped ({error}): it is truncated or damaged, fetch it again.") from error
    if len(content) > LARGEST:
        raise InputError(f"{file} unzips to more than {LARGEST:,} bytes: it is another file, fetch it again.")
    return content


def _find(folder: Path, stem: str, rank: int) -> Path:
    """Return the first there is of the names that the file goes by."""
    names = [f"{stem}{mark}idx{rank}-ubyte{ending}" for ending in ("", ".gz") for mark in "-."]
    there = {entry.name for entry in entries(folder)}
    found = [folder / name for name in names if name in there]
    if not found:
        raise InputError(
            f"{folder / names[0]} is missing, with and without .gz: fetch the data set again, or name the folder that "
            f"holds it."
        )
    return found[0]
