"""Several processes that train at once, against one process with as many threads."""

from collections.abc import Sequence
from functools import partial

import torch

from benchmarks.processes import Gate, crews, work_together
from benchmarks.training.contestants import everything
from benchmarks.training.prunecheck_loop import PrunecheckLoop
from benchmarks.training.speed import Row, ratio_to, row
from benchmarks.training.task import Task


def compare_crews(task: Task, repeats: int, cores: int) -> list[Row]:
    """Return a row for each number of processes; a step is one of all of them together.

    Args:
        task: what each process trains.
        repeats: rounds, in which crews take turns.
        cores: how many there are.
    """
    compared = crews(cores)
    seconds = work_together(partial(train_at_once, task), compared, repeats)
    first = compared[0].name
    return [
        {
            **row(crew.name, seconds[crew.name], task.batch_size),
            **ratio_to(first, seconds[first], seconds[crew.name]),
            "processes": crew.processes,
            "threads": crew.threads,
        }
        for crew in compared
    ]


def train_at_once(task: Task, gate: Gate, turns: int, threads: int) -> None:
    """Train in a process of its own, an epoch at each turn."""
    torch.set_num_threads(threads)

    def between(seconds: Sequence[float]) -> None:
        gate(seconds[-1] / task.batches if seconds else None)

    PrunecheckLoop(task, everything(task.device)).train(turns + 1, between)
