import gzip
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest

from prunecheck.data import Images
from prunecheck.data.layouts import ClassFolders, HashedFiles, IdxFiles, Layout, has_digest
from prunecheck.errors import InputError

CONTENT = {"train-labels-idx1-ubyte": b"train" * 100, "t10k-labels-idx1-ubyte": b"test" * 20}

NO_IMAGES = Images(numpy.zeros((0, 1, 1, 1), numpy.uint8), numpy.zeros(0, numpy.int64))


def read_nothing(folder: Path) -> tuple[Images, Images]:
    return NO_IMAGES, NO_IMAGES


def table(content: dict[str, bytes]) -> dict[str, tuple[str, int | None]]:
    return {name: (f"sha256:{hashlib.sha256(data).hexdigest()}", len(data)) for name, data in content.items()}


HASHED = HashedFiles("binary", ("set",), table(CONTENT), read_nothing)
IDX = IdxFiles("idx", ("set",), table(CONTENT), read_nothing)


def put(folder: Path, content: dict[str, bytes]) -> None:
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def damage(layout: Layout, folder: Path) -> list[str]:
    return layout.missing(folder) + layout.altered(folder)


@pytest.mark.parametrize("layout", [HASHED, IDX])
def test_a_whole_set_has_no_damage(tmp_path: Path, layout: Layout) -> None:
    put(tmp_path, CONTENT | {"readme.html": b"more"})
    assert damage(layout, tmp_path) == []
    assert [file.name for file in layout.files(tmp_path)] == list(CONTENT)
    assert layout.is_itself(tmp_path)
    assert layout.is_hashed


@pytest.mark.parametrize("layout", [HASHED, IDX])
def test_a_folder_without_the_files_or_no_folder_holds_nothing(tmp_path: Path, layout: Layout) -> None:
    put(tmp_path, {"other": b""})
    for folder in (tmp_path, tmp_path / "other", tmp_path / "none"):
        assert layout.files(folder) == []
        assert not layout.is_itself(folder)
        assert len(layout.missing(folder)) == 2


@pytest.mark.parametrize("layout", [HASHED, IDX])
def test_each_damaged_file_is_named(tmp_path: Path, layout: Layout) -> None:
    put(tmp_path, {"train-labels-idx1-ubyte": b"train" * 99 + b"TRAIN"})
    missing, altered = layout.missing(tmp_path), layout.altered(tmp_path)
    assert len(missing) == len(altered) == 1
    assert missing[0].startswith("t10k-labels-idx1-ubyte")
    assert missing[0].endswith("is missing")
    assert altered == ["train-labels-idx1-ubyte is not the published file"]


@pytest.mark.parametrize("layout", [HASHED, IDX])
def test_a_cut_file_is_found_by_its_size_alone(tmp_path: Path, layout: Layout) -> None:
    put(tmp_path, CONTENT | {"train-labels-idx1-ubyte": b"train" * 99})
    assert layout.missing(tmp_path) == ["train-labels-idx1-ubyte has 495 bytes instead of 500"]


def test_a_size_that_is_not_known_is_not_held_against_a_file(tmp_path: Path) -> None:
    sizeless = {name: (digest, None) for name, (digest, _) in table(CONTENT).items()}
    put(tmp_path, CONTENT)
    assert damage(HashedFiles("pickles", (), sizeless, read_nothing), tmp_path) == []


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=12345)


FORMS: list[tuple[str, str, Callable[[bytes], bytes]]] = [
    ("-", "", bytes),
    (".", "", bytes),
    ("-", ".gz", gzipped),
    (".", ".gz", gzipped),
]


@pytest.mark.parametrize(("mark", "ending", "store"), FORMS)
def test_idx_files_are_recognised_in_every_form(
    tmp_path: Path, mark: str, ending: str, store: Callable[[bytes], bytes]
) -> None:
    stored = {name.replace("-idx", f"{mark}idx") + ending: store(data) for name, data in CONTENT.items()}
    put(tmp_path, stored)
    assert damage(IDX, tmp_path) == []
    assert {file.name for file in IDX.files(tmp_path)} == set(stored)
    assert IDX.is_itself(tmp_path)


