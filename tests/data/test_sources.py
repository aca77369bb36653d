import hashlib
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import numpy
import pytest

from prunecheck.data import Augmentation, DataPlaces, Images
from prunecheck.data.datasets import Suggestion
from prunecheck.data.layouts import HashedFiles
from prunecheck.data.sources import Download, Found, PublishedSet, damage, find, open_published, require
from prunecheck.errors import InputError

IMAGE = 3 * 2 * 2


def records(count: int, classes: int = 2) -> bytes:
    return b"".join(bytes([index % classes, *range(index, index + IMAGE)]) for index in range(count))


TRAIN, TEST = records(8), records(4)


def read_part(file: Path) -> Images:
    content = numpy.frombuffer(file.read_bytes(), numpy.uint8).reshape(-1, 1 + IMAGE)
    return Images(content[:, 1:].reshape(-1, 3, 2, 2), content[:, 0].astype(numpy.int64))


def read_binary(folder: Path) -> tuple[Images, Images]:
    return read_part(folder / "train.bin"), read_part(folder / "test.bin")


def read_plain(folder: Path) -> tuple[Images, Images]:
    return read_part(folder / "train"), read_part(folder / "test")


def table(content: dict[str, bytes]) -> dict[str, tuple[str, int | None]]:
    return {name: (f"sha256:{hashlib.sha256(data).hexdigest()}", len(data)) for name, data in content.items()}


BINARY = {"train.bin": TRAIN, "test.bin": TEST}
PLAIN = {"train": TRAIN, "test": TEST}

PUBLISHED = PublishedSet(
    name="a-set",
    summary="A set",
    num_classes=2,
    mean=(0.1, 0.2, 0.3),
    deviation=(0.4, 0.5, 0.6),
    augmentation=Augmentation(padding=1, flip=True),
    suggestion=Suggestion(model="resnet8", width=16, epochs=1, batch_size=1, learning_rate=0.1),
    layouts=(
        HashedFiles("binary", ("set-bin", "deep/set"), table(BINARY), read_binary),
        HashedFiles("plain", ("set-plain",), table(PLAIN), read_plain),
    ),
    downloads=(Download(("http://127.0.0.1/set.tar",), "md5:0"),),
)


