import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from prunecheck.data.readers.npz import read_npz
from prunecheck.errors import InputError

Arrays = dict[str, NDArray[Any]]


def arrays(*shape: int, classes: int = 3, train: int = 7, test: int = 4, seed: int = 0) -> Arrays:
    source = numpy.random.default_rng(seed)
    return {
        "x_train": source.integers(0, 256, (train, *shape), dtype=numpy.uint8),
        "y_train": source.permutation(numpy.arange(train) % classes),
        "x_test": source.integers(0, 256, (test, *shape), dtype=numpy.uint8),
        "y_test": source.integers(0, classes, test),
    }


def write(folder: Path, contents: Arrays, compressed: bool = False) -> Path:
    file = folder / "own.npz"
    save: Callable[..., None] = numpy.savez_compressed if compressed else numpy.savez
    save(file, **contents)
    return file


@settings(max_examples=25, deadline=None)
@given(
    layout=st.sampled_from(["rank 3", "channels last", "channels first"]),
    channels=st.sampled_from([1, 3]),
    size=st.tuples(st.integers(4, 6), st.integers(4, 6)),
    kind=st.sampled_from(["u1", "i4", ">i2", "u8", "i8"]),
    column=st.booleans(),
    compressed=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_round_trip(
    layout: str, channels: int, size: tuple[int, int], kind: str, column: bool, compressed: bool, seed: int
) -> None:
    channels = 1 if layout == "rank 3" else channels
    expected = arrays(channels, *size, seed=seed)
    written = dict(expected)
    for part in ("train", "test"):
        pixels, labels = written[f"x_{part}"], written[f"y_{part}"].astype(kind)
        written[f"x_{part}"] = {
            "rank 3": pixels[:, 0],
            "channels last": numpy.moveaxis(pixels, 1, -1),
            "channels first": numpy.asfortranarray(pixels),
        }[layout]
        written[f"y_{part}"] = labels[:, None] if column else labels
    with tempfile.TemporaryDirectory() as name:
        read = read_npz(write(Path(name), written, compressed))
    for images, part in zip(read, ("train", "test"), strict=True):
        assert numpy.array_equal(images.pixels, expected[f"x_{part}"])
        assert numpy.array_equal(images.labels, expected[f"y_{part}"])
        assert images.labels.dtype == numpy.int64
        assert images.pixels.flags.c_contiguous


def test_where_both_ends_could_be_channels_they_are_last(tmp_path: Path) -> None:
    contents = arrays(3, 5, 3)
    train, _ = read_npz(write(tmp_path, contents))
    assert train.pixels.shape == (7, 3, 3, 5)
    assert numpy.array_equal(train.pixels[2, 1], contents["x_train"][2, :, :, 1])


def test_other_arrays_are_passed_over(tmp_path: Path) -> None:
    contents = {**arrays(4, 4), "names": numpy.array([{"cat": 0}], dtype=object)}
    train, test = read_npz(write(tmp_path, contents))
    assert (len(train), len(test)) == (7, 4)


def gap(contents: Arrays) -> None:
    contents["y_train"][contents["y_train"] == 1] = 0


def from_one(contents: Arrays) -> None:
    for key in ("y_train", "y_test"):
        contents[key] += 1


def negative(contents: Arrays) -> None:
    contents["y_test"][2] = -1


def unseen(contents: Arrays) -> None:
    contents["y_test"][2] = 3


def replaced(key: str, value: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Arrays], None]:
    def change(contents: Arrays) -> None:
        contents[key] = value(contents[key])

    return change


def without(key: str) -> Callable[[Arrays], None]:
    return lambda contents: contents.__delitem__(key)


