import hashlib
import os
import pickle
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from prunecheck.data import Images
from prunecheck.data.readers import cifar
from prunecheck.errors import InputError

Reader = Callable[[Path], tuple[Images, Images]]

READERS: dict[str, Reader] = {
    "CIFAR10_BINARY_FILES": cifar.read_cifar10_binary,
    "CIFAR10_PYTHON_FILES": cifar.read_cifar10_python,
    "CIFAR100_BINARY_FILES": cifar.read_cifar100_binary,
    "CIFAR100_PYTHON_FILES": cifar.read_cifar100_python,
}


def random_batch(count: int, seed: int) -> tuple[NDArray[numpy.uint8], list[int], list[int]]:
    """Pixels (count, 3, 32, 32), coarse labels below 10 and fine ones below 10, so that they serve both sets."""
    source = numpy.random.default_rng(seed)
    pixels = source.integers(0, 256, (count, 3, 32, 32), dtype=numpy.uint8)
    return pixels, source.integers(0, 10, count).tolist(), source.integers(0, 10, count).tolist()


def binary(pixels: NDArray[numpy.uint8], *labels: list[int]) -> bytes:
    """Write records as the publisher describes them, byte by byte."""
    content = b""
    for index, image in enumerate(pixels):
        content += bytes(kind[index] for kind in labels)
        for channel in range(3):
            for row in range(32):
                content += bytes(image[channel, row].tolist())
    return content


def python2_pickle(entries: Mapping[str, Any]) -> bytes:
    """Pickle a dictionary as Python 2 and an early numpy did: protocol 2, text as bytes, no memo."""

    def text(value: bytes) -> bytes:
        return (
            b"U" + bytes([len(value)]) + value if len(value) < 256 else b"T" + len(value).to_bytes(4, "little") + value
        )

    def integer(value: int) -> bytes:
        return b"J" + value.to_bytes(4, "little", signed=True)

    def array(value: NDArray[numpy.uint8]) -> bytes:
        empty = (
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + integer(0) + b"\x85" + text(b"b") + b"\x87R"
        )
        kind = b"cnumpy\ndtype\n" + text(b"u1") + integer(0) + integer(1) + b"\x87R"
        kind += b"(" + integer(3) + text(b"|") + b"NNN" + integer(-1) + integer(-1) + integer(0) + b"tb"
        shape = b"(" + b"".join(map(integer, value.shape)) + b"t"
        return empty + b"(" + integer(1) + shape + kind + b"\x89" + text(value.tobytes()) + b"tb"

    def item(value: Any) -> bytes:
        if isinstance(value, numpy.ndarray):
            return array(value)
        return text(value) if isinstance(value, bytes) else b"](" + b"".join(map(integer, value)) + b"e"

    return b"\x80\x02}(" + b"".join(text(key.encode()) + item(value) for key, value in entries.items()) + b"u."


def files_of(layout: str, count: int = 12) -> tuple[dict[str, bytes], list[Any]]:
    """Return files of a layout with a few images each, and what is in them."""
    names = list(getattr(cifar, layout))
    batches = [random_batch(count, seed) for seed in range(len(names))]
    contents = []
    for pixels, coarse, fine in batches:
        if "BINARY" in layout:
            contents.append(binary(pixels, coarse, fine) if "100" in layout else binary(pixels, fine))
        else:
            labels = {"coarse_labels": coarse, "fine_labels": fine} if "100" in layout else {"labels": fine}
            contents.append(python2_pickle({"batch_label": b"a batch", **labels, "data": pixels.reshape(count, -1)}))
    return dict(zip(names, contents, strict=True)), batches


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def published(files: Mapping[str, bytes]) -> dict[str, tuple[str, int | None]]:
    return {name: (f"md5:{hashlib.md5(content).hexdigest()}", len(content)) for name, content in files.items()}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("layout", READERS)
def test_images_of_all_files_arrive_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    files, batches = files_of(layout)
    monkeypatch.setattr(cifar, layout, published(files))
    train, test = READERS[layout](write(tmp_path, files))
    for images, parts in ((train, batches[:-1]), (test, batches[-1:])):
        assert numpy.array_equal(images.pixels, numpy.concatenate([pixels for pixels, _, _ in parts]))
        assert images.labels.tolist() == [label for _, _, fine in parts for label in fine]
        assert images.pixels.dtype == numpy.uint8
        assert images.labels.dtype == numpy.int64
        assert images.pixels.flags.c_contiguous
        assert images.pixels.flags.writeable


