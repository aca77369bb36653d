import json
import multiprocessing
import os
import resource
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunecheck.data import Images
from prunecheck.data.cache import DecodedSet, decode_once
from prunecheck.data.channel_statistics import mean_and_deviation
from prunecheck.errors import InputError

FORK = multiprocessing.get_context("fork")
"""Processes that are there at once, without importing everything anew."""


def images(seed: int, count: int = 6) -> Images:
    draw = numpy.random.default_rng(seed)
    pixels = draw.integers(0, 256, (count, 3, 5, 4), dtype=numpy.uint8)
    return Images(pixels, draw.integers(0, 3, count, dtype=numpy.int64))


class Source:
    """A folder with one file, and a reader that counts how often it is called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "source"
        self.folder.mkdir()
        self.file = self.folder / "file"
        self.file.write_text("content")
        self.cache = folder / "cache"
        self.content = images(1), images(2)
        self.reads = 0

    def read(self) -> tuple[Images, Images]:
        self.reads += 1
        return self.content

    def decode(self, name: str = "set") -> DecodedSet:
        return decode_once(name, self.folder, [self.file], self.read, self.cache)

    def entries(self) -> list[Path]:
        return sorted((self.cache / "decoded").iterdir())


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


def test_what_was_decoded_nobody_else_may_read(source: Source) -> None:
    before = os.umask(0)
    try:
        source.decode()
    finally:
        os.umask(before)
    (entry,) = source.entries()
    paths = (source.cache, entry.parent, entry, *entry.iterdir())
    assert {path.name: path.stat().st_mode & 0o777 for path in paths} == {
        "cache": 0o700,
        entry.name: 0o700,
        "decoded": 0o700,
        "meta.json": 0o600,
        **{f"{part}-{what}.npy": 0o600 for part in ("train", "test") for what in ("pixels", "labels")},
    }


def test_what_earlier_versions_decoded_nobody_else_may_read_any_more(source: Source) -> None:
    source.decode()
    (entry,) = source.entries()
    for path in (source.cache, entry.parent, entry, *entry.iterdir()):
        path.chmod(0o755)
    source.file.write_text("other content")
    source.decode()
    assert [path.stat().st_mode & 0o777 for path in (source.cache, entry.parent)] == [0o700, 0o700]


def assert_equal(found: DecodedSet, expected: tuple[Images, Images]) -> None:
    for part, wanted in zip((found.train, found.test), expected, strict=True):
        assert part.pixels.dtype == numpy.uint8
        assert part.labels.dtype == numpy.int64
        assert numpy.array_equal(part.pixels, wanted.pixels)
        assert numpy.array_equal(part.labels, wanted.labels)


def test_a_set_is_read_once_and_comes_back_as_it_was_read(source: Source) -> None:
    first, second = source.decode(), source.decode()
    assert source.reads == 1
    assert_equal(first, source.content)
    assert_equal(second, source.content)
    assert (first.fingerprint, first.mean, first.deviation) == (second.fingerprint, second.mean, second.deviation)
    (entry,) = source.entries()
    assert entry.name.startswith("set-")


def test_arrays_are_maps_that_torch_takes_and_that_never_change_the_disk(source: Source) -> None:
    source.decode()
    found = source.decode()
    assert not found.train.pixels.flags.owndata
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensor = torch.from_numpy(found.train.pixels)
    tensor.fill_(7)
    assert (found.train.pixels == 7).all()
    assert_equal(source.decode(), source.content)


def test_a_channels_last_view_is_kept_in_its_order(source: Source) -> None:
    pixels = numpy.arange(2 * 4 * 5 * 3, dtype=numpy.uint8).reshape(2, 4, 5, 3).transpose(0, 3, 1, 2)
    source.content = Images(pixels, numpy.arange(2)), images(2)
    first, second = source.decode(), source.decode()
    assert numpy.array_equal(second.train.pixels, pixels)
    assert second.train.pixels.flags.c_contiguous
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize("change", ["content", "time", "name"])
def test_changed_files_are_read_anew_and_what_was_decoded_before_is_removed(source: Source, change: str) -> None:
    source.decode()
    status = source.file.stat()
    if change == "content":
        source.file.write_text("more content")
        os.utime(source.file, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif change == "time":
        os.utime(source.file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    else:
        source.file = source.file.rename(source.folder / "other")
    source.content = images(3), images(4)
    assert_equal(source.decode(), source.content)
    assert source.reads == 2
    assert len(source.entries()) == 1


def test_a_file_changed_deep_in_a_folder_is_seen(source: Source) -> None:
    deep = source.folder / "a" / "b"
    deep.mkdir(parents=True)

    def decode() -> DecodedSet:
        return decode_once("set", source.folder, [source.folder], source.read, source.cache)

    decode()
    decode()
    assert source.reads == 1
    (deep / "new").write_text("")
    decode()
    assert source.reads == 2


def test_a_folder_that_links_to_itself_and_a_link_to_nothing_end_nothing(source: Source) -> None:
    (source.folder / "loop").symlink_to(source.folder)
    (source.folder / "broken").symlink_to(source.folder / "missing")
    for _ in range(2):
        decode_once("set", source.folder, [source.folder], source.read, source.cache)
    assert source.reads == 1


def test_two_sets_from_one_folder_and_one_set_in_two_folders_are_kept_apart(source: Source, tmp_path: Path) -> None:
    source.decode("fine")
    source.decode("fine-coarse")
    (tmp_path / "elsewhere").mkdir()
    elsewhere = Source(tmp_path / "elsewhere")
    elsewhere.cache = source.cache
    elsewhere.decode("fine")
    assert len(source.entries()) == 3
    source.decode("fine")
    source.decode("fine-coarse")
    assert source.reads == 2


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def flip(file: Path) -> None:
    """Change the last bit of a file: of an array's last value, or, in the description, of what ends it."""
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("name", ["train-pixels.npy", "train-labels.npy", "test-pixels.npy", "meta.json"])
@pytest.mark.parametrize("harm", [cut, flip, Path.unlink, lambda file: file.write_bytes(b"")])
def test_damage_in_the_cache_is_made_good(source: Source, name: str, harm: Callable[[Path], object]) -> None:
    before = source.decode()
    (entry,) = source.entries()
    if (name, harm) == ("meta.json", cut):
        (entry / name).write_text("{")
    else:
        harm(entry / name)
    assert_equal(source.decode(), source.content)
    assert source.reads == 2
    assert source.decode().fingerprint == before.fingerprint
    assert source.reads == 2
    assert source.entries() == [entry]


