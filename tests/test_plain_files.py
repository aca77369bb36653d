"""What is no file: pipes without a writer, devices without an end, and what is larger than anything that is meant."""

import errno
import os
import signal
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
import torch
from PIL import Image

from prunecheck.data import DataPlaces, load_dataset
from prunecheck.data.verified import LARGEST, read_file
from prunecheck.engine.dask_cluster import scheduler_address
from prunecheck.errors import InputError
from prunecheck.io import is_locked
from prunecheck.paper.scripts.save_dir import SaveDir
from prunecheck.plain_files import NoPlainFileError, append_line, read_plain_file, read_plain_text
from prunecheck.pruning.checkpoint_files import read_checkpoint
from prunecheck.studies.study_file import read_study
from prunecheck.tensors import read_tensors, tensors_bytes
from prunecheck.user_code import content_hash

PATIENCE = 30


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """End a test that waits for a pipe, or for the end of a device."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"nothing has come of it in {PATIENCE} seconds")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(params=["pipe", "device", "huge"])
def no_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """What is not read. Of the huge file nothing is on the disk."""
    path = tmp_path / "no-file"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "device":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 1 << 40)
    return path


def test_a_file_is_read_up_to_its_limit_through_links_too(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes("∑".encode())
    link.symlink_to(file)
    assert read_plain_file(file, 3) == read_plain_text(link).encode() == "∑".encode()
    with pytest.raises(NoPlainFileError, match="3 bytes, more than 2"):
        read_plain_file(file, 2)
    with pytest.raises(IsADirectoryError):
        read_plain_file(tmp_path, 2)
    with pytest.raises(FileNotFoundError) as error:
        read_plain_file(tmp_path / "none", 2)
    assert error.value.errno == errno.ENOENT


def test_a_small_file_takes_no_more_memory_than_it_has_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"small")
    tracemalloc.start()
    try:
        assert read_plain_text(tmp_path / "file") == "small"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
    assert "Name:" in read_plain_text(Path("/proc/self/status"))


def test_what_is_no_file_is_not_read(no_file: Path) -> None:
    with pytest.raises(NoPlainFileError):
        read_plain_text(no_file)
    with pytest.raises(NoPlainFileError):
        is_locked(no_file)


def test_a_file_of_a_data_set_that_is_none_is_one_sentence(no_file: Path) -> None:
    with pytest.raises(InputError, match=rf"no-file is not read, for it .*: expected a file of at most {LARGEST:,} "):
        read_file(no_file)


def test_what_is_no_file_among_images_is_named_and_not_waited_for(no_file: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    for folder in ("train/a", "train/b", "test/a", "test/b"):
        (images / folder).mkdir(parents=True)
        Image.new("L", (4, 4)).save(images / folder / "1.png")
    no_file.rename(images / "train" / "b" / "2.png")
    with pytest.raises(InputError, match=r"train/b/2\.png is not read, for it .*: expected a file of at most "):
        load_dataset(f"folder:{images}", DataPlaces((), tmp_path / "cache"))


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_neither_tensors_nor_inputs_are_read_from_what_is_no_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "no-file"
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    with pytest.raises(ValueError, match="a pipe or a device"):
        read_tensors(path, ("weights",))
    with pytest.raises(InputError, match="cannot be read"):
        content_hash(str(path))


def test_tensors_are_read_under_names_that_are_no_utf8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"bad\xff\xfe")
    folder.mkdir()
    path, weights = folder / "last.safetensors", {"fc.weight": torch.arange(6.0).view(2, 3)}
    path.write_bytes(tensors_bytes({"weights": weights}, "a description"))
    found, description = read_tensors(path, ("weights",))
    assert description == "a description"
    assert torch.equal(found["weights"]["fc.weight"], weights["fc.weight"])
    assert torch.equal(read_checkpoint(path)["weights"]["fc.weight"], weights["fc.weight"])


def test_a_file_that_says_it_is_empty_is_read_to_its_end_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, content = tmp_path / "file", bytes(range(256)) * 1000
    file.write_bytes(content)
    (tmp_path / "empty").touch()
    status_of = os.fstat

    def without_size(number: int) -> os.stat_result:
        status = tuple(status_of(number))
        return os.stat_result((*status[:6], 0, *status[7:]))

    monkeypatch.setattr(os, "fstat", without_size)
    assert read_plain_file(file, len(content)) == content
    assert read_plain_file(tmp_path / "empty", 1) == b""
    with pytest.raises(NoPlainFileError, match="it has more than 255,999 bytes"):
        read_plain_file(file, len(content) - 1)


def test_what_is_no_file_is_neither_a_study_nor_a_scheduler_s_nor_a_script_s(no_file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_study(no_file, None)
    with pytest.raises(InputError, match="cannot be read"):
        scheduler_address(str(no_file))
    no_file.rename(tmp_path / "baseline.json")
    assert SaveDir(tmp_path, "baseline", ()).run() is None


def test_a_line_is_added_to_a_file_and_to_nothing_else(tmp_path: Path) -> None:
    file, link, pipe = tmp_path / "file", tmp_path / "link", tmp_path / "pipe"
    append_line(file, "∑")
    append_line(file, "\udc80")
    link.symlink_to(file)
    os.mkfifo(pipe)
    for other in (link, pipe, tmp_path):
        with pytest.raises(OSError):
            append_line(other, "more")
    assert file.read_text(encoding="utf-8") == "∑\n\\udc80\n"


def test_no_line_is_added_to_a_device() -> None:
    with pytest.raises(NoPlainFileError, match="device"):
        append_line(Path("/dev/null"), "more")
