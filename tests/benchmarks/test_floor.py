import dataclasses

import pytest
import torch

from benchmarks.training.arithmetic import count_work
from benchmarks.training.device_rates import DeviceRates
from benchmarks.training.floor import floors, floors_table
from benchmarks.training.task import CIFAR_SHAPE, Task


def test_the_floor_is_arithmetic_or_memory_whichever_takes_longer(task: Task) -> None:
    """The device needs a second for all weights' arithmetic, and half a second for the bytes."""
    work = count_work(task.network(), {}, CIFAR_SHAPE, 4)
    half_a_second = 2 * work.least_bytes()
    rates = DeviceRates(2 * work.multiply_adds, None, copy=half_a_second / 2, triad=half_a_second)

    found = floors(task, rates, {"plain loop": 3.0})

    assert found["all weights"]["floor_seconds"] == found["all weights"]["arithmetic_seconds"] == 1
    assert found["all weights"]["memory_seconds"] == 0.5
    assert found["all weights"]["gap"] == {"plain loop": 3.0}
    kept = found["kept weights"]
    assert kept["arithmetic_seconds"] < kept["memory_seconds"] < 0.5
    assert kept["floor_seconds"] == kept["memory_seconds"]
    assert kept["gap"]["plain loop"] == pytest.approx(3 / kept["memory_seconds"])


def test_in_bfloat16_the_floor_is_that_of_its_rate_and_of_half_the_bytes(task: Task) -> None:
    task = dataclasses.replace(task, device=torch.device("cuda"))
    work = count_work(task.network(), {}, CIFAR_SHAPE, 4)

    found = floors(task, DeviceRates(1.0, 2 * work.multiply_adds, copy=1.0, triad=0.5), {})["all weights"]

    assert found["arithmetic_seconds"] == 1
    assert found["memory_seconds"] == found["bytes"] == work.least_bytes(activation_bytes=2)


def test_every_floor_has_a_line(task: Task) -> None:
    found = floors(task, DeviceRates(1e9, None, 1e9, 1e9), {"plain loop": 1.0, "all together": 0.5})

    heading, *lines = floors_table({"resnet8": found}).split("\n")

    assert heading.split()[-4:] == ["plain", "loop", "all", "together"]
    assert [line.split("  ")[0] for line in lines] == ["resnet8, all weights", "resnet8, kept weights"]