def put(folder: Path, content: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def places(tmp_path: Path) -> DataPlaces:
    return DataPlaces((tmp_path / "first", tmp_path / "second"), tmp_path / "cache")


def where(places: DataPlaces, published: PublishedSet = PUBLISHED) -> Path | None:
    found = find(published, places)
    return found.folder if found else None


def test_roots_are_searched_in_order_then_the_cache_then_what_is_installed(places: DataPlaces, tmp_path: Path) -> None:
    published = replace(PUBLISHED, installed=(tmp_path / "installed",))
    assert where(places, published) is None
    expected = [
        put(tmp_path / "installed", PLAIN),
        put(places.cache / "set-bin", BINARY),
        put(places.roots[1] / "set-plain", PLAIN),
        put(places.roots[0] / "deep" / "set", BINARY),
        put(places.roots[0] / "set-bin", BINARY),
    ]
    for folder in reversed(expected):
        assert where(places, published) == folder
        for file in folder.iterdir():
            file.unlink()
    assert where(places, published) is None


@pytest.mark.parametrize(("files", "layout"), [(BINARY, 0), (PLAIN, 1)])
def test_a_root_may_be_the_sets_own_folder(places: DataPlaces, files: dict[str, bytes], layout: int) -> None:
    put(places.roots[1], files)
    assert find(PUBLISHED, places) == Found(places.roots[1], PUBLISHED.layouts[layout])


def search_as_nobody(places: DataPlaces) -> None:
    os.seteuid(65534)
    with pytest.raises(PermissionError):
        (places.roots[0] / "set-bin" / "train.bin").stat()
    assert where(places) is None


def test_a_root_that_may_not_be_looked_into_holds_nothing(places: DataPlaces) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become a user who may not read")
    put(places.roots[0] / "set-bin", BINARY)
    places.roots[0].chmod(0o700)
    process = multiprocessing.get_context("fork").Process(target=search_as_nobody, args=(places,))
    process.start()
    process.join()
    assert process.exitcode == 0


def test_folders_named_as_the_files_are_not_the_set(places: DataPlaces) -> None:
    for name in PLAIN:
        (places.roots[0] / name).mkdir(parents=True)
        (places.roots[0] / "set-plain" / name).mkdir(parents=True)
    assert where(places) is None


@pytest.mark.parametrize("part", [{"train.bin": TRAIN}, BINARY | {"test.bin": TEST[:-1]}])
def test_a_whole_copy_is_preferred_to_one_that_lacks_something(places: DataPlaces, part: dict[str, bytes]) -> None:
    put(places.roots[0] / "set-bin", part)
    assert where(places) == places.roots[0] / "set-bin"
    with pytest.raises(InputError, match=r"test\.bin"):
        require(PUBLISHED, places)
    put(places.roots[1] / "set-plain", PLAIN)
    assert where(places) == places.roots[1] / "set-plain"
    assert require(PUBLISHED, places) == Found(places.roots[1] / "set-plain", PUBLISHED.layouts[1])


def test_not_found_says_where_was_looked_and_what_to_do(places: DataPlaces) -> None:
    with pytest.raises(InputError) as refused:
        open_published(replace(PUBLISHED, installed=(Path("/nowhere"),)), places)
    sentence = str(refused.value)
    for part in (*map(str, places.roots), str(places.cache), "/nowhere", "a-set", "set-bin", "data_root"):
        assert part in sentence
    assert "`prunecheck data get a-set`" in sentence


def test_places_that_are_not_given_are_asked_for() -> None:
    with pytest.raises(InputError, match="DataPlaces"):
        open_published(PUBLISHED, None)


@pytest.mark.parametrize(("folder", "files"), [("set-bin", BINARY), ("set-plain", PLAIN)])
def test_every_form_of_a_set_is_the_same_set(places: DataPlaces, folder: str, files: dict[str, bytes]) -> None:
    put(places.roots[0] / folder, files)
    dataset = open_published(PUBLISHED, places)
    assert dataset.train.labels.tolist() == [0, 1] * 4
    assert dataset.train.pixels[5].ravel().tolist() == list(range(5, 5 + IMAGE))
    assert len(dataset.test) == 4
    assert dataset.fingerprint is None
    for name in ("name", "num_classes", "mean", "deviation", "augmentation", "suggestion"):
        assert getattr(dataset, name) == getattr(PUBLISHED, name)


def test_a_set_without_published_hashes_has_the_fingerprint_of_its_images(places: DataPlaces) -> None:
    layout = HashedFiles("binary", ("set-bin",), dict.fromkeys(BINARY, ("md5:0", None)), read_binary, is_hashed=False)
    published = replace(PUBLISHED, layouts=(layout,))
    put(places.roots[0] / "set-bin", BINARY)
    first = open_published(published, places).fingerprint
    assert first is not None
    put(places.roots[0] / "set-bin", {"test.bin": TEST[::-1]})
    assert open_published(published, places).fingerprint not in (None, first)


def test_it_is_decoded_into_the_cache_and_opened_from_there(places: DataPlaces) -> None:
    folder = put(places.roots[0] / "set-bin", BINARY)
    first = open_published(PUBLISHED, places)
    status = (folder / "train.bin").stat()
    (folder / "train.bin").write_bytes(TRAIN[::-1])
    os.utime(folder / "train.bin", ns=(status.st_atime_ns, status.st_mtime_ns))  # as if nothing had changed
    again = open_published(PUBLISHED, places)
    assert numpy.array_equal(first.train.pixels, again.train.pixels)
    (entry,) = (places.cache / "decoded").iterdir()
    assert entry.name.startswith("a-set-")


def test_damage_lists_what_is_missing_or_else_what_is_altered(places: DataPlaces) -> None:
    folder = put(places.roots[0] / "set-bin", {"test.bin": TEST[::-1]})
    found = Found(folder, PUBLISHED.layouts[0])
    assert damage(found) == ["train.bin is missing"]
    put(folder, {"train.bin": TRAIN[::-1]})
    assert damage(found) == ["train.bin is not the published file", "test.bin is not the published file"]
    put(folder, BINARY)
    assert damage(found) == []


def test_many_damaged_files_are_counted_in_the_error(places: DataPlaces) -> None:
    many = table({f"file{number}": b"" for number in range(9)})
    published = replace(PUBLISHED, layouts=(HashedFiles("many", ("many",), many, read_binary),))
    put(places.roots[0] / "many", {"file0": b"", "file1": b"too long"})
    with pytest.raises(InputError, match=r"file1 has .*file2 is missing, file3 is missing and 5 more\)"):
        require(published, places)
