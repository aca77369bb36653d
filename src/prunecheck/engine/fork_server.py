"""A process that has imported what workers need, and of which they are copies: started in milliseconds, not seconds."""

import contextlib
import os
import signal
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, Protocol

METHOD = "forkserver"
"""What multiprocessing, and with it the engine, calls this way to start processes."""


class ForkServer(Protocol):
    """A fork server of multiprocessing's."""

    def ensure_running(self) -> None:
        """Start it, or start it anew if it has ended, with this process's environment and signal mask."""

    connect_to_new_process: Any
    """What multiprocessing calls to have a copy of it."""

    _forkserver_pid: int | None


def new_fork_server() -> ForkServer:
    """Return a fork server that is not running yet, beside the one that multiprocessing has for a whole process.

    In a notebook that may be there already, with the environment of then.
    """
    server: Any = forkserver.ForkServer()
    server.set_forkserver_preload(["prunecheck.engine.preloads"])
    return server  # type: ignore[no-any-return]


@contextlib.contextmanager
def used(server: ForkServer) -> Iterator[None]:
    """Have processes that are started in the block be copies of this server."""
    usual = forkserver.connect_to_new_process
    forkserver.connect_to_new_process = server.connect_to_new_process
    try:
        yield
    finally:
        forkserver.connect_to_new_process = usual


def number_of(server: ForkServer) -> int | None:
    """Return the number of a fork server's process; None if it was not started."""
    return server._forkserver_pid


def end(fork_server: ForkServer) -> None:
    """End a fork server of which no copy is alive any more."""
    server: Any = fork_server
    if server._forkserver_pid is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(server._forkserver_pid, signal.SIGKILL)
    try:
        server._stop()  # closes what it was told through, and reaps it
    except ChildProcessError:  # who ends all orphans has reaped it
        Path(server._forkserver_address).unlink(missing_ok=True)


def leave_out_preloads_of_engine() -> None:
    """Keep the engine from importing all that it knows of, pandas among them, for multiprocessing's own server."""
    import distributed.utils

    distributed.utils._forkserver_preload_set = True
