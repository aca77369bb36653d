"""The floor below which no step can go, and how far above it steps are."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from benchmarks.tables import table
from benchmarks.training.arithmetic import FLOAT32_BYTES, StepWork, count_work
from benchmarks.training.contestants import everything
from benchmarks.training.device_rates import DeviceRates
from benchmarks.training.task import CIFAR_SHAPE, Task

BFLOAT16_BYTES = 2
ALL_WEIGHTS, KEPT_WEIGHTS = "all weights", "kept weights"


def floors(task: Task, rates: DeviceRates, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Return the floor of a step that computes with all weights, and of one that computes with the kept ones only.

    Args:
        task: what is trained.
        rates: what the device reaches.
        seconds: the fastest measured step of those that compute with all weights and with the kept ones, by the names
            :data:`ALL_WEIGHTS` and :data:`KEPT_WEIGHTS`; each is compared with its own floor.

    Raises:
        RuntimeError: a step takes less than its floor, which then is none.
    """
    (ticket,) = task.tickets(1)
    network = task.network()
    work = {
        ALL_WEIGHTS: count_work(network, {}, CIFAR_SHAPE, task.batch_size),
        KEPT_WEIGHTS: count_work(network, ticket.masks, CIFAR_SHAPE, task.batch_size),
    }
    bfloat16 = everything(task.device).bfloat16
    return {name: _floor(name, counted, rates, bfloat16, seconds.get(name)) for name, counted in work.items()}


def _floor(name: str, work: StepWork, rates: DeviceRates, bfloat16: bool, seconds: float | None) -> dict[str, Any]:
    rate = rates.bfloat16 if bfloat16 and rates.bfloat16 else rates.float32
    moved = work.moved_bytes(rates.cache, BFLOAT16_BYTES if bfloat16 else FLOAT32_BYTES)
    arithmetic_seconds, memory_seconds = 2 * work.least_multiply_adds / rate, moved / rates.bandwidth
    floor = max(arithmetic_seconds, memory_seconds)
    if seconds is not None and seconds < floor:
        raise RuntimeError(
            f"a step with {name} takes {1000 * seconds:.3g} ms and its floor is {1000 * floor:.3g}: either "
            "the rates that were measured are not the device's, or its work is counted wrongly."
        )
    return {
        **asdict(work),
        "bytes": moved,
        "bfloat16": bfloat16,
        "arithmetic_seconds": arithmetic_seconds,
        "memory_seconds": memory_seconds,
        "floor_seconds": floor,
        "fastest_seconds": seconds,
        "gap": seconds and seconds / floor,
    }


def floors_table(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Return the floors of each network as a table.

    Args:
        found: by network, what :func:`floors` returned.
    """
    rows = []
    for model, by_weights in found.items():
        for weights, floor in by_weights.items():
            measured = floor["fastest_seconds"]
            rows.append(
                (
                    f"{model}, {weights}",
                    f"{floor['multiply_adds'] / 1e9:.2f} G",
                    f"{floor['least_multiply_adds'] / 1e9:.2f} G",
                    f"{1000 * floor['arithmetic_seconds']:.2f}",
                    f"{floor['bytes'] / 1e6:.0f} M",
                    f"{1000 * floor['memory_seconds']:.2f}",
                    f"{1000 * measured:.1f}" if measured else "",
                    f"{floor['gap']:.1f}" if measured else "",
                )
            )
    return table(
        ("floor", "multiply-adds", "at least", "ms", "bytes", "ms", "fastest step ms", "times its floor"), rows
    )
