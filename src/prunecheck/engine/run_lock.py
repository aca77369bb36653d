"""Who may work on a run: one process at a time, for the command that holds the root today.

A command that is killed, or that loses its scheduler, leaves processes on other machines in the
middle of an epoch, where nothing can stop them. The next command must not write beside them.
"""

import contextlib
import fcntl
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from prunecheck.engine.execution import Job, OnRunEpoch, Stopped, execute_together
from prunecheck.io import write_whole
from prunecheck.runs.result import RunResult
from prunecheck.runs.store import LOG, RunFolder, RunStore

COMMAND = ".command"
"""Holds the token of the command whose runs are done on other machines."""

SECONDS_BETWEEN_TRIES = 0.1


def execute_claimed(jobs: Sequence[Job], on_epoch: OnRunEpoch) -> list[RunResult]:
    """Do runs as :func:`prunecheck.engine.execution.execute_together` does, once no other process is at work on them.

    Raises:
        Stopped: a stop was requested, of this process or while another one was at work on the run.
        InputError, OSError: see :func:`prunecheck.engine.execution.execute`.
    """
    store = RunStore(jobs[0].root)
    folders = [folder for job in jobs if not (folder := store.folder(job.spec)).result()]
    with contextlib.ExitStack() as claims:
        # In one order everywhere, so that no two processes wait for each other.
        for folder in sorted(folders, key=lambda folder: folder.path):
            claims.enter_context(_claimed(folder, store))
        return execute_together(jobs, on_epoch)


@contextlib.contextmanager
def _claimed(folder: RunFolder, store: RunStore) -> Iterator[None]:
    folder.path.mkdir(exist_ok=True)
    # Of all files of a run only the log is never replaced by another one of its name.
    with (folder.path / LOG).open("ab") as log:
        while not _is_locked(log.fileno()):
            if store.stop_requested():
                raise Stopped(folder.spec.folder_name)
            time.sleep(SECONDS_BETWEEN_TRIES)
        yield


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def commanded_by(token: str, root: Path) -> Iterator[None]:
    """Have the processes that do runs for an earlier command stop after their epoch, and those of ``token`` not.

    Raises:
        OSError: the root cannot be written to.
    """
    write_whole(root / COMMAND, token)
    try:
        yield
    finally:
        if command_of(root) == token:
            with contextlib.suppress(OSError):  # what ended the block is what is to be told
                forget_command(root)


def command_of(root: Path) -> str | None:
    """Return the token of the command whose runs other machines do, None if there is none."""
    try:
        return (root / COMMAND).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def forget_command(root: Path) -> None:
    """Have the processes that do runs for an earlier command stop after their epoch."""
    if (root / COMMAND).exists():  # on a file system that is read-only there is none, and removing it fails
        (root / COMMAND).unlink()
