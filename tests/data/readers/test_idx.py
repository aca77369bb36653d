import gzip
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from prunecheck.data.readers.idx import read_idx, read_mnist
from prunecheck.errors import InputError

COUNTS = {"train": 23, "t10k": 7}


def idx(array: NDArray[numpy.uint8]) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(length.to_bytes(4, "big") for length in array.shape)
    return header + array.tobytes()


@pytest.fixture
def arrays() -> dict[str, NDArray[numpy.uint8]]:
    source = numpy.random.default_rng(3)
    made = {}
    for part, count in COUNTS.items():
        made[f"{part}-images-idx3-ubyte"] = source.integers(0, 256, (count, 28, 28), dtype=numpy.uint8)
        made[f"{part}-labels-idx1-ubyte"] = source.permutation(numpy.arange(count, dtype=numpy.uint8) % 10)
    return made


@pytest.fixture
def folder(tmp_path: Path, arrays: dict[str, NDArray[numpy.uint8]]) -> Path:
    for name, array in arrays.items():
        (tmp_path / name).write_bytes(idx(array))
    return tmp_path


def require_equal(folder: Path, arrays: dict[str, NDArray[numpy.uint8]]) -> None:
    for images, part in zip(read_mnist(folder), COUNTS, strict=True):
        assert images.pixels.shape == (COUNTS[part], 1, 28, 28)
        assert numpy.array_equal(images.pixels[:, 0], arrays[f"{part}-images-idx3-ubyte"])
        assert numpy.array_equal(images.labels, arrays[f"{part}-labels-idx1-ubyte"])
        assert images.pixels.dtype == numpy.uint8
        assert images.labels.dtype == numpy.int64
        assert images.pixels.flags.writeable


def gzip_all(folder: Path) -> None:
    for file in list(folder.iterdir()):
        (folder / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()


def dot_all(folder: Path) -> None:
    for file in list(folder.iterdir()):
        file.rename(folder / file.name.replace("-idx", ".idx"))


def dot_and_gzip(folder: Path) -> None:
    dot_all(folder)
    gzip_all(folder)


def damaged_zips_beside(folder: Path) -> None:
    for file in list(folder.iterdir()):
        (folder / f"{file.name}.gz").write_bytes(b"half a download")


@pytest.mark.parametrize("rename", [lambda folder: None, gzip_all, dot_all, dot_and_gzip, damaged_zips_beside])
def test_arrays_arrive_as_written(
    folder: Path, arrays: dict[str, NDArray[numpy.uint8]], rename: Callable[[Path], None]
) -> None:
    rename(folder)
    require_equal(folder, arrays)


@settings(max_examples=20, deadline=None)
@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=4), seed=st.integers(0, 2**32), zipped=st.booleans())
def test_idx_round_trip(shape: list[int], seed: int, zipped: bool) -> None:
    array = numpy.random.default_rng(seed).integers(0, 256, shape, dtype=numpy.uint8)
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / ("array.gz" if zipped else "array")
        file.write_bytes(gzip.compress(idx(array)) if zipped else idx(array))
        read = read_idx(file, len(shape))
    assert read.shape == array.shape
    assert numpy.array_equal(read, array)


@pytest.mark.parametrize("name", [f"{part}-{kind}-ubyte" for part in COUNTS for kind in ("images-idx3", "labels-idx1")])
def test_each_missing_or_damaged_file_is_named(folder: Path, name: str) -> None:
    file, zipped = folder / name, folder / f"{name}.gz"
    content = file.read_bytes()
    file.unlink()
    with pytest.raises(InputError, match=rf"/{name} is missing, with and without \.gz"):
        read_mnist(folder)
    for damaged in (content[:-1], content + b"\0"):
        file.write_bytes(damaged)
        with pytest.raises(
            InputError, match=rf"/{name} has {len(damaged)} bytes where .* expected {len(content)} bytes"
        ):
            read_mnist(folder)
    file.write_bytes(b"\x00\x00\x08\x02" + content[4:])
    with pytest.raises(InputError, match=rf"/{name} begins with 0x00000802, expected 0x0000080[13], the mark"):
        read_mnist(folder)
    file.unlink()
    whole = gzip.compress(content)
    for broken in (
        whole[:-9],
        whole[: len(whole) // 2],
        whole[:20] + b"\xff\xff\xff\xff" + whole[24:],
        content,
        b"\x1f",
    ):
        zipped.write_bytes(broken)
        with pytest.raises(InputError, match=rf"/{name}\.gz cannot be unzipped"):
            read_mnist(folder)
    zipped.write_bytes(whole)
    read_mnist(folder)


def test_what_unzips_to_more_than_a_set_has_is_not_unzipped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prunecheck.data.readers.idx.LARGEST", 1 << 20)
    (folder / "train-images-idx3-ubyte").unlink()
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(2 << 20)))
    with pytest.raises(InputError, match=r"-ubyte\.gz unzips to more than 1,048,576 bytes"):
        read_mnist(folder)


@pytest.mark.parametrize("content", [b"", b"\0\0", bytes([0, 0, 8, 3]), bytes([0, 0, 8, 3, 0, 0, 0, 1, 0])])
def test_less_than_a_header_is_refused(folder: Path, content: bytes) -> None:
    (folder / "t10k-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(InputError, match=r"/t10k-images-idx3-ubyte (begins with 0x(0000)?,|has \d bytes where)"):
        read_mnist(folder)


def test_part_without_images_is_refused(folder: Path) -> None:
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx(numpy.zeros((0, 28, 28), dtype=numpy.uint8)))
    with pytest.raises(InputError, match=r"/t10k-images-idx3-ubyte has 16 bytes .* 0x28x28 elements, .* at least one"):
        read_mnist(folder)


def test_zipped_magic_number_is_checked_too(folder: Path) -> None:
    gzip_all(folder)
    labels, images = folder / "train-labels-idx1-ubyte.gz", folder / "train-images-idx3-ubyte.gz"
    labels.write_bytes(images.read_bytes())
    with pytest.raises(InputError, match=r"/train-labels-idx1-ubyte\.gz begins with 0x00000803, expected 0x00000801"):
        read_mnist(folder)


def test_counts_that_differ_are_refused(folder: Path) -> None:
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(numpy.arange(22, dtype=numpy.uint8) % 10))
    says = r"/train-images-idx3-ubyte has 23 images and .*/train-labels-idx1-ubyte 22 labels"
    with pytest.raises(InputError, match=says):
        read_mnist(folder)


def test_images_of_another_size_are_refused(folder: Path) -> None:
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx(numpy.zeros((7, 27, 28), dtype=numpy.uint8)))
    with pytest.raises(InputError, match=r"/t10k-images-idx3-ubyte has images of 27x28 pixels, expected 28x28"):
        read_mnist(folder)


def test_labels_are_checked(folder: Path) -> None:
    file = folder / "train-labels-idx1-ubyte"
    for label, says in ((10, "image 4 .* has label 10"), (0, "no training image has label 4")):
        labels = (numpy.arange(23) % 10).astype(numpy.uint8)
        labels[labels == 4] = label
        file.write_bytes(idx(labels))
        with pytest.raises(InputError, match=rf"/train-labels-idx1-ubyte: {says}"):
            read_mnist(folder)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"/absent is missing"):
        read_mnist(tmp_path / "absent")
