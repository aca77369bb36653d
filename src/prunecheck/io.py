"""Atomic writes of files and folders, and the lock that one process at a time holds."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from prunecheck.errors import InputError
from prunecheck.plain_files import MOST_TEXT, open_file

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
"""What a file system answers that has no locks."""

PART = ".part"
"""The ending of the name of what is being written, behind the number of the process that does."""

FLUSHED_ONE_BY_ONE = 64
"""Files that are flushed on their own; more of them are flushed faster by one call for all."""


class LockedError(Exception):
    """Another process holds a lock."""


@contextlib.contextmanager
def lock(file: Path, *, timeout: float | None = None, cancel: Callable[[], bool] = lambda: False) -> Iterator[bool]:
    """Hold a lock, which ends with the process that holds it, however it ends.

    A process that is forked meanwhile does not hold it. The file stays, and means nothing by itself; who holds the
    lock may remove it.

    Args:
        file: made if need be, as is its folder.
        timeout: seconds to wait for another process that holds it; None for as long as it does.
        cancel: asked while waiting whether to give up.

    Yields:
        Whether the file system has locks; if not, nobody waits for anybody.

    Raises:
        LockedError: another process still holds it.
        OSError: the file cannot be made or written to.
    """
    from filelock import FileLock, Timeout

    # Without flock, filelock would make do with a file that a killed process leaves behind.
    held = FileLock(file, fallback_to_soft=False)
    try:
        held.acquire(timeout=timeout, cancel_check=cancel)
    except Timeout:
        raise LockedError(str(file)) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        yield False
        return
    try:
        yield True
    finally:
        held.release()


def is_locked(file: Path) -> bool:
    """Say whether a process holds a lock.

    Nothing is changed, so that it may be asked of files that cannot be written to. Where there are no locks, or is
    no such file, nobody holds it.

    Raises:
        OSError: the file cannot be read.
    """
    import fcntl  # filelock, which uses the same, has no lock that several hold, and none without writing

    try:
        opened = open_file(file, MOST_TEXT)
    except FileNotFoundError:
        return False
    with opened:
        try:
            # Shared, so that two who look do not see each other; given back at once.
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in NO_LOCKS:
                return False
            if not isinstance(error, BlockingIOError):
                raise
            return True
    return False


@contextlib.contextmanager
def lock_name(target: Path) -> Iterator[None]:
    """Hold the name of a file or folder that is to be made: another process that wants to make it waits.

    What a process that was killed left unfinished is removed. On a file system without locks nobody waits, and each
    makes it.

    Args:
        target: need not exist; its parents are made.

    Raises:
        OSError: the parent cannot be made or written to.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    file = target.parent / f".{target.name}.lock"
    with lock(file) as is_held:
        if is_held:
            for left in _unfinished(target):
                shutil.rmtree(left, ignore_errors=True)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)  # while it is held: who waits for it sees that it is gone, and makes another


