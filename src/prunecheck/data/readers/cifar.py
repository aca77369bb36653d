"""CIFAR-10 and CIFAR-100 in their publisher's two layouts (https://www.cs.toronto.edu/~kriz/cifar.html).

Every file is read once, and used only if its size and hash are the published ones.
"""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import DTypeLike, NDArray

from prunecheck.data.datasets import Images
from prunecheck.data.readers.labels import require_labels
from prunecheck.data.verified import PublishedFiles, read_verified
from prunecheck.errors import InputError

CIFAR10_BINARY_FILES: PublishedFiles = {
    "data_batch_1.bin": ("sha256:cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5", 30_730_000),
    "data_batch_2.bin": ("sha256:a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed", 30_730_000),
    "data_batch_3.bin": ("sha256:bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67", 30_730_000),
    "data_batch_4.bin": ("sha256:014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48", 30_730_000),
    "data_batch_5.bin": ("sha256:755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add", 30_730_000),
    "test_batch.bin": ("sha256:8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b", 30_730_000),
}
"""The training files in their order, then the test file; so are all four."""

CIFAR10_PYTHON_FILES: PublishedFiles = {
    "data_batch_1": ("md5:c99cafc152244af753f735de768cd75f", 31_035_704),
    "data_batch_2": ("md5:d4bba439e000b95fd0a9bffe97cbabec", 31_035_320),
    "data_batch_3": ("md5:54ebc095f3ab1f0389bbae665268c751", 31_035_999),
    "data_batch_4": ("md5:634d18415352ddfa80567beed471001a", 31_035_696),
    "data_batch_5": ("md5:482c414d41f54cd18b22e5b47cb7c3cb", 31_035_623),
    "test_batch": ("md5:40351d587109b95175f43aff81a1287e", 31_035_526),
}

CIFAR100_BINARY_FILES: PublishedFiles = {
    "train.bin": ("sha256:f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29", 153_700_000),
    "test.bin": ("sha256:d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a", 30_740_000),
}

CIFAR100_PYTHON_FILES: PublishedFiles = {
    "train": ("md5:16019d7e3df5f24257cddd939b257f8d", 155_249_918),
    "test": ("md5:f0ef6b0ae62326f3e7ffdfab6717acfc", None),
}

IMAGE_SHAPE = (3, 32, 32)
BYTES_PER_IMAGE = 3 * 32 * 32

FINE_CLASSES, COARSE_CLASSES = 100, 20

Parse = Callable[[bytes, Path], Images]


def read_cifar10_binary(folder: Path) -> tuple[Images, Images]:
    """Read ``cifar-10-batches-bin``.

    Args:
        folder: holds ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin``.

    Returns:
        50,000 training and 10,000 test images of shape (3, 32, 32), in file order; 10 classes.

    Raises:
        InputError: a file is missing, or is not the published one.
    """
    return _read(folder, CIFAR10_BINARY_FILES, lambda content, file: parse_binary(content, file, 10))


def read_cifar10_python(folder: Path) -> tuple[Images, Images]:
    """Read ``cifar-10-batches-py``; a file is unpickled only if its hash is the published one.

    Args:
        folder: holds ``data_batch_1`` to ``data_batch_5`` and ``test_batch``.

    Returns:
        The same arrays as :func:`read_cifar10_binary`.

    Raises:
        InputError: a file is missing, or is not the published one.
    """
    return _read(folder, CIFAR10_PYTHON_FILES, lambda content, file: parse_python(content, file, 10, b"labels"))


def read_cifar100_binary(folder: Path, coarse: bool = False) -> tuple[Images, Images]:
    """Read ``cifar-100-binary``.

    Args:
        folder: holds ``train.bin`` and ``test.bin``.
        coarse: whether labels are those of the 20 superclasses, not of the 100 classes.

    Returns:
        50,000 training and 10,000 test images of shape (3, 32, 32), in file order.

    Raises:
        InputError: a file is missing, or is not the published one.
    """
    classes = COARSE_CLASSES if coarse else FINE_CLASSES
    label = 0 if coarse else 1
    return _read(folder, CIFAR100_BINARY_FILES, lambda content, file: parse_binary(content, file, classes, 2, label))


