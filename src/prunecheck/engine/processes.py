"""The process that workers are copies of, and they: begun early, and kept from one handing out of runs to the next."""

import contextlib
import os
import uuid
from collections.abc import Hashable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from prunecheck.engine.fork_server import ForkServer, end, new_fork_server, number_of
from prunecheck.engine.interrupts import interrupts_held_back
from prunecheck.engine.orphans import VARIABLE, end_marked, no_orphans
from prunecheck.process_limits import require_startable

WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""One thread each. The engine's own default also has freed memory handed back at once, which costs
a training step that frees and takes the same buffers a third of its speed."""

SAFE_PATH = "PYTHONSAFEPATH"
"""Keeps an interpreter from looking for modules in the folder that it is started in."""

OUTPUT_ENCODING = "PYTHONIOENCODING"


@dataclass
class Processes:
    """What workers are started from.

    Attributes:
        server: the process that they are copies of.
        mark: the value of :data:`prunecheck.engine.orphans.VARIABLE` in all of them.
    """

    server: ForkServer
    mark: str

    @contextlib.contextmanager
    def environment(self) -> Iterator[None]:
        """Give this process's environment what workers are to find in theirs, and take it back at the end.

        It can be told to them in no other way: what the engine gives to a worker alone is set after numpy was imported
        there, too late for the number of threads, and it sets ``PYTHONHASHSEED`` here whatever it is told.
        """
        before = dict(os.environ)
        ours = {SAFE_PATH: "1", VARIABLE: self.mark, OUTPUT_ENCODING: _forgiving_encoding()}
        try:
            os.environ.update(WORKER_ENVIRONMENT | ours)
            yield
        finally:
            for name in os.environ.keys() - before.keys():
                del os.environ[name]
            os.environ.update(before)

    def begin(self) -> None:
        """Start the server, or another one if it has ended; it imports while this process goes on."""
        with self.environment(), interrupts_held_back():
            try:
                self.server.ensure_running()
            except ChildProcessError:  # it has ended, and was waited for by who ended it
                self.end()
                self.server = new_fork_server()
                self.server.ensure_running()

    def end(self) -> None:
        """End the server."""
        end(self.server)

    def end_workers(self) -> None:
        """End what was started from the server, and what that has started, but not the server itself."""
        end_marked(self.mark, spared=number_of(self.server))


@dataclass
class Kept:
    """What is kept until the end of a block, once it is begun.

    Attributes:
        until_end: ends it.
        processes: what workers are started from.
        workers: that have been started, and what ends them.
    """

    until_end: contextlib.ExitStack
    processes: Processes | None = None
    workers: "KeptWorkers | None" = None

    def begun(self) -> Processes:
        """Begin what workers are started from, or begin it anew if it has ended, and return it."""
        if self.processes is None:
            self.processes = _begin(self.until_end)
        else:
            self.processes.begin()
        return self.processes


@dataclass(frozen=True)
class KeptWorkers:
    """Workers that wait for more runs.

    Attributes:
        count: how many they are.
        kind: what else they were started with, and others may not be.
        client: theirs.
        until_end: ends them.
    """

    count: int
    kind: Hashable
    client: Any
    until_end: contextlib.ExitStack


_kept: ContextVar[Kept | None] = ContextVar("kept_processes", default=None)
"""Of this thread, so that a call in another one has its own, which does not end with those of this one."""


@contextlib.contextmanager
def processes_kept() -> Iterator[None]:
    """Keep what workers are started from until the end of the block, for all that this thread starts in it."""
    if _kept.get() is not None:
        yield
        return
    with contextlib.ExitStack() as until_end:
        before = _kept.set(Kept(until_end))
        try:
            yield
        finally:
            _kept.reset(before)


def kept() -> Kept | None:
    """Return what is kept for all that this thread starts; None where nothing is."""
    return _kept.get()


def begin_early() -> None:
    """Begin what is kept beside what this process imports, before it is known to be needed.

    That it cannot be begun is said when it is needed.
    """
    if here := kept():
        with contextlib.suppress(OSError):
            here.begun()


@contextlib.contextmanager
def begun_processes(workers: int) -> Iterator[Processes]:
    """Yield what workers are started from: what is kept, or what ends with the block.

    Args:
        workers: how many are going to be started.

    Raises:
        InputError: this system does not let so many be started.
    """
    with _safe_path():
        require_startable(workers)
    with processes_kept():
        here = kept()
        assert here is not None
        yield here.begun()


@contextlib.contextmanager
def _safe_path() -> Iterator[None]:
    """Have processes that are started in the block not look for modules in the working directory."""
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = before


def _begin(until_end: contextlib.ExitStack) -> Processes:
    processes = Processes(new_fork_server(), uuid.uuid4().hex)
    until_end.callback(processes.end)
    with _safe_path(), interrupts_held_back():
        until_end.enter_context(no_orphans(processes.mark))
    processes.begin()
    return processes


def _forgiving_encoding() -> str:
    """Have workers print what the locale has no sign for as an escape sequence, as this process does."""
    return os.environ.get(OUTPUT_ENCODING, "").partition(":")[0] + ":backslashreplace"
