"""Folders that appear whole or not at all, and are made by one process at a time."""

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
"""What a file system answers that has no locks."""

FLUSHED_ONE_BY_ONE = 64
"""Files that are flushed on their own; more of them are flushed faster by one call for all."""


@contextlib.contextmanager
def held(target: Path) -> Iterator[None]:
    """Hold the name of a folder that is to be made: another process that wants to make it waits.

    The lock ends with the process that holds it, however it ends. What such a process left unfinished
    is removed. On a file system without locks nobody waits, and each makes the folder.

    Args:
        target: the folder, which need not exist; its parents are made.

    Raises:
        OSError: the parent cannot be made or written to.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = target.parent / f".{target.name}.lock"
    with _locked(lock) as is_locked:
        if is_locked:
            for left in _unfinished(target):
                shutil.rmtree(left, ignore_errors=True)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)  # while it is held: who waits for it sees that it is gone, and makes another


@contextlib.contextmanager
def _locked(lock: Path) -> Iterator[bool]:
    """Wait for a lock file and hold it; yield whether the file system has locks."""
    while True:
        with lock.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                yield False
                return
            if _is_at(file.fileno(), lock):
                yield True
                return


def _is_at(descriptor: int, path: Path) -> bool:
    """Say whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def put_folder(target: Path, fill: Callable[[Path], Path]) -> None:
    """Make a folder so that a reader, or a crash at any moment, sees none of it or all of it.

    One that is there already is replaced; who has its files open keeps them. The caller has it :func:`held`.

    Args:
        target: the folder; its parent exists.
        fill: is given an empty folder beside ``target``, and returns that folder, or one that it made
            in there, which then becomes ``target``.

    Raises:
        OSError: the disk is full or the parent cannot be written to; ``target`` is then as it was.
    """
    beside = _beside(target)
    try:
        beside.mkdir()
        made = fill(beside)
        _flush(made)
        if target.exists():
            target.rename(_beside(target))
        made.rename(target)
        flush(target.parent)
    finally:
        for left in _unfinished(target, of=os.getpid()):
            shutil.rmtree(left, ignore_errors=True)


def flush(path: Path) -> None:
    """See to it that a file's content, or the names in a folder, outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.part")


def _unfinished(target: Path, of: int | None = None) -> list[Path]:
    """List what was begun to become ``target``, by one process or by all."""
    start = f".{target.name}." + ("" if of is None else f"{of}.")
    return [path for path in target.parent.iterdir() if path.name.startswith(start) and path.suffix == ".part"]


def _flush(folder: Path) -> None:
    paths = [folder, *folder.rglob("*")]
    if len(paths) > FLUSHED_ONE_BY_ONE:
        os.sync()
        return
    for path in paths:
        flush(path)