@pytest.mark.parametrize("reader", [cifar.read_cifar100_binary, cifar.read_cifar100_python])
def test_coarse_labels_are_the_other_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: Callable[[Path, bool], tuple[Images, Images]]
) -> None:
    layout = "CIFAR100_BINARY_FILES" if reader is cifar.read_cifar100_binary else "CIFAR100_PYTHON_FILES"
    files, batches = files_of(layout)
    monkeypatch.setattr(cifar, layout, published(files))
    fine_train, _ = reader(write(tmp_path, files), False)
    train, test = reader(tmp_path, True)
    assert [train.labels.tolist(), test.labels.tolist()] == [coarse for _, coarse, _ in batches]
    assert numpy.array_equal(train.pixels, fine_train.pixels)
    assert train.labels.tolist() != fine_train.labels.tolist()


@settings(max_examples=10, deadline=None)
@given(count=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_both_layouts_hold_the_same_images(count: int, seed: int) -> None:
    pixels, coarse, fine = random_batch(count, seed)
    file = Path("batch")
    pickled = python2_pickle({"data": pixels.reshape(count, -1), "fine_labels": fine})
    for images in (
        cifar.parse_binary(binary(pixels, coarse, fine), file, 10, label_bytes=2, label_index=1),
        cifar.parse_python(pickled, file, 10, b"fine_labels"),
    ):
        assert numpy.array_equal(images.pixels, pixels)
        assert images.labels.tolist() == fine


@pytest.mark.parametrize("layout", READERS)
def test_each_missing_truncated_or_altered_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    files, _ = files_of(layout, count=1)
    monkeypatch.setattr(cifar, layout, published(files))
    write(tmp_path, files)
    for name, content in files.items():
        file = tmp_path / name
        file.unlink()
        with pytest.raises(InputError, match=rf"/{name} is missing: fetch"):
            READERS[layout](tmp_path)
        file.write_bytes(content[:-1])
        with pytest.raises(InputError, match=rf"/{name} has {len(content) - 1} bytes and the published file"):
            READERS[layout](tmp_path)
        file.write_bytes(content[:-2] + bytes([content[-2] ^ 1, content[-1]]))
        with pytest.raises(InputError, match=rf"/{name} is not the published file"):
            READERS[layout](tmp_path)
        file.write_bytes(content)
    READERS[layout](tmp_path)


@pytest.mark.parametrize("layout", READERS)
def test_well_formed_files_that_are_not_the_published_ones_are_refused(tmp_path: Path, layout: str) -> None:
    files, _ = files_of(layout, count=1)
    with pytest.raises(InputError, match="published file"):
        READERS[layout](write(tmp_path, files))


class Dangerous:
    """Unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("layout", [layout for layout in READERS if "PYTHON" in layout])
def test_foreign_pickle_of_the_right_size_is_refused_without_being_run(tmp_path: Path, layout: str) -> None:
    first, (_, size) = next(iter(getattr(cifar, layout).items()))
    with (tmp_path / first).open("wb") as file:
        file.write(pickle.dumps({"data": Dangerous(tmp_path / "ran")}))
        file.truncate(size)
    with pytest.raises(InputError, match=rf"/{first} is not the published file"):
        READERS[layout](tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_runs_no_code_even_with_the_published_hash(tmp_path: Path, protocol: int) -> None:
    ran = tmp_path / "ran"
    foreign = pickle.dumps({"data": Dangerous(ran)}, protocol)
    with pytest.raises(InputError, match=r"batch is not a pickled CIFAR batch \(it asks for \w+\.mkdir"):
        cifar.parse_python(foreign, tmp_path / "batch", 10, b"labels")
    assert not ran.exists()
    pickle.loads(foreign)
    assert ran.exists(), "the pickle is not dangerous, so that this test shows nothing"


@pytest.mark.parametrize("asked", ["builtins\neval", "numpy\nload", "numpy.core.multiarray\nfromfile", "os\nsystem"])
def test_pickle_gets_nothing_but_arrays(asked: str) -> None:
    with pytest.raises(InputError, match=f"it asks for {asked.replace(chr(10), '.')}, which no CIFAR batch does"):
        cifar.parse_python(b"\x80\x02c" + asked.encode() + b"\n.", Path("batch"), 10, b"labels")


@pytest.mark.parametrize(
    "entries",
    [
        {"data": numpy.zeros((2, 3071), numpy.uint8), "labels": [0, 1]},
        {"data": numpy.zeros((2, 3072), numpy.uint8), "labels": [0, 1, 2]},
        {"data": numpy.zeros(3072, numpy.uint8), "labels": [0]},
        {"data": b"pixels", "labels": [0]},
        {"data": numpy.zeros((2, 3072), numpy.uint8), "labels": b"01"},
    ],
)
def test_pickle_of_another_structure_is_refused(entries: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^batch holds no uint8 array of shape \(N, 3072\) with N integer labels"):
        cifar.parse_python(python2_pickle(entries), Path("batch"), 10, b"labels")


@pytest.mark.parametrize("content", [b"", b"\x80\x02}", b"not a pickle", python2_pickle({"data": b"alone"})])
def test_content_that_is_no_batch_is_refused(content: bytes) -> None:
    with pytest.raises(InputError, match=r"^batch is not a pickled CIFAR batch"):
        cifar.parse_python(content, Path("batch"), 10, b"labels")


def test_label_out_of_range_is_refused_in_a_file_of_the_right_size() -> None:
    pixels, coarse, _ = random_batch(3, 0)
    with pytest.raises(InputError, match=r"^batch: image 1 \(the first is 0\) has label 10, expected 0 to 9"):
        cifar.parse_binary(binary(pixels, [9, 10, 3]), Path("batch"), 10)
    pickled = python2_pickle({"data": pixels.reshape(3, -1), "fine_labels": [0, 1, 100]})
    with pytest.raises(InputError, match=r"^batch: image 2 .* has label 100, expected 0 to 99"):
        cifar.parse_python(pickled, Path("batch"), 100, b"fine_labels")
    with pytest.raises(InputError, match=r"^batch: image 0 .* has label 20, expected 0 to 19"):
        cifar.parse_binary(binary(pixels, [20, 0, 0], coarse), Path("batch"), 20, label_bytes=2, label_index=0)


@pytest.mark.parametrize("size", [0, 3072, 3074, 2 * 3073 - 1])
def test_part_of_a_record_is_refused(size: int) -> None:
    with pytest.raises(InputError, match=f"batch has {size} bytes, expected a multiple of 3073"):
        cifar.parse_binary(bytes(size), Path("batch"), 10)


@pytest.mark.parametrize("layout", READERS)
def test_tables_name_training_files_in_order_and_the_test_file_last(layout: str) -> None:
    files = getattr(cifar, layout)
    assert list(files) == [*sorted(set(files) - {list(files)[-1]}), list(files)[-1]]
    assert list(files)[-1].startswith("test")
    lengths = {"md5": 32, "sha256": 64}
    for digest, size in files.values():
        algorithm, value = digest.split(":")
        assert len(value) == lengths[algorithm]
        assert size is None or size > 10_000 * 3072
    assert len({digest for digest, _ in files.values()}) == len(files)


@pytest.mark.real_data
def test_real_cifar10(real_data: Path) -> None:
    train, test = cifar.read_cifar10_binary(real_data / "cifar-10-batches-bin")
    assert train.pixels.shape == (50_000, 3, 32, 32)
    assert test.pixels.shape == (10_000, 3, 32, 32)
    assert numpy.bincount(train.labels).tolist() == [5_000] * 10
    assert numpy.bincount(test.labels).tolist() == [1_000] * 10
    # published: mean per channel of the training images, in [0, 1]
    assert train.pixels.mean(axis=(0, 2, 3)) / 255 == pytest.approx([0.4914, 0.4822, 0.4465], abs=5e-5)


@pytest.mark.real_data
def test_real_cifar100(real_data: Path) -> None:
    train, test = cifar.read_cifar100_binary(real_data / "cifar-100-binary", coarse=False)
    assert (train.pixels.shape, test.pixels.shape) == ((50_000, 3, 32, 32), (10_000, 3, 32, 32))
    assert numpy.bincount(train.labels).tolist() == [500] * 100
    assert numpy.bincount(test.labels).tolist() == [100] * 100
    # published, as for CIFAR-10
    assert train.pixels.mean(axis=(0, 2, 3)) / 255 == pytest.approx([0.50707516, 0.48654887, 0.44091784], abs=5e-6)


@pytest.mark.real_data
def test_real_cifar10_with_one_bit_flipped_is_refused(real_data: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in (real_data / "cifar-10-batches-bin").glob("*.bin"):
            (folder / file.name).symlink_to(file)
        content = bytearray((folder / "data_batch_2.bin").read_bytes())
        content[20_000_000] ^= 1
        (folder / "data_batch_2.bin").unlink()
        (folder / "data_batch_2.bin").write_bytes(content)
        with pytest.raises(InputError, match=r"/data_batch_2\.bin is not the published file"):
            cifar.read_cifar10_binary(folder)
