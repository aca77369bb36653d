"""What the worker processes of the tests do; imports no torch, so that they start quickly."""

import os
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from benchmarks.processes import Gate


def say_threads(connection: Connection, barriers: Mapping[int, Barrier], turns: int) -> None:
    """Take as many seconds in each turn as threads are asked for."""
    asked: list[int] = []
    gate = Gate(connection, barriers, asked.append)
    gate(None)
    for _ in range(turns):
        gate(float(asked[-1]))


def count_ready(folder: Path, connection: Connection, barriers: Mapping[int, Barrier], turns: int) -> None:
    """Say in each turn how many are ready when it begins; whoever comes first into the folder is slow."""
    mine = 0
    slow = _is_first(folder)

    def get_ready(threads: int) -> None:
        nonlocal mine
        mine += 1
        time.sleep(0.3 * slow)
        (folder / f"ready-{mine}-{os.getpid()}").touch()

    gate = Gate(connection, barriers, get_ready)
    gate(None)
    for turn in range(turns):
        ready = len(list(folder.glob(f"ready-{turn + 1}-*")))
        gate(float(ready))


def end_early(connection: Connection, barriers: Mapping[int, Barrier], turns: int) -> None:
    """Get ready, and be gone in the first turn."""
    Gate(connection, barriers, lambda threads: os._exit(3))(None)


def _is_first(folder: Path) -> bool:
    try:
        os.close(os.open(folder / "first", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
