import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest

from prunecheck.io import atomic_folder, lock_name

FORK = multiprocessing.get_context("fork")
"""Processes that are there at once, without importing everything anew."""

LARGEST_FILE = 4096


def make_unless_there(target: Path, made: Path) -> None:
    def fill(beside: Path) -> Path:
        with made.open("a") as file:
            file.write("made\n")
        time.sleep(0.3)
        return fill_with("whole", beside)

    with lock_name(target):
        if not target.exists():
            atomic_folder(target, fill)
    assert (target / "content").read_text() == "whole"


def die_while_filling(target: Path) -> None:
    def fill(beside: Path) -> Path:
        fill_with("a part", beside)
        os.kill(os.getpid(), signal.SIGKILL)
        return beside

    with lock_name(target):
        atomic_folder(target, fill)


def fill_a_full_disk(target: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, resource.RLIM_INFINITY))
    with pytest.raises(OSError), lock_name(target):
        atomic_folder(target, lambda beside: fill_with("x" * 100 * LARGEST_FILE, beside))


def exit_codes(*calls: tuple[Callable[..., None], tuple[Path, ...]]) -> list[int | None]:
    """Make calls at the same time, each in a process of its own, and return how these ended."""
    processes = [FORK.Process(target=function, args=arguments) for function, arguments in calls]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill_with(text: str, beside: Path) -> Path:
    (beside / "content").write_text(text)
    return beside


def test_a_folder_appears_with_what_was_filled_in_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "not" / "there" / "target"
    with lock_name(target):
        atomic_folder(target, lambda beside: fill_with("whole", beside))
    assert (target / "content").read_text() == "whole"
    assert names(target.parent) == ["target"]


def test_a_folder_made_inside_takes_the_name(tmp_path: Path) -> None:
    def fill(beside: Path) -> Path:
        (beside / "inside").mkdir()
        (beside / "left-out").write_text("not part of it")
        return fill_with("whole", beside / "inside")

    with lock_name(tmp_path / "target"):
        atomic_folder(tmp_path / "target", fill)
    assert names(tmp_path) == ["target"]
    assert names(tmp_path / "target") == ["content"]


def test_of_several_processes_one_makes_it_and_all_see_it_whole(tmp_path: Path) -> None:
    call = make_unless_there, (tmp_path / "cache" / "target", tmp_path / "made")
    assert exit_codes(call, call, call, call) == [0, 0, 0, 0]
    assert (tmp_path / "made").read_text() == "made\n"
    assert names(tmp_path / "cache") == ["target"]


def hold_again_and_again(target: Path) -> None:
    mark = target.with_name("held-by-one")
    for _ in range(100):
        with lock_name(target):
            mark.touch(exist_ok=False)
            time.sleep(0.0005)
            mark.unlink()


def test_a_lock_that_is_removed_and_made_again_is_never_held_by_two(tmp_path: Path) -> None:
    call = hold_again_and_again, (tmp_path / "target",)
    assert exit_codes(call, call, call, call) == [0, 0, 0, 0]
    assert names(tmp_path) == []


def test_a_kill_leaves_nothing_under_the_name_and_the_next_clears_up(tmp_path: Path) -> None:
    target = tmp_path / "target"
    assert exit_codes((die_while_filling, (target,))) == [-signal.SIGKILL]
    assert not target.exists()
    assert any(name.endswith(".part") for name in names(tmp_path)), "it was killed too early to test anything"
    with lock_name(target):
        assert not any(name.endswith(".part") for name in names(tmp_path))
        atomic_folder(target, lambda beside: fill_with("whole", beside))
    assert names(tmp_path) == ["target"]


@pytest.mark.parametrize("failure", [OSError("full"), ValueError("wrong"), KeyboardInterrupt()])
def test_what_stops_the_filling_leaves_the_old_folder_and_no_part_of_the_new(
    tmp_path: Path, failure: BaseException
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "content").write_text("old")

    def fill(beside: Path) -> Path:
        fill_with("new", beside)
        raise failure

    with pytest.raises(type(failure)), lock_name(target):
        atomic_folder(target, fill)
    assert names(tmp_path) == ["target"]
    assert (target / "content").read_text() == "old"


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    assert exit_codes((fill_a_full_disk, (tmp_path / "target",))) == [0]
    assert names(tmp_path) == []


def test_who_has_the_replaced_files_open_keeps_them(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    numpy.save(target / "content", numpy.arange(5000))
    mapped = numpy.load(target / "content.npy", mmap_mode="r")
    with lock_name(target):
        atomic_folder(target, lambda beside: fill_with("new", beside))
    assert names(tmp_path) == ["target"]
    assert names(target) == ["content"]
    assert mapped.sum() == 4999 * 2500


def test_content_is_on_the_disk_before_the_folder_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "target"
    flushed: list[tuple[int, bool]] = []
    really_fsync = os.fsync

    def watched_fsync(descriptor: int) -> None:
        flushed.append((os.fstat(descriptor).st_ino, target.exists()))
        really_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    with lock_name(target):
        atomic_folder(target, lambda beside: fill_with("whole", beside))
    assert ((target / "content").stat().st_ino, False) in flushed
    assert (target.stat().st_ino, False) in flushed
    assert flushed[-1] == (tmp_path.stat().st_ino, True)


def test_what_is_begun_of_another_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".target-2.1.ab.part").mkdir()
    with lock_name(tmp_path / "target"):
        pass
    assert names(tmp_path) == [".target-2.1.ab.part"]


def test_a_parent_that_cannot_be_made_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError), lock_name(tmp_path / "file" / "target"):
        pass
