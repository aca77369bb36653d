"""Who may work on a run: one process at a time, for the command that holds the root today.

A command that is killed, or that loses its scheduler, leaves processes on other machines in the
middle of an epoch, where nothing can stop them. The next command must not write beside them.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from prunecheck.engine.execution import OnRunEpoch, Stopped, execute_together
from prunecheck.engine.job import Job
from prunecheck.io import LockedError, atomic_write, lock
from prunecheck.plain_files import read_plain_text
from prunecheck.runs.result import RunResult
from prunecheck.runs.store import LOCK, RunFolder, RunStore

COMMAND = ".command"
"""Holds the token of the command whose runs are done on other machines."""


def execute_locked(jobs: Sequence[Job], on_epoch: OnRunEpoch) -> list[RunResult]:
    """Do runs as :func:`prunecheck.engine.execution.execute_together` does, once no other process is at work on them.

    Raises:
        Stopped: a stop was requested, of this process or while another one was at work on the run.
        InputError, OSError: see :func:`prunecheck.engine.execution.execute`.
    """
    store = RunStore(jobs[0].root)
    folders = [folder for job in jobs if not (folder := store.folder(job.spec)).result()]
    with contextlib.ExitStack() as locks:
        # In one order everywhere, so that no two processes wait for each other.
        for folder in sorted(folders, key=lambda folder: folder.path):
            locks.enter_context(_locked(folder, store))
        return execute_together(jobs, on_epoch)


@contextlib.contextmanager
def _locked(folder: RunFolder, store: RunStore) -> Iterator[None]:
    file = folder.path / LOCK
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock(file, cancel=store.stop_requested))
        except LockedError as error:
            raise Stopped(folder.spec.folder_name) from error
        try:
            yield
        finally:
            # While it is held: who waits for it sees that it is gone, and makes another.
            with contextlib.suppress(OSError):  # what ended the block is what is to be told
                file.unlink()


@contextlib.contextmanager
def commanded_by(token: str, root: Path) -> Iterator[None]:
    """Have the processes that do runs for an earlier command stop after their epoch, and those of ``token`` not.

    Raises:
        OSError: the root cannot be written to.
    """
    atomic_write(root / COMMAND, token)
    try:
        yield
    finally:
        if command_of(root) == token:
            with contextlib.suppress(OSError):  # what ended the block is what is to be told
                forget_command(root)


def command_of(root: Path) -> str | None:
    """Return the token of the command whose runs other machines do, None if there is none."""
    try:
        return read_plain_text(root / COMMAND)
    except FileNotFoundError:
        return None


def forget_command(root: Path) -> None:
    """Have the processes that do runs for an earlier command stop after their epoch."""
    if (root / COMMAND).exists():  # on a file system that is read-only there is none, and removing it fails
        (root / COMMAND).unlink()