def read_cifar100_python(folder: Path, coarse: bool = False) -> tuple[Images, Images]:
    """Read ``cifar-100-python``; a file is unpickled only if its hash is the published one.

    Args:
        folder: holds ``train`` and ``test``.
        coarse: whether labels are those of the 20 superclasses, not of the 100 classes.

    Returns:
        The same arrays as :func:`read_cifar100_binary`.

    Raises:
        InputError: a file is missing, or is not the published one.
    """
    classes = COARSE_CLASSES if coarse else FINE_CLASSES
    key = b"coarse_labels" if coarse else b"fine_labels"
    return _read(folder, CIFAR100_PYTHON_FILES, lambda content, file: parse_python(content, file, classes, key))


def parse_binary(content: bytes, file: Path, num_classes: int, label_bytes: int = 1, label_index: int = 0) -> Images:
    """Take a binary batch apart: records of label bytes, then 3,072 bytes of pixels, one channel after the other.

    Args:
        content: the whole file.
        file: where it was read from, for messages.
        num_classes: labels are in [0, num_classes).
        label_bytes: how many of them begin a record; two in CIFAR-100, of the superclass and the class.
        label_index: which of them is the label.

    Raises:
        InputError: it is not a whole number of records, or a label is out of range.
    """
    record = label_bytes + BYTES_PER_IMAGE
    if not content or len(content) % record:
        raise InputError(
            f"{file} has {len(content)} bytes, expected a multiple of {record}: it is truncated, fetch it again."
        )
    records = numpy.frombuffer(content, numpy.uint8).reshape(-1, record)
    labels = records[:, label_index].astype(numpy.int64)
    require_labels(labels, num_classes, file, every_class=False)
    return Images(records[:, label_bytes:].reshape(-1, *IMAGE_SHAPE), labels)


def parse_python(content: bytes, file: Path, num_classes: int, label_key: bytes) -> Images:
    """Take a pickled batch apart: a dictionary with ``b"data"``, uint8 (N, 3072), and a list of labels.

    Args:
        content: the whole file, which is known to be the published one.
        file: where it was read from, for messages.
        num_classes: labels are in [0, num_classes).
        label_key: which list of labels.

    Raises:
        InputError: the content is no such dictionary, or a label is out of range.
    """
    try:
        batch = _BatchUnpickler(io.BytesIO(content), encoding="bytes").load()
        data, labels = batch[b"data"], numpy.asarray(batch[label_key])
    except Exception as error:  # a pickle can fail in any way
        raise InputError(f"{file} is not a pickled CIFAR batch ({error}): fetch it again.") from error
    if not _is_batch(data, labels):
        raise InputError(
            f"{file} holds no uint8 array of shape (N, {BYTES_PER_IMAGE}) with N integer labels under "
            f"{label_key.decode()!r}, as a CIFAR batch does: fetch it again."
        )
    labels = labels.astype(numpy.int64)
    require_labels(labels, num_classes, file, every_class=False)
    return Images(data.reshape(-1, *IMAGE_SHAPE), labels)


def _is_batch(data: Any, labels: NDArray[Any]) -> bool:
    return (
        isinstance(data, numpy.ndarray)
        and data.dtype == numpy.uint8
        and data.shape == (len(data), BYTES_PER_IMAGE)
        and labels.dtype.kind in "iu"
        and labels.shape == (len(data),)
    )


class _BatchUnpickler(pickle.Unpickler):
    """Makes arrays and nothing else, whatever a pickle asks for.

    The published files were written by Python 2 and an early numpy. The two constructors that they
    call are given here, as numpy moves its own about, and 2.4.0 to 2.4.4 warn of the old arguments.
    """

    def find_class(self, module: str, name: str) -> Any:
        wanted = {
            ("numpy.core.multiarray", "_reconstruct"): _empty_array,
            ("numpy", "ndarray"): numpy.ndarray,
            ("numpy", "dtype"): _data_type,
        }.get((module, name))
        if wanted is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR batch does")
        return wanted


def _empty_array(kind: type, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    return numpy.empty(shape, dtype)


def _data_type(name: DTypeLike, align: int, copy: int) -> numpy.dtype[Any]:
    return numpy.dtype(name, align=bool(align), copy=bool(copy))


def _read(folder: Path, files: PublishedFiles, parse: Parse) -> tuple[Images, Images]:
    *train_files, test_file = files
    train = [_read_one(folder / name, files[name], parse) for name in train_files]
    return _joined(train), _joined([_read_one(folder / test_file, files[test_file], parse)])


def _read_one(file: Path, published: tuple[str, int | None], parse: Parse) -> Images:
    return parse(read_verified(file, *published), file)


def _joined(parts: list[Images]) -> Images:
    pixels = numpy.concatenate([part.pixels for part in parts])
    return Images(pixels, numpy.concatenate([part.labels for part in parts]))