FAULTS: list[tuple[Callable[[Arrays], None], str]] = [
    *((without(key), rf"own\.npz has no array {key}: expected x_train, ") for key in arrays(4, 4)),
    (replaced("x_train", lambda x: x / 255), r"own\.npz are float32 in x_train and uint8 in x_test: expected the same"),
    (replaced("x_train", lambda x: x * 1j), r"x_train in .*own\.npz holds complex128: expected uint8"),
    (replaced("x_train", lambda x: numpy.where(x == x[3].max(), numpy.nan, x)), r"has the value nan in image [0-3] "),
    (replaced("x_test", lambda x: x * 1e300), r"x_test in .* has the value inf in image 0 "),
    (replaced("x_test", lambda x: x.astype(numpy.int64)), r"x_test in .*own\.npz holds int64: expected uint8"),
    (replaced("x_test", lambda x: x[0, 0]), r"x_test in .* has shape \(4,\): expected \(N, height, width\)"),
    (replaced("x_train", lambda x: x.reshape(7, 16)), r"x_train in .* has shape \(7, 16\): expected"),
    (replaced("x_train", lambda x: x.reshape(7, 2, 2, 4)), r"x_train in .* has shape \(7, 2, 2, 4\): expected"),
    (replaced("x_train", lambda x: x[..., None, None]), r"x_train in .* has shape \(7, 4, 4, 1, 1\): expected"),
    (replaced("x_test", lambda x: x[:, :, :0]), r"x_test in .* is empty, its shape is \(4, 4, 0\)"),
    (replaced("x_test", lambda x: x[:, :3]), r"images in .* \(1, 4, 4\) in x_train and \(1, 3, 4\) in x_test"),
    (replaced("x_test", lambda x: x[:, None].repeat(3, 1)), r"\(1, 4, 4\) in x_train and \(3, 4, 4\) in x_test"),
    (replaced("x_test", lambda x: x[:3]), r"own\.npz has 3 images in x_test and 4 labels in y_test"),
    (replaced("y_train", lambda y: y[:6]), r"own\.npz has 7 images in x_train and 6 labels in y_train"),
    (replaced("y_train", lambda y: y.astype(float)), r"y_train in .* holds float64: expected integers"),
    (replaced("y_train", lambda y: y.astype(bool)), r"y_train in .* holds bool: expected integers"),
    (replaced("y_test", lambda y: y.astype(str)), r"y_test in .* holds <U\d+: expected integers"),
    (replaced("y_test", lambda y: numpy.eye(3, dtype=int)[y]), r"y_test in .* has shape \(4, 3\): expected \(N,\)"),
    (replaced("y_train", lambda y: y.astype(object)), r"y_train in .* cannot be read \(Object arrays"),
    (replaced("y_train", lambda y: y * 0), r"y_train in .* has one class: expected two or more"),
    (replaced("y_train", lambda y: y * 10**12), r"y_train in .*: no training image has label 1,"),
    (replaced("y_train", lambda y: y.astype("u8") << 62), r"y_train in .* has the label 9223372036854775808: expected"),
    (gap, r"y_train in .*own\.npz: no training image has label 1, expected labels 0 to 2 without gaps"),
    (from_one, r"y_train in .*own\.npz: no training image has label 0,"),
    (negative, r"y_test in .* has the label -1: expected 0, 1, 2 and so on"),
    (unseen, r"y_test in .*own\.npz: image 2 .* has label 3, expected 0 to 2"),
]


@pytest.mark.parametrize(("change", "says"), FAULTS)
def test_fault_is_named_in_one_sentence(tmp_path: Path, change: Callable[[Arrays], None], says: str) -> None:
    contents = arrays(4, 4)
    read_npz(write(tmp_path, contents))
    change(contents)
    with pytest.raises(InputError, match=says) as caught:
        read_npz(write(tmp_path, contents))
    assert "\n" not in str(caught.value)


class Dangerous:
    """Unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    contents = {**arrays(4, 4), "y_train": numpy.array([Dangerous(tmp_path / "ran")], dtype=object)}
    file = write(tmp_path, contents)
    with pytest.raises(InputError, match=r"y_train in .* cannot be read"):
        read_npz(file)
    assert not (tmp_path / "ran").exists()
    with numpy.load(file, allow_pickle=True) as loaded:
        loaded["y_train"]
    assert (tmp_path / "ran").exists(), "the object is not dangerous, so that this test shows nothing"


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_file_is_named(tmp_path: Path, compressed: bool) -> None:
    file = write(tmp_path, arrays(8, 8), compressed)
    content = file.read_bytes()
    place = content.index(b"x_train.npy") + 250
    altered = content[:place] + bytes(byte ^ 0xFF for byte in content[place : place + 8]) + content[place + 8 :]
    for damaged in (b"", b"PK", b"no arrays", content[:-30], content[:500], altered):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match=r"own\.npz cannot be read"):
            read_npz(file)


def test_file_of_another_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.npz is missing"):
        read_npz(tmp_path / "absent.npz")
    with pytest.raises(InputError, match=r"cannot be read \(.*Is a directory"):
        read_npz(tmp_path)
    numpy.save(tmp_path / "single.npy", numpy.zeros(3))
    with pytest.raises(
        InputError, match=r"single\.npy holds a single array: expected x_train, y_train, x_test, y_test"
    ):
        read_npz(tmp_path / "single.npy")