@pytest.mark.parametrize("meta", ["[]", "null", '{"sizes": 3}', '{"sizes": {}}', "\xff"])
def test_a_description_that_is_none_is_made_good(source: Source, meta: str) -> None:
    source.decode()
    (entry,) = source.entries()
    (entry / "meta.json").write_text(meta, encoding="latin1")
    assert_equal(source.decode(), source.content)
    assert json.loads((entry / "meta.json").read_text())["fingerprint"]


def decode_slowly(source: Source) -> None:
    def read() -> tuple[Images, Images]:
        with (source.folder.parent / "log").open("a") as file:
            file.write("read\n")
        time.sleep(0.3)
        return source.content

    assert_equal(decode_once("set", source.folder, [source.file], read, source.cache), source.content)


def decode_and_die(source: Source) -> None:
    def save_a_part(file: IO[bytes], *_: object, **__: object) -> None:
        file.write(b"a part")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    numpy.save = save_a_part  # type: ignore[assignment]
    source.decode()


def decode_on_a_full_disk(source: Source) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, resource.RLIM_INFINITY))
    assert_equal(source.decode(), source.content)
    assert source.entries() == []


def exit_codes(function: Callable[[Source], None], source: Source, times: int = 1) -> list[int | None]:
    """Call a function several times at once, each in a process of its own, and return how these ended."""
    processes = [FORK.Process(target=function, args=(source,)) for _ in range(times)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def test_of_several_processes_one_reads(source: Source) -> None:
    assert exit_codes(decode_slowly, source, times=4) == [0, 0, 0, 0]
    assert (source.folder.parent / "log").read_text() == "read\n"
    assert len(source.entries()) == 1


def test_a_kill_leaves_nothing_that_is_taken_for_whole_and_the_next_clears_up(source: Source) -> None:
    assert exit_codes(decode_and_die, source) == [-signal.SIGKILL]
    assert any(entry.suffix == ".part" for entry in source.entries()), "it was killed too early to test anything"
    source.decode()
    assert_equal(source.decode(), source.content)
    assert source.reads == 1
    assert len(source.entries()) == 1


def test_a_full_disk_does_not_keep_a_set_from_being_used(source: Source) -> None:
    assert exit_codes(decode_on_a_full_disk, source) == [0]
    assert source.entries() == []


def test_a_cache_that_cannot_be_made_does_not_keep_a_set_from_being_used(source: Source) -> None:
    source.cache.write_text("a file in the way")
    assert_equal(source.decode(), source.content)
    assert_equal(source.decode(), source.content)
    assert source.reads == 2
    assert source.cache.read_text() == "a file in the way"


def test_files_that_change_while_they_are_read_are_not_kept(source: Source) -> None:
    def read() -> tuple[Images, Images]:
        source.file.write_text("changed in between")
        return source.read()

    assert_equal(decode_once("set", source.folder, [source.file], read, source.cache), source.content)
    assert source.entries() == []


def test_a_refused_set_leaves_nothing_and_is_read_again(source: Source) -> None:
    def refuse() -> tuple[Images, Images]:
        raise InputError("damaged")

    with pytest.raises(InputError, match="damaged"):
        decode_once("set", source.folder, [source.file], refuse, source.cache)
    assert source.entries() == []
    source.decode()
    assert source.reads == 1


def test_the_fingerprint_is_that_of_the_images_wherever_they_lie(source: Source, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    assert Source(tmp_path / "elsewhere").decode("other name").fingerprint == source.decode().fingerprint


def altered(part: Images, what: str) -> Images:
    pixels, labels = part.pixels.copy(), part.labels.copy()
    if what == "pixel":
        pixels[-1, -1, -1, -1] ^= 1
    elif what == "label":
        labels[-1] += 1
    else:
        pixels = pixels.reshape(len(pixels), 3, 4, 5)
    return Images(pixels, labels)


@pytest.mark.parametrize("what", ["pixel", "label", "shape"])
@pytest.mark.parametrize("part", [0, 1])
def test_every_pixel_label_and_shape_is_in_the_fingerprint(source: Source, what: str, part: int) -> None:
    before = source.decode("before").fingerprint
    content = list(source.content)
    content[part] = altered(content[part], what)
    source.content = content[0], content[1]
    assert source.decode("after").fingerprint != before


def test_training_and_test_images_exchanged_have_another_fingerprint(source: Source) -> None:
    before = source.decode("before").fingerprint
    source.content = source.content[1], source.content[0]
    assert source.decode("after").fingerprint != before


@given(st.integers(1, 40), st.sampled_from([1, 3]), st.integers(1, 9), st.integers(0, 255), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_mean_and_deviation_are_numpys(count: int, channels: int, side: int, darkest: int, seed: int) -> None:
    draw = numpy.random.default_rng(seed)
    pixels = draw.integers(darkest, 256, (count, channels, side, side), dtype=numpy.uint8)
    mean, deviation = mean_and_deviation(pixels)
    scaled = pixels.astype(numpy.float64) / 255
    assert mean == pytest.approx(scaled.mean(axis=(0, 2, 3)), abs=1e-12)
    flat = (pixels == pixels[:1, :, :1, :1]).all(axis=(0, 2, 3))
    assert deviation == pytest.approx(numpy.where(flat, 1, scaled.std(axis=(0, 2, 3))), abs=1e-12)


def test_counting_in_pieces_counts_every_image(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = images(5, count=50).pixels
    whole = mean_and_deviation(pixels)
    monkeypatch.setattr("prunecheck.data.channel_statistics.CHUNK", 3 * 20)
    assert mean_and_deviation(pixels) == whole