def atomic_write(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader, or a crash at any moment, sees the old one or the new one.

    Args:
        path: where the file is to appear; its folder exists.
        content: bytes, or text that is encoded as UTF-8; what has no code there, as parts of a file's name may have
            none, is written as an escape sequence.

    Raises:
        OSError: the disk is full or the folder cannot be written to; ``path`` is then as it was.
    """
    atomic_writes({path: content})


def atomic_writes(files: Mapping[Path, bytes | str]) -> None:
    """Write files as :func:`atomic_write` does, one after another, and flush their folders once, at the end.

    Args:
        files: content by path, of at least one.

    Raises:
        OSError: the disk is full or the folder cannot be written to. Where one of them could not be written, all are
            as they were.
    """
    parts = {path: path.with_name(f".{path.name}.{os.getpid()}{PART}") for path in files}
    is_many = len(files) > FLUSHED_ONE_BY_ONE
    try:
        for path, content in files.items():
            with parts[path].open("wb") as file:
                file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
                file.flush()
                if not is_many:
                    os.fsync(file.fileno())
        if is_many:
            os.sync()
        for path, part in parts.items():
            part.replace(path)
        if is_many:
            os.sync()
        else:
            for folder in {path.parent for path in files}:
                flush(folder)
    except BaseException:
        for part in parts.values():
            part.unlink(missing_ok=True)
        raise


def atomic_folder(target: Path, fill: Callable[[Path], Path]) -> None:
    """Make a folder so that a reader, or a crash at any moment, sees none of it or all of it.

    One that is there already is replaced; who has its files open keeps them. The caller holds its name, see
    :func:`lock_name`.

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
        _flush_all(made)
        if target.exists():
            target.rename(_beside(target))
        made.rename(target)
        flush(target.parent)
    finally:
        for left in _unfinished(target, of=os.getpid()):
            shutil.rmtree(left, ignore_errors=True)


def remove_unfinished(folder: Path) -> None:
    """Remove the files in a folder that :func:`atomic_writes` of processes had begun that have been killed since.

    The caller holds the folder, so that no other machine writes there.

    Raises:
        OSError: the folder cannot be read or written to.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.endswith(PART) and entry.name.startswith(".")]
    for name in names:
        process = name.removesuffix(PART).rpartition(".")[2]
        if process.isdecimal() and not _is_alive(int(process)):
            (folder / name).unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # of another user
    return True


def flush(path: Path) -> None:
    """See to it that a file's content, or the names in a folder, outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_all(folder: Path) -> None:
    paths = [folder, *folder.rglob("*")]
    if len(paths) > FLUSHED_ONE_BY_ONE:
        os.sync()
        return
    for path in paths:
        flush(path)


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}{PART}")


def _unfinished(target: Path, of: int | None = None) -> list[Path]:
    """List what was begun to become ``target``, by one process or by all."""
    start = f".{target.name}." + ("" if of is None else f"{of}.")
    return [path for path in target.parent.iterdir() if path.name.startswith(start) and path.suffix == PART]


def make_private_folder(folder: Path) -> None:
    """Make a folder that nobody else may look into, or have one's own that is there be so; its parents are made.

    Raises:
        OSError: it cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.stat()
    if status.st_uid == os.geteuid() and status.st_mode & 0o077:
        folder.chmod(0o700)


def require_output(path: Path, *, ending: str | None = None, is_own: Callable[[Path], bool] | None = None) -> None:
    """Raise :class:`InputError` unless a file can be written: before any work is done.

    Args:
        path: where the file is to appear.
        ending: how its name must end, such as ``.png``; None for any name.
        is_own: says of a file that is there whether it may be replaced; None for one that :func:`write_output`
            writes, which replaces nothing.
    """
    if ending and path.suffix.lower() != ending:
        raise InputError(f"{path} does not end in {ending}: give a name that does.")
    if path.is_dir():
        raise InputError(f"{path} is a folder: give the name of a file.")
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {path.parent}: make it, or choose another place than {path}.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"{path.parent} cannot be written to: choose another place than {path}.")
    if is_own and path.exists() and not (path.is_file() and is_own(path)):
        raise _occupied(path)


def write_output(content: bytes | str, path: Path) -> None:
    """Write a file, unless it is there already.

    Raises:
        InputError: another content is there, which is left as it is.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.exists():
        if path.is_file() and path.read_bytes() == data:
            return
        raise _occupied(path)
    atomic_write(path, data)


def require_output_folder(path: Path) -> None:
    """Raise :class:`InputError` if a folder that is to be made or filled is a file, or lies below one."""
    there = nearest_existing(path)
    if not there.is_dir():
        raise InputError(f"{there} is a file: give the name of a folder.")


def nearest_existing(path: Path) -> Path:
    """Return a path, or else the first of the folders around it that is there."""
    return next((one for one in (path, *path.parents) if one.exists()), path.absolute())


def _occupied(path: Path) -> InputError:
    return InputError(f"{path} exists and holds something else: choose another name, or remove it.")
