from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from prunecheck.models import build_model
from prunecheck.pruning import Ticket, dense_ticket, load_ticket, prunable_weights
from prunecheck.runs.store import RunFolder, RunStore
from prunecheck.training import Checkpoint, EpochMetrics, Recipe
from tests.cli.runs import SPEC, TRAINED

SMALL = SPEC.changed(width=2, sparsity=0.5, recipe=Recipe(epochs=1, milestones=()))

Call = Callable[..., Any]
Refused = Callable[..., str]


@pytest.fixture
def run() -> RunFolder:
    """A run's folder as training leaves it, of a network that keeps its larger weights."""
    network = build_model("resnet8", 10, input_channels=1, width=2)
    masks = {layer: weight.abs() > weight.abs().median() for layer, weight in prunable_weights(network).items()}
    start = dense_ticket(network).weights
    with torch.no_grad():
        for layer, weight in prunable_weights(network).items():
            weight.mul_(masks[layer])
    weights = dense_ticket(network).weights
    momentum = {name: torch.ones_like(parameter) for name, parameter in network.named_parameters()}
    Path("runs").mkdir()
    folder = RunStore(Path("runs")).folder(SMALL)
    folder.open()
    folder.write_ticket(Ticket(start, masks))
    folder.write_checkpoint(Checkpoint(weights, momentum, (EpochMetrics(1, 0.1, 2.0, 2.0, 30.0, 91.25),)))
    folder.write_result(replace(TRAINED, epochs=1, sparsity=0.5))
    return folder


def test_each_form_is_written(call: Call, run: RunFolder) -> None:
    for form, name in (("state-dict", "a.pt"), ("torch-prune", "b.pth"), ("safetensors", "c.safetensors")):
        ended = call("export", str(run.path), "-o", name, "--form", form)
        assert (ended.code, ended.stderr) == (0, "")
        assert ended.stdout == f"wrote {name}: resnet8 of {SMALL.folder_name}, test accuracy 91.25 %\n"
    build_model("resnet8", 10, input_channels=1, width=2).load_state_dict(torch.load("a.pt", weights_only=True))
    assert "conv1.weight_mask" in torch.load("b.pth", weights_only=True)
    assert "conv1" in load_ticket(Path("c.safetensors"))[0].masks


def test_a_state_dict_is_written_unless_said_otherwise_and_may_be_written_again(call: Call, run: RunFolder) -> None:
    for _ in range(2):
        assert call("export", str(run.path), "--output", "model.pt").code == 0
    assert (
        torch.load("model.pt", weights_only=True).keys()
        == dict(Checkpoint.read(run.path / "last.safetensors").weights).keys()
    )


def test_what_is_there_is_not_overwritten(refused: Refused, run: RunFolder) -> None:
    Path("model.pt").write_text("mine")
    assert "model.pt exists and holds something else" in refused("export", str(run.path), "-o", "model.pt")
    assert Path("model.pt").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "nowhere/model.pt"], "there is no folder nowhere"),
        (["-o", "runs"], "runs is a folder"),
        (["-o", "model.safetensors"], "choose another --output, or --form safetensors"),
        (["-o", "model.pt", "--form", "safetensors"], "model.pt does not end in .safetensors"),
        (["-o", "model.pt", "--form", "onnx"], "onnx"),
        ([], "--output"),
    ],
)
def test_wrong_output_is_refused(refused: Refused, run: RunFolder, arguments: list[str], said: str) -> None:
    assert said in refused("export", str(run.path), *arguments)


def test_what_is_no_run_is_refused(refused: Refused, run: RunFolder) -> None:
    assert "runs is not the folder of a run" in refused("export", "runs", "-o", "model.pt")
    (run.path / "result.json").unlink()
    assert "has done 1 of 1 epochs" in refused("export", str(run.path), "-o", "model.pt")


def test_clean_says_what_it_frees(call: Call, run: RunFolder) -> None:
    file = run.path / "last.safetensors"
    before, momentum = file.read_bytes(), Checkpoint.read(file).momentum
    megabytes = f"{sum(tensor.nbytes for tensor in momentum.values()) / 1e6:.1f} MB"
    said = call("clean", "--dry-run")
    assert said.stdout == f"would free {megabytes} in runs: the momentum of 1 run that ended\n"
    assert file.read_bytes() == before
    (run.path / ".log.1.part").write_bytes(b"0")
    said = call("clean", "runs")
    what = "the momentum of 1 run that ended and 1 file that a kill left half-written"
    assert said.stdout == f"freed {megabytes} in runs: {what}\n"
    assert len(file.read_bytes()) < len(before)
    assert call("clean").stdout == "there is nothing to remove in runs\n"


def test_clean_waits_for_what_is_at_work(refused: Refused, run: RunFolder) -> None:
    with RunStore(run.path.parent).locked():
        assert "a prunecheck is at work in runs: wait for it, or stop it" in refused("clean")
