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


def floors(task: Task, rates: DeviceRates, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Return the floor of a step that computes with all weights, and of one that computes with the kept ones only.

    Args:
        task: what is trained.
        rates: what the device reaches.
        seconds: by name, those of measured steps, which are compared with both floors.
    """
    (ticket,) = task.tickets(1)
    network = task.network()
    work = {
        "all weights": count_work(network, {}, CIFAR_SHAPE, task.batch_size),
        "kept weights": count_work(network, ticket.masks, CIFAR_SHAPE, task.batch_size),
    }
    bfloat16 = everything(task.device).bfloat16
    return {name: _floor(counted, rates, bfloat16, seconds) for name, counted in work.items()}


def _floor(work: StepWork, rates: DeviceRates, bfloat16: bool, seconds: Mapping[str, float]) -> dict[str, Any]:
    rate = rates.bfloat16 if bfloat16 and rates.bfloat16 else rates.float32
    moved = work.least_bytes(BFLOAT16_BYTES if bfloat16 else FLOAT32_BYTES)
    arithmetic_seconds, memory_seconds = 2 * work.multiply_adds / rate, moved / rates.bandwidth
    floor = max(arithmetic_seconds, memory_seconds)
    return {
        **asdict(work),
        "bytes": moved,
        "bfloat16": bfloat16,
        "arithmetic_seconds": arithmetic_seconds,
        "memory_seconds": memory_seconds,
        "floor_seconds": floor,
        "gap": {name: measured / floor for name, measured in seconds.items()},
    }


def floors_table(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Return the floors of each network as a table.

    Args:
        found: by network, what :func:`floors` returned.
    """
    rows = []
    for model, by_weights in found.items():
        for weights, floor in by_weights.items():
            rows.append(
                (
                    f"{model}, {weights}",
                    f"{floor['multiply_adds'] / 1e9:.2f} G",
                    f"{1000 * floor['arithmetic_seconds']:.2f}",
                    f"{floor['bytes'] / 1e6:.0f} M",
                    f"{1000 * floor['memory_seconds']:.2f}",
                    *(f"{gap:.1f}" for gap in floor["gap"].values()),
                )
            )
    first = next(iter(found.values()))["all weights"]
    return table(("floor", "multiply-adds", "ms", "bytes", "ms", *first["gap"]), rows)


def rates_line(rates: DeviceRates) -> str:
    """Return what the device reaches, in a line."""
    bfloat16 = f" ({rates.bfloat16 / 1e9:.0f} in bfloat16)" if rates.bfloat16 else ""
    return (
        f"Matrix products reach {rates.float32 / 1e9:.1f} GFLOP/s{bfloat16}, "
        f"copies {rates.copy / 1e9:.1f} GB/s, triads {rates.triad / 1e9:.1f} GB/s."
    )
