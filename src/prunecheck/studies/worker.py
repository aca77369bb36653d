"""What a worker process of the engine does when it starts."""

import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C, which a terminal sends to every process of a command, to the command itself.

    The command then ends its workers, each with its run at its last checkpoint.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