def test_of_two_forms_of_an_idx_file_the_unzipped_is_held_against_the_hash(tmp_path: Path) -> None:
    put(tmp_path, CONTENT | {f"{name}.gz": b"no gzip" for name in CONTENT})
    assert damage(IDX, tmp_path) == []


@pytest.mark.parametrize("harm", [lambda data: data[:-9], lambda data: b"no gzip", lambda data: data[:20]])
def test_a_damaged_gzip_file_is_named(tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    name = "train-labels-idx1-ubyte"
    put(tmp_path, CONTENT)
    (tmp_path / name).unlink()
    put(tmp_path, {f"{name}.gz": harm(gzipped(CONTENT[name]))})
    assert IDX.altered(tmp_path) == [f"{name}.gz is not a whole gzip file"]


def test_an_altered_idx_set_is_not_read(tmp_path: Path) -> None:
    put(tmp_path, CONTENT | {"t10k-labels-idx1-ubyte": b"TEST" * 20})
    with pytest.raises(InputError, match="t10k-labels-idx1-ubyte is not the published file"):
        IDX.read(tmp_path)
    put(tmp_path, CONTENT)
    assert IDX.read(tmp_path) == (NO_IMAGES, NO_IMAGES)


def test_a_set_with_the_same_file_names_is_not_itself(tmp_path: Path) -> None:
    put(tmp_path, {name: data[::-1] for name, data in CONTENT.items()})
    assert IDX.files(tmp_path)
    assert not IDX.is_itself(tmp_path)


FOLDERS = ClassFolders("JPEGs", ("set",), ("train", "val"), read_nothing, lambda folder: None, lists=("wnids.txt",))


def test_class_folders_are_known_by_both_parts_and_the_names_of_classes(tmp_path: Path) -> None:
    put(tmp_path, {"train/n01443537/a.JPEG": b""})
    assert not FOLDERS.is_itself(tmp_path)
    assert FOLDERS.missing(tmp_path) == ["val is missing"]
    put(tmp_path, {"val/a.JPEG": b""})
    assert FOLDERS.is_itself(tmp_path)
    assert FOLDERS.missing(tmp_path) == []
    assert FOLDERS.files(tmp_path) == [tmp_path / "train", tmp_path / "val"]
    put(tmp_path, {"wnids.txt": b""})
    assert FOLDERS.files(tmp_path) == [tmp_path / "train", tmp_path / "val", tmp_path / "wnids.txt"]
    assert not FOLDERS.is_hashed


def test_a_folder_of_other_classes_is_not_itself(tmp_path: Path) -> None:
    put(tmp_path, {"train/cat/a.JPEG": b"", "val/a.JPEG": b""})
    assert not FOLDERS.is_itself(tmp_path)


def test_what_class_folders_lack_and_what_does_not_decode_are_both_said(tmp_path: Path) -> None:
    def refuse(folder: Path) -> tuple[Images, Images]:
        raise InputError("a.JPEG is damaged.")

    layout = ClassFolders("JPEGs", (), ("train", "val"), refuse, lambda folder: "3 of 500 images.")
    assert layout.altered(tmp_path) == ["3 of 500 images", "a.JPEG is damaged"]


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_digests_are_of_the_whole_content(tmp_path: Path, algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prunecheck.data.layouts.CHUNK", 7)
    content = bytes(range(256))
    digest = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
    put(tmp_path, {"plain": content, "zipped.gz": gzip.compress(content), "other": content[:-1]})
    assert has_digest(tmp_path / "plain", digest)
    assert has_digest(tmp_path / "zipped.gz", digest)
    assert not has_digest(tmp_path / "other", digest)


@pytest.mark.parametrize("name", ["pipe", "zeros", "zeros.gz", "bomb.gz"])
def test_what_has_no_end_has_no_digest(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prunecheck.data.layouts.LARGEST", 1 << 20)
    path = tmp_path / name
    if name == "pipe":
        os.mkfifo(path)
    elif name == "bomb.gz":
        path.write_bytes(gzip.compress(bytes(2 << 20)))
    else:
        path.symlink_to("/dev/zero")
    assert not has_digest(path, f"md5:{hashlib.md5(bytes(2 << 20), usedforsecurity=False).hexdigest()}")
