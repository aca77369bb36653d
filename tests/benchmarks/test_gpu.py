"""The command for a GPU, with the CPU in its place."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy
import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmarks.gpu import without_pytest
from benchmarks.gpu.command import measure, write
from benchmarks.gpu.grouped import Step, grouped_network, grouped_step, stacked_step
from benchmarks.gpu.packed import pack
from benchmarks.gpu.steps import goals
from prunecheck.data import DataPlaces, ScoringData, load_dataset
from prunecheck.models import build_model
from prunecheck.pruning import Ticket, find_method, make_ticket
from prunecheck.pruning.layers import weight_name
from prunecheck.randomness import generator
from prunecheck.training import Recipe
from prunecheck.training.network import DenseNetwork

CPU = torch.device("cpu")


def tickets_of(name: str, count: int = 2) -> tuple[nn.Module, list[Ticket]]:
    models = [build_model(name, 10, seed=seed, width=4) for seed in range(count)]
    method = find_method("random-smart")
    return models[0], [
        make_ticket(method, model, ScoringData(), 0.5, generator(seed, "mask placement"))
        for seed, model in enumerate(models)
    ]


def batches(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(1)
    return torch.randn(count, 6, 3, 32, 32, generator=draws), torch.randint(10, (count, 6), generator=draws)


def after_two_steps_alone(
    model: nn.Module, ticket: Ticket, images: torch.Tensor, labels: torch.Tensor
) -> dict[str, torch.Tensor]:
    recipe = Recipe()
    network = DenseNetwork(ticket, model, recipe, CPU, torch.contiguous_format)
    network.train()
    for _ in range(2):
        torch.autograd.backward(functional.cross_entropy(network(images), labels))
        network.step(recipe.learning_rate)
    return network.weights()


@pytest.mark.parametrize("name", ["resnet8", "vgg11_bn"])
@pytest.mark.parametrize("kind", [grouped_step, stacked_step])
def test_tickets_that_are_trained_as_one_end_as_they_do_alone(
    name: str, kind: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tickets = tickets_of(name)
    images, labels = batches(len(tickets))
    states: list[dict[str, torch.Tensor]] = []
    monkeypatch.setattr("benchmarks.gpu.grouped._update", keeping(states))
    step = kind(model, tickets, Recipe(), CPU)
    for _ in range(2):
        step(images, labels)
    for index, ticket in enumerate(tickets):
        alone = after_two_steps_alone(model, ticket, images[index], labels[index])
        for parameter, together in states[-1].items():
            own = together.reshape(len(tickets), *alone[parameter].shape)[index]
            torch.testing.assert_close(own, alone[parameter], rtol=1e-4, atol=1e-5)
        for layer, mask in ticket.masks.items():
            own = states[-1][weight_name(layer)].reshape(len(tickets), *mask.shape)[index]
            assert not own[~mask].any()


def keeping(states: list[dict[str, torch.Tensor]]) -> Callable[..., None]:
    """Return the update, which adds a copy of the parameters to ``states``."""
    from benchmarks.gpu import grouped

    update = grouped._update

    def kept(parameters: dict[str, torch.Tensor], *others: Any) -> None:
        update(parameters, *others)
        states.append({name: tensor.detach().clone() for name, tensor in parameters.items()})

    return kept


def test_a_grouped_network_returns_what_its_tickets_return() -> None:
    model, tickets = tickets_of("resnet8", 3)
    images, _ = batches(3)
    found = grouped_network(model, tickets).eval()(images.transpose(0, 1).flatten(1, 2)).view(6, 3, 10)
    for index, ticket in enumerate(tickets):
        alone = DenseNetwork(ticket, model, Recipe(), CPU, torch.contiguous_format)
        alone.train(False)
        torch.testing.assert_close(found[:, index], alone(images[index]), rtol=1e-4, atol=1e-5)


def test_what_fails_or_comes_too_late_does_not_keep_the_other_figures() -> None:
    def fails() -> dict[str, Any]:
        raise RuntimeError("no kernel")

    saved: list[list[str]] = []
    found: dict[str, Any] = {}
    todo: dict[str, Callable[[], dict[str, Any]]] = {"first": fails, "second": lambda: {"figure": 1}}
    measure(todo, found, 60, lambda so_far: saved.append(list(so_far)))
    assert found["first"]["error"] == "RuntimeError: no kernel"
    assert found["second"]["figure"] == 1
    assert saved[0] == ["first", "goals"]
    late: dict[str, Any] = {}
    measure({"first": lambda: {}}, late, -1, lambda so_far: None)
    assert late == {"first": {"left_out": "the time was over"}}


def test_goals_are_read_off_the_figures() -> None:
    def row(name: str, ratio: float) -> dict[str, Any]:
        return {"name": name, "ratio": {"median": ratio}}

    found = {
        "options resnet32": {"minutes_of_a_ticket": {"plain loop": 90.0, "all together": 3.5}},
        "at once resnet32": {"rows": [row("plain loop", 1.0), row("8 at once", 21.0), row("16 at once", 19.0)]},
    }
    said = goals(found, "resnet32")
    assert said["minutes_of_a_ticket"] == {"measured": 3.5, "goal": 4.0}
    assert said["times_the_plain_loop"] == {"measured": 21.0, "by": "8 at once", "goal": 20.0}
    assert goals({}, "resnet32")["times_the_plain_loop"]["measured"] is None


def test_the_json_is_written_whole(tmp_path: Path) -> None:
    write(tmp_path / "gpu.json", {"figure": 1})
    assert json.loads((tmp_path / "gpu.json").read_text()) == {"figure": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["gpu.json"]


def test_packed_images_are_read_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = load_dataset("digits")
    monkeypatch.setattr("benchmarks.gpu.packed.load_dataset", lambda name, places: digits)
    pack(tmp_path, tmp_path / "cache", tmp_path / "part.npz", 100, 50)
    found = load_dataset(f"npz:{tmp_path / 'part.npz'}", DataPlaces((), tmp_path / "cache"))
    meant = digits.shortened(100, 50)
    assert numpy.array_equal(found.train.pixels, meant.train.pixels)
    assert numpy.array_equal(found.test.labels, meant.test.labels)


TESTS_OF_A_BARE_MACHINE = """
import pytest

