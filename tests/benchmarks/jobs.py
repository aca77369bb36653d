"""What the worker processes of the tests do; imports no torch, so that they start quickly."""

import os
import time
from pathlib import Path

from benchmarks.processes import Gate


def say_threads(gate: Gate, turns: int, threads: int) -> None:
    """Take as many seconds in each turn as there are threads."""
    gate(None)
    for _ in range(turns):
        gate(float(threads))


def count_ready(folder: Path, gate: Gate, turns: int, threads: int) -> None:
    """Say in each turn how many are ready for it when it begins; whoever comes first into the folder is slow."""
    slow = _is_first(folder)
    seconds = None
    for turn in range(turns + 1):
        time.sleep(0.3 * slow)
        (folder / f"ready-{turn}-{os.getpid()}").touch()
        gate(seconds)
        seconds = float(len(list(folder.glob(f"ready-{turn}-*"))))


def end_early(gate: Gate, turns: int, threads: int) -> None:
    """Get ready, and be gone in the first turn."""
    gate(None)
    os._exit(3)


def _is_first(folder: Path) -> bool:
    try:
        os.close(os.open(folder / "first", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
