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


@contextlib.contextmanager
def own_fork_server() -> Iterator[ForkServer]:
    """Have processes that are started in the block be copies of a server of the block's own, which ends with it.

    Multiprocessing has one for a whole process: in a notebook it may be there already, with the environment of
    then. The block is to be left when no copy is alive any more.
    """
    server: Any = forkserver.ForkServer()
    server.set_forkserver_preload(["prunecheck.engine.preloads"])
    usual = forkserver.connect_to_new_process
    forkserver.connect_to_new_process = server.connect_to_new_process
    try:
        yield server
    finally:
        forkserver.connect_to_new_process = usual
        _end(server)


def _end(server: Any) -> None:
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
