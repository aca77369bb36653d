"""How the cost of a step grows with sparsity, width, batch size and the number of tickets."""

from collections.abc import Callable
from dataclasses import replace

from benchmarks.training.contestants import Contestant, all_together, by_torch, plain
from benchmarks.training.speed import Row, compete
from benchmarks.training.task import Task

SPARSITIES = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
WIDTH_FACTORS = (0.25, 0.5, 1, 2)
BATCH_SIZES = (16, 32, 64, 128, 256)
TICKETS = {"cpu": (1, 2, 4), "cuda": (1, 2, 4, 8, 16, 32)}


def over_sparsity(task: Task) -> list[Contestant]:
    """Return all together at each sparsity, and what computes with all weights, whose cost does not depend on it."""
    dense = by_torch(task, "torch, better layout")
    tasks = [replace(task, sparsity=sparsity) for sparsity in SPARSITIES]
    kept = [all_together(each, name=f"sparsity {each.sparsity:g}", compared_with=dense.name) for each in tasks]
    return [plain(task), dense, *kept]


def over_width(task: Task) -> list[Contestant]:
    """Return both loops at a quarter, half, once and twice the width."""
    widths = sorted({max(1, round(task.width * factor)) for factor in WIDTH_FACTORS})
    return _both([(f"width {width}", replace(task, width=width)) for width in widths])


def over_batch(task: Task) -> list[Contestant]:
    """Return both loops at each batch size, with about as many images in an epoch, and one batch at least."""
    images = task.batch_size * task.batches
    return _both(
        [
            (f"batch {size}", replace(task, batch_size=size, batches=max(1, round(images / size))))
            for size in BATCH_SIZES
        ]
    )


def over_tickets(task: Task) -> list[Contestant]:
    """Return all together with each number of tickets in one call, and the plain loop; the step is that of one."""
    counts = TICKETS[task.device.type]
    return [plain(task), *(all_together(task, count, name=f"tickets {count}") for count in counts)]


AXES: dict[str, Callable[[Task], list[Contestant]]] = {
    "sparsity": over_sparsity,
    "width": over_width,
    "batch": over_batch,
    "tickets": over_tickets,
}


def grow(axis: str, task: Task, repeats: int) -> list[Row]:
    """Return a row for each value on an axis."""
    return compete(AXES[axis](task), repeats, f"{axis} of {task.model}")


def _both(tasks: list[tuple[str, Task]]) -> list[Contestant]:
    contestants = []
    for name, task in tasks:
        reference = plain(task, f"plain, {name}")
        contestants += [reference, all_together(task, name=name, compared_with=reference.name)]
    return contestants
