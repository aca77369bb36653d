import dataclasses
from dataclasses import replace
from typing import Any

import pytest
import torch

from benchmarks.training import contestants
from benchmarks.training.contestants import ALL_TOGETHER, PARTS, Contestant, each_idea, everything
from benchmarks.training.growth import AXES
from benchmarks.training.prunecheck_loop import PrunecheckLoop
from benchmarks.training.task import Task
from prunecheck.errors import InputError
from prunecheck.training import Acceleration
from prunecheck.training.acceleration import EVERY_EPOCH

FIELDS = {field.name for field in dataclasses.fields(Acceleration)}


def by_name(made: list[Contestant]) -> dict[str, Contestant]:
    assert len({contestant.name for contestant in made}) == len(made)
    return {contestant.name: contestant for contestant in made}


def test_every_part_of_acceleration_is_measured() -> None:
    no_part_of_a_step = {"thin_curves", "checkpoint_seconds"}
    assert sorted(part.field for part in PARTS) == sorted(set(FIELDS) - no_part_of_a_step)


def test_on_a_cpu_what_is_for_a_gpu_is_left_out(task: Task) -> None:
    made, left_out = each_idea(task, tickets=8)

    assert {"bfloat16", "CUDA graphs", "tickets at once"} <= set(left_out)
    assert not any("bfloat16" in contestant.name for contestant in made)
    assert {contestant.tickets for contestant in made} == {1}
    together = by_name(made)[ALL_TOGETHER].by
    assert together == replace(EVERY_EPOCH, cuda_graphs=False, tickets_at_once=1)


def test_a_part_that_training_refuses_is_left_out_with_what_it_says(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(self: PrunecheckLoop, epochs: int, between: Any) -> None:
        if self.acceleration.sparse_convolutions:
            raise InputError("no compiler: install one.")

    monkeypatch.setattr(PrunecheckLoop, "train", train)

    made, left_out = each_idea(task, tickets=1)

    assert left_out["sparse convolutions"] == "no compiler: install one."
    assert not any("sparse" in contestant.name for contestant in made)


def test_on_a_gpu_each_part_is_shown_alone_and_left_out(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    here = [part for part in PARTS if "cuda" in part.devices]
    monkeypatch.setattr(contestants, "available_parts", lambda task: (here, {}))
    monkeypatch.setattr(PrunecheckLoop, "train", lambda self, *_: setattr(self, "used", tuple(FIELDS)))

    found = by_name(each_idea(dataclasses.replace(task, device=torch.device("cuda")), tickets=8)[0])

    for part in here:
        alone, but_one = found[f"loop + {part.name}"], found[f"all but {part.name}"]
        others = [other for other in here if other is not part]
        assert getattr(alone.by, part.field) == part.alone
        assert all(getattr(alone.by, other.field) == other.off for other in others)
        assert getattr(but_one.by, part.field) == part.off
        assert all(getattr(but_one.by, other.field) == other.together for other in others)
    assert found[ALL_TOGETHER].tickets == found["all but CUDA graphs"].tickets == 8
    assert found["loop + tickets at once"].tickets == 8
    assert found["loop + CUDA graphs"].tickets == found["all but tickets at once"].tickets == 1


def test_what_a_network_does_not_prefer_is_not_measured_twice(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """VGG keeps its channels outermost unless told otherwise."""
    task = dataclasses.replace(task, model="vgg11_bn")
    monkeypatch.setattr(PrunecheckLoop, "train", lambda self, *_: setattr(self, "used", ("sparse_convolutions",)))
    made, left_out = each_idea(task, tickets=1)

    assert left_out["all but channels last"] == "it is loop + sparse convolutions"
    assert left_out["all but sparse convolutions"] == "it is prunecheck's loop alone"
    assert "all together" in by_name(made)
    assert not set(left_out) & set(by_name(made))


def test_what_does_not_pay_is_not_what_was_asked_for(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where sparse convolutions are left out of all together, they are another thing alone."""
    monkeypatch.setattr(PrunecheckLoop, "train", lambda self, *_: setattr(self, "used", ("channels_last",)))
    made, left_out = each_idea(task, tickets=1)

    assert left_out["all but channels last"] == "it is prunecheck's loop alone"
    assert left_out["all but sparse convolutions"] == "it is loop + channels last"
    assert "loop + sparse convolutions" in by_name(made)


@pytest.mark.parametrize("axis", AXES)
def test_along_an_axis_each_is_compared_with_one_that_is_there(axis: str, task: Task) -> None:
    found = by_name(AXES[axis](task))

    assert all(contestant.compared_with in found for contestant in found.values())
    fast = [contestant for contestant in found.values() if contestant.by == everything(task.device)]
    field = {"batch": "batch_size"}.get(axis, axis)
    values = [contestant.tickets if axis == "tickets" else getattr(contestant.task, field) for contestant in fast]
    assert len(values) > 2
    assert values == sorted(set(values))
    assert all(contestant.task.batches >= 1 for contestant in found.values())
    if axis in ("width", "batch"):
        assert all(getattr(found[each.compared_with].task, field) == getattr(each.task, field) for each in fast)
