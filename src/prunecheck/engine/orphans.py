"""The processes of a command, found by a mark in their environment, so that none of them outlives it.

Called as a script with a mark, it waits until its standard input is closed, which the system does however the command
ends, and then ends every process that bears the mark. It imports nothing of the package, and so costs next to nothing.
"""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator

VARIABLE = "PRUNECHECK_ENGINE"
"""In the environment of the processes that a command starts, and of those that they start."""

TRIES = 50
"""How often is looked for what was started meanwhile; as a rule the second time nothing is left."""

SECONDS_TO_END = 60.0
"""In which the watcher comes to its own end."""


@contextlib.contextmanager
def no_orphans(mark: str) -> Iterator[None]:
    """See that no process which bears the mark is left when the block, or in whatever way this process, ends.

    Args:
        mark: the value of :data:`VARIABLE`, of this block alone.
    """
    watcher = subprocess.Popen(
        [sys.executable, "-P", __file__, mark],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        end_marked(mark)
        assert watcher.stdin is not None
        watcher.stdin.close()
        try:
            watcher.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            watcher.kill()
            watcher.wait()


def end_marked(mark: str, spared: int | None = None) -> None:
    """Kill all processes that bear the mark, and those that they have started meanwhile.

    Args:
        mark: the value of :data:`VARIABLE`.
        spared: the number of a process that is left alone.
    """
    import psutil  # type: ignore[import-untyped]

    for _ in range(TRIES):
        found = [process for process in psutil.process_iter() if process.pid != spared and _bears(process, mark)]
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if not found:
            break
        psutil.wait_procs(found, timeout=0.1)


def _bears(process: "psutil.Process", mark: str) -> bool:  # type: ignore[name-defined]  # noqa: F821
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        is_alive = process.status() != psutil.STATUS_ZOMBIE
        return bool(is_alive and process.environ().get(VARIABLE) == mark)
    return False


def _watch(mark: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # sent to the command's processes, which is to end first
    sys.stdin.buffer.read()
    end_marked(mark)


if __name__ == "__main__":
    _watch(sys.argv[1])