@pytest.fixture
def two(one):
    yield one + 1

@pytest.fixture(autouse=True)
def _ready():
    READY.append(1)
    yield

READY = []

@pytest.mark.parametrize("number", [1, 2])
def test_sum(two, number):
    assert READY
    assert two + number == pytest.approx(3.1, rel=0.1)

def test_error():
    with pytest.raises(ValueError, match="too .* much"):
        raise ValueError("too very much")

def test_wrong():
    with pytest.raises(ValueError):
        pass

def test_skipped():
    pytest.skip("not here")
"""


def test_the_stand_in_for_pytest_runs_tests_as_pytest_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "bare_machine"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "conftest.py").write_text("import pytest\n\n@pytest.fixture\ndef one():\n    return 1\n")
    (package / "test_here.py").write_text(TESTS_OF_A_BARE_MACHINE)
    monkeypatch.syspath_prepend(tmp_path)
    stand_in: ModuleType = without_pytest.stand_in()
    monkeypatch.setitem(sys.modules, "pytest", stand_in)
    outcomes = without_pytest.run(["bare_machine.test_here"], say=lambda line: None)
    assert {test: outcome.partition(":")[0] for test, outcome in outcomes.items()} == {
        "test_sum[1]": "passed",
        "test_sum[2]": "failed",
        "test_error": "passed",
        "test_wrong": "failed",
        "test_skipped": "skipped",
    }


@pytest.mark.slow
def test_the_script_takes_all_its_steps_on_a_cpu(tmp_path: Path) -> None:
    images = numpy.random.default_rng(0).integers(0, 256, (100, 32, 32, 3), dtype=numpy.uint8)
    labels = numpy.arange(100) % 10
    numpy.savez(tmp_path / "part.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    script = Path(__file__).parents[2] / "benchmarks" / "gpu.sh"
    files = (tmp_path / "part.npz", tmp_path / "cpu.json")
    command = ["sh", str(script), *map(str, files), "--device", "cpu", "--rehearse"]
    subprocess.run(command, check=True, env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"}, timeout=600)
    found = json.loads((tmp_path / "cpu.json").read_text())
    failed = {name: step["error"] for name, step in found.items() if isinstance(step, dict) and "error" in step}
    assert failed == {}
    assert found["tests"]["return_code"] == 0
    assert found["accuracy resnet32"]["accuracies"].keys() == {"float32"}
    for kind in ("grouped convolutions", "torch.func"):
        assert found["stacked resnet32"][kind][0]["tickets_per_hour"] > 0
    assert found["goals"]["minutes_of_a_ticket"]["measured"] > 0
