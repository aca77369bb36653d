import errno
import fcntl
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from prunecheck.io import LockedError, is_locked, lock, lock_name

FORK = multiprocessing.get_context("fork")


def hold(file: Path, held: Connection) -> None:
    with lock(file):
        held.send(os.getpid())
        held.recv()


def hold_and_fork(file: Path, held: Connection) -> None:
    """Hold a lock, and start a process that outlives this one."""
    with lock(file):
        child = os.fork()
        if child == 0:
            time.sleep(600)
            os._exit(0)
        held.send(child)
        held.recv()


@contextmanager
def another(do: Callable[[Path, Connection], None], file: Path) -> Iterator[tuple[Any, Connection, int]]:
    """Have another process hold a lock; yield it, what ends it, and the number that it sent."""
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=do, args=(file, theirs))
    process.start()
    try:
        yield process, ours, ours.recv()
    finally:
        process.kill()
        process.join()


def test_who_does_not_wait_is_refused_until_the_holder_is_done(tmp_path: Path) -> None:
    file = tmp_path / "new" / "lock"
    with another(hold, file) as (process, pipe, _):
        with pytest.raises(LockedError, match="lock"), lock(file, timeout=0):
            pass
        assert is_locked(file)
        pipe.send("done")
        process.join()
        assert process.exitcode == 0
    assert not is_locked(file)
    with lock(file, timeout=0) as is_held:
        assert is_held
        assert is_locked(file)


def test_who_waits_has_it_once_the_holder_is_done_or_gives_up_when_told(tmp_path: Path) -> None:
    file, asked = tmp_path / "lock", []

    def release_at_the_second_look() -> bool:
        asked.append(True)
        if len(asked) == 2:
            pipe.send("done")
        return False

    with another(hold, file) as (_, pipe, _number):
        with pytest.raises(LockedError), lock(file, cancel=lambda: True):
            pass
        with lock(file, cancel=release_at_the_second_look) as is_held:
            assert is_held
    assert len(asked) >= 2


def test_a_lock_ends_with_a_killed_process_and_what_it_leaves_is_harmless(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with another(hold, file) as (process, _, _number):
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    assert file.exists()
    assert not is_locked(file)
    with lock(file, timeout=0) as is_held:
        assert is_held


def test_a_forked_process_does_not_hold_its_parents_lock(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with another(hold_and_fork, file) as (process, _, child):
        try:
            process.kill()
            process.join()
            os.kill(child, 0)  # it lives
            assert not is_locked(file)
            with lock(file, timeout=0) as is_held:
                assert is_held
        finally:
            os.kill(child, signal.SIGKILL)


def look_again_and_again(file: Path, seen: Connection) -> None:
    seen.send(sum(is_locked(file) for _ in range(3000)))
    seen.recv()


def test_those_who_look_do_not_see_each_other_and_change_nothing(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    assert not is_locked(file)
    assert not file.exists()
    file.write_text("content")
    before = file.stat().st_mtime_ns
    with another(look_again_and_again, file) as (_, _pipe, seen_there):
        seen_here = sum(is_locked(file) for _ in range(3000))
    assert (seen_there, seen_here) == (0, 0)
    assert (file.read_text(), file.stat().st_mtime_ns) == ("content", before)


@pytest.mark.parametrize("answer", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_without_locks_nobody_waits_and_nothing_that_locks_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: int
) -> None:
    def flock(*_: object) -> None:
        raise OSError(answer, os.strerror(answer))

    monkeypatch.setattr(fcntl, "flock", flock)
    for _ in range(2):
        with lock(tmp_path / "lock") as is_held, lock(tmp_path / "lock") as another_is_held:
            assert (is_held, another_is_held) == (False, False)
        assert not is_locked(tmp_path / "lock")
    (tmp_path / ".target.1.ab.part").mkdir()  # perhaps of a process that is at work
    with lock_name(tmp_path / "target"):
        pass
    assert {path.name for path in tmp_path.iterdir()} <= {"lock", ".target.1.ab.part"}
    assert (tmp_path / ".target.1.ab.part").exists()


def test_another_error_of_the_system_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.EIO, "disk on fire")

    (tmp_path / "lock").touch()
    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="disk on fire"), lock(tmp_path / "lock"):
        pass
    with pytest.raises(OSError, match="disk on fire"):
        is_locked(tmp_path / "lock")
