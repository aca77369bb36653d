from pathlib import Path

import pytest
import torch
from torch import nn

from prunecheck.engine import initial_networks
from prunecheck.engine.initial_networks import initial_network
from prunecheck.models import build_model, find_model
from prunecheck.pruning import choose_prunable, prunable_shapes

OPTIONS = {"width": 4, "image_size": (8, 8), "input_channels": 1}


@pytest.fixture(autouse=True)
def nothing_built(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count how often a network is built."""
    built: list[int] = []

    def count(model: object, num_classes: int, seed: int, **options: object) -> nn.Module:
        built.append(seed)
        return build_model(model, num_classes, seed, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(initial_networks, "build_model", count)
    monkeypatch.setattr(initial_networks, "_last", {})
    return built


def test_the_runs_of_a_seed_begin_with_one_network_each_with_a_copy(nothing_built: list[int]) -> None:
    model = find_model("resnet8")
    expected = build_model(model, 10, 3, **OPTIONS)
    for _ in range(3):
        network = initial_network(model, 10, 3, OPTIONS)
        torch.testing.assert_close(network.state_dict(), expected.state_dict(), rtol=0, atol=0)
        for parameter in network.parameters():
            parameter.detach().zero_()
    assert nothing_built == [3]


def test_other_seeds_sizes_and_networks_are_built(nothing_built: list[int]) -> None:
    found = [
        initial_network(find_model(name), classes, seed, OPTIONS | {"width": width})
        for name, classes, seed, width in (
            *(("resnet8", 10, 0, 4), ("resnet8", 10, 1, 4), ("resnet8", 10, 1, 8), ("resnet8", 7, 1, 8)),
            *(("resnet14", 7, 1, 8), ("resnet8", 10, 0, 4)),
        )
    ]
    assert nothing_built == [0, 1, 1, 1, 1, 0]
    torch.testing.assert_close(found[0].state_dict(), found[-1].state_dict(), rtol=0, atol=0)
    assert not torch.equal(found[0].get_parameter("conv1.weight"), found[1].get_parameter("conv1.weight"))
    assert [network.get_parameter("fc.weight").shape[0] for network in found] == [10, 10, 10, 7, 7, 10]


def test_a_network_of_a_users_is_built_for_each_run(tmp_path: Path, nothing_built: list[int]) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from torch import nn\n\ndef build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n")
    model = find_model(f"{file}:build")
    for _ in range(2):
        initial_network(model, 10, 0, {"image_size": (8, 8), "input_channels": 1})
    assert nothing_built == [0, 0]


def test_another_default_type_builds_another_network(nothing_built: list[int]) -> None:
    initial_network(find_model("resnet8"), 10, 0, OPTIONS)
    torch.set_default_dtype(torch.float64)
    try:
        network = initial_network(find_model("resnet8"), 10, 0, OPTIONS)
    finally:
        torch.set_default_dtype(torch.float32)
    assert network.get_parameter("conv1.weight").dtype == torch.float64
    assert len(nothing_built) == 2


def test_what_a_run_chooses_of_its_network_stays_its_own(nothing_built: list[int]) -> None:
    expected = prunable_shapes(build_model("resnet8", 10, width=4, image_size=(8, 8), input_channels=1))
    for _ in range(2):
        network = initial_network(find_model("resnet8"), 10, 0, OPTIONS)
        assert prunable_shapes(network) == expected
        choose_prunable(network, prunable=["conv1"])
    assert len(nothing_built) == 1


def test_a_large_network_is_not_held(nothing_built: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prunecheck.pruning.networks_alike.MOST_WEIGHTS", 100)
    for _ in range(2):
        initial_network(find_model("resnet8"), 10, 0, OPTIONS)
    assert nothing_built == [0, 0]
    assert not initial_networks._last
