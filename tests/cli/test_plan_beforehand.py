"""``plan`` and ``reproduce --dry-run`` before anything is there, as they are typed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prunecheck.engine import calibration

Call = Callable[..., Any]
Refused = Callable[..., str]

SMALL = """
datasets = ["digits"]
models = ["resnet8"]
widths = [2]
sparsities = [0.5]
checks = []
seeds = 1
train_images = 100
test_images = 50
samples_per_class = 2
recipes = ["quick"]
[recipe.quick]
epochs = 10
"""


@pytest.fixture(autouse=True)
def studies() -> None:
    for name in ("magnitude", "synflow"):
        Path(f"{name}.toml").write_text(f'methods = ["{name}"]\n{SMALL}')


def planned(call: Call, *arguments: str) -> dict[str, Any]:
    ended = call("plan", *arguments, "--json")
    assert ended.code == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_several_studies_are_planned_together_and_shared_runs_counted_once(call: Call) -> None:
    both = planned(call, "magnitude.toml", "synflow.toml", "magnitude.toml")
    assert [question["method"] for question in both["questions"]] == ["magnitude", "synflow"]
    assert (planned(call, "magnitude.toml")["runs"], both["runs"]) == (3, 4)
    assert both["study"] == "magnitude, synflow, magnitude"


def test_each_of_several_studies_has_a_subtotal(call: Call) -> None:
    both = planned(call, "magnitude.toml", "synflow.toml", "--ms-a-step", "resnet8=500")
    assert [(one["study"], one["runs"], one["seconds"]) for one in both["studies"]] == [
        ("magnitude", 3, 30.0),
        ("synflow", 3, 30.0),
    ]
    assert (both["runs"], both["seconds"]) == (4, 40.0)
    said = call("plan", "magnitude.toml", "synflow.toml", "--ms-a-step", "resnet8=500").stdout
    rows = [" ".join(line.split()) for line in said.splitlines()]
    assert "magnitude 3 0 0 0 30 30 s" in rows
    assert rows.index("magnitude") < rows.index("synflow")  # each above what it asks
    assert "together, each run once 4 0 0 0 40 40 s" in rows
    assert planned(call, "magnitude.toml")["studies"] == []


def test_a_stated_time_and_workers_say_how_long_it_takes(call: Call) -> None:
    found = planned(call, "magnitude.toml", "--ms-a-step", "500", "--workers", "2", "--device", "cuda")
    assert found["seconds"] == 3 * 10 * 2 * 0.5
    assert (found["wall_seconds"], found["gpu_hours"], found["by_rates"]) == (15.0, 0.008, "at 500 ms a step")
    said = " ".join(call("plan", "magnitude.toml", "--ms-a-step", "500", "--workers", "9").stdout.split())
    assert "Time: about 30 s of one worker, at 500 ms a step." in said
    assert "With 9 workers: about 10 s, which is that of the longest run." in said
    assert "GPU hours" not in said
    said = " ".join(call("plan", "magnitude.toml").stdout.split())
    assert "unknown for 30 epochs" in said
    assert "--calibrate times some steps" in said


def test_steps_are_timed_where_nothing_is_measured(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(calibration, "_now", lambda device: float(next(clock)))
    found = planned(call, "magnitude.toml", "--calibrate")
    # An epoch of two steps takes a second, of the dense network and of the tickets.
    assert (found["seconds"], found["by_rates"]) == (30.0, "as some steps on this machine (cpu) took")
    assert next(clock) == 6
    assert not Path("runs").exists()


def test_tables_of_the_paper_need_no_data(call: Call, refused: Refused) -> None:
    found = planned(call, "initial-tickets", "low-sparsities", "magnitude.toml", "--ms-a-step", "1")
    assert found["data_sets_not_here"] == ["cifar10"]
    assert {question["dataset"] for question in found["questions"]} == {"cifar10", "digits"}
    assert found["seconds"] > 0
    said = " ".join(call("plan", "initial-tickets").stdout.split())
    assert "Not on this machine: cifar10." in said
    assert "there is no scale named 'ful': did you mean full" in refused("plan", "initial-tickets", "--scale", "ful")
    assert "cifar10 is not on this machine" in refused("reproduce", "initial-tickets")
    said = refused("plan", "random-ticket")
    assert "there is no study file or table of the paper named 'random-ticket': did you mean random-tickets" in said


def test_networks_that_tickets_start_from_and_nothing_is_asked_of_take_their_time_too(call: Call) -> None:
    """Weight rewinding starts from networks that were trained for 2 of 6 epochs: a recipe that no question has."""
    chosen = ("reproduce", "partially-trained-tickets", "--methods", "weight-rewinding@2", "--seeds", "1")
    one, two = (
        json.loads(call(*chosen, "--dry-run", "--json", "--ms-a-step", milliseconds).stdout)["seconds"]
        for milliseconds in ("1000", "2000")
    )
    assert two == pytest.approx(2 * one, rel=1e-3)
    assert one > 0


def test_reproducing_is_planned_with_what_is_chosen_of_a_table(call: Call, refused: Refused) -> None:
    chosen = ("reproduce", "initial-tickets", "--methods", "snip", "--seeds", "1", "--dry-run")
    ended = call(*chosen, "--json", "--ms-a-step", "10")
    assert ended.code == 0
    found = json.loads(ended.stdout)
    assert {question["method"] for question in found["questions"]} == {"snip"}
    assert all(question["seeds"] == [0] for question in found["questions"])
    assert not Path("runs").exists()
    assert "give that, too" in refused("reproduce", "initial-tickets", "--calibrate")
    said = refused("reproduce", "initial-tickets", "--scheduler", "tcp://a:1", "--workers", "2")
    assert said.startswith("--scheduler has workers and a dashboard of its own")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "STUDY needs a value"),
        (["magnitude.toml", "--workers", "0"], "--workers takes a whole number, at least 1"),
        (["magnitude.toml", "--ms-a-step", "resnt8=1"], "named 'resnt8': did you mean resnet8"),
        (["magnitude.toml", "--ms-a-step", "0"], "--ms-a-step takes milliseconds, more than 0"),
        (["magnitude.toml", "--ms-a-step", "1", "--calibrate"], "give one of them"),
        (["magnitude.toml", "--device", "gpu"], "--device takes cpu, cuda or cuda:N, not 'gpu'"),
        (["nothing.toml"], "nothing.toml cannot be read"),
    ],
)
def test_wrong_input_is_refused(refused: Refused, arguments: list[str], said: str) -> None:
    assert said in refused("plan", *arguments)
