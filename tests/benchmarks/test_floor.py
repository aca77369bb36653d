import dataclasses

import pytest
import torch

from benchmarks.training.arithmetic import count_work
from benchmarks.training.device_rates import DeviceRates, rates_line
from benchmarks.training.floor import ALL_WEIGHTS, KEPT_WEIGHTS, floors, floors_table
from benchmarks.training.task import CIFAR_SHAPE, Task


def test_the_floor_is_arithmetic_or_memory_whichever_takes_longer(task: Task) -> None:
    """The device needs a second for all weights' arithmetic, and 0.9 for the bytes."""
    work = count_work(task.network(), {}, CIFAR_SHAPE, 4)
    bandwidth = work.moved_bytes(cache=1000) / 0.9
    rates = DeviceRates(2 * work.least_multiply_adds, None, bandwidth, cache=1000)

    found = floors(task, rates, {ALL_WEIGHTS: 3.0, KEPT_WEIGHTS: 1.5})

    assert found[ALL_WEIGHTS]["floor_seconds"] == found[ALL_WEIGHTS]["arithmetic_seconds"] == 1
    assert found[ALL_WEIGHTS]["memory_seconds"] == pytest.approx(0.9)
    assert found[ALL_WEIGHTS]["gap"] == 3.0
    kept = found[KEPT_WEIGHTS]
    assert kept["arithmetic_seconds"] < kept["memory_seconds"] < 0.9
    assert kept["floor_seconds"] == kept["memory_seconds"]
    assert kept["gap"] == pytest.approx(1.5 / kept["memory_seconds"])


def test_in_bfloat16_the_floor_is_that_of_its_rate_and_of_half_the_bytes(task: Task) -> None:
    task = dataclasses.replace(task, device=torch.device("cuda"))
    work = count_work(task.network(), {}, CIFAR_SHAPE, 4)

    found = floors(task, DeviceRates(1.0, 2 * work.least_multiply_adds, bandwidth=1.0, cache=0), {})[ALL_WEIGHTS]

    assert found["arithmetic_seconds"] == 1
    assert found["memory_seconds"] == found["bytes"] == work.moved_bytes(0, activation_bytes=2)
    assert found["gap"] is None


@pytest.mark.parametrize("beaten", [ALL_WEIGHTS, KEPT_WEIGHTS])
def test_nothing_beats_its_floor(task: Task, beaten: str) -> None:
    rates = DeviceRates(1e9, None, bandwidth=1e9, cache=0)
    enough = {name: floor["floor_seconds"] for name, floor in floors(task, rates, {}).items()}

    floors(task, rates, enough)
    with pytest.raises(RuntimeError, match=f"a step with {beaten} takes"):
        floors(task, rates, enough | {beaten: 0.99 * enough[beaten]})


def test_every_floor_has_a_line(task: Task) -> None:
    rates = DeviceRates(1e9, None, 1e9, 0, ((2**14, 4e10),))
    found = floors(task, rates, {ALL_WEIGHTS: 10.0, KEPT_WEIGHTS: 5.0})

    heading, *lines = floors_table({"resnet8": found}).split("\n")

    assert heading.split()[-3:] == ["times", "its", "floor"]
    assert [line.split("  ")[0] for line in lines] == ["resnet8, all weights", "resnet8, kept weights"]
    assert rates_line(rates) == "The device reaches 1.0 GFLOP/s, 40 GB/s reading 16 KiB, and 1.0 GB/s in memory."
