import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from prunecheck.models import build_model
from prunecheck.pruning import Ticket, dense_ticket, load_ticket, prunable_weights
from prunecheck.pruning.tickets import save_ticket
from prunecheck.runs.store import RunFolder, RunStore
from prunecheck.training import Checkpoint, EpochMetrics, Recipe
from tests.cli.runs import COLLAPSED, FAILED, SPEC, TRAINED, put

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


FILES = {
    "ticket": "a.safetensors",
    "state-dict": "b.pt",
    "state-dict-safetensors": "c.safetensors",
    "torch-prune": "d.pth",
}


def test_each_format_is_written(call: Call, run: RunFolder) -> None:
    for form, name in FILES.items():
        ended = call("export", str(run.path), "-o", name, "--format", form)
        assert (ended.code, ended.stderr) == (0, "")
        assert ended.stdout == f"wrote {name}: resnet8 of {SMALL.folder_name}, test accuracy 91.25 %\n"
    plain = torch.load("b.pt", weights_only=True)
    build_model("resnet8", 10, input_channels=1, width=2).load_state_dict(plain)
    assert "conv1" in load_ticket(Path("a.safetensors"))[0].masks
    assert all(torch.equal(tensor, plain[name]) for name, tensor in load_file("c.safetensors").items())
    assert "conv1.weight_mask" in torch.load("d.pth", weights_only=True)


def test_the_ending_chooses_the_format_and_the_same_may_be_written_again(call: Call, run: RunFolder) -> None:
    for _ in range(2):
        assert call("export", str(run.path), "--out", "model.pt").code == 0
        assert call("export", str(run.path), "-o", "ticket.safetensors").code == 0
    weights = Checkpoint.read(run.path / "last.safetensors").weights
    assert torch.load("model.pt", weights_only=True).keys() == weights.keys()
    assert load_ticket(Path("ticket.safetensors"))[0].masks


def test_the_start_is_the_ticket(call: Call, run: RunFolder) -> None:
    ended = call("export", str(run.path), "-o", "start.safetensors", "--weights", "start")
    assert ended.stdout == f"wrote start.safetensors: the ticket of resnet8 of {SMALL.folder_name}\n"
    began = load_ticket(run.path / "ticket.safetensors")[0]
    written = load_ticket(Path("start.safetensors"))[0]
    assert all(torch.equal(written.weights[name], tensor) for name, tensor in began.weights.items())
    assert any(bool(began.weights[f"{layer}.weight"][~mask].any()) for layer, mask in began.masks.items())


def test_kept_weights_that_are_0_are_said(call: Call, run: RunFolder) -> None:
    checkpoint = Checkpoint.read(run.path / "last.safetensors")
    place = tuple(checkpoint.weights["conv1.weight"].nonzero()[0])
    checkpoint.weights["conv1.weight"][place] = 0
    run.write_checkpoint(checkpoint)
    said = "1 kept weight is 0, which this format cannot tell from pruned: ticket and torch-prune can\n"
    assert call("export", str(run.path), "-o", "model.pt").stdout.startswith(said)
    assert call("export", str(run.path), "-o", "model.safetensors").stdout.startswith("wrote")


@pytest.fixture
def others(run: RunFolder) -> dict[str, Path]:
    """Runs beside the pruned one: a dense one, a collapsed one with its ticket, a failed and an unfinished one."""
    network = build_model("resnet8", 10, input_channels=1, width=2)
    dense = RunStore(Path("runs")).folder(SMALL.changed(method="dense", sparsity=0.0))
    dense.open()
    dense.write_ticket(dense_ticket(network))
    dense.write_checkpoint(Checkpoint(dense_ticket(network).weights, {}, ()))
    dense.write_result(replace(TRAINED, epochs=1, kept={}, sparsity=0.0))
    collapsed = put(SMALL.changed(seed=1), COLLAPSED)
    save_ticket(load_ticket(run.path / "ticket.safetensors")[0], collapsed / "ticket.safetensors", {})
    failed, unfinished = put(SMALL.changed(seed=2), FAILED), put(SMALL.changed(check="reinit"), None)
    return {"dense": dense.path, "collapsed": collapsed, "failed": failed, "unfinished": unfinished}


def manifest(folder: str) -> Any:
    return json.loads((Path(folder) / "manifest.json").read_text())


def test_the_trained_runs_of_a_folder_are_written_with_a_manifest(
    call: Call, run: RunFolder, others: dict[str, Path]
) -> None:
    ended = call("export", "runs", "-o", "out/of/it", "--format", "state-dict")
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[-1] == "wrote 2 files and a manifest into out/of/it: state-dict, trained weights"
    assert f"left out {others['failed']}, which has no trained network, because the run failed (Runt" in ended.stdout
    name = f"{SMALL.folder_name}-trained-state-dict.pt"
    written = manifest("out/of/it")
    assert written["schema"] == 1
    assert written["files"].keys() == {name, f"{others['dense'].name}-trained-state-dict.pt"}
    assert written["left_out"].keys() == {others[kind].name for kind in ("collapsed", "failed", "unfinished")}
    assert {path.name for path in Path("out/of/it").iterdir()} == written["files"].keys() | {"manifest.json"}
    for file, entry in written["files"].items():
        assert entry["sha256"] == hashlib.sha256((Path("out/of/it") / file).read_bytes()).hexdigest()
    entry = written["files"][name]
    told = {"method": "snip", "sparsity": 0.5, "seed": 0, "weights": "trained", "accuracy": 91.25}
    assert {key: entry[key] for key in told} == told
    assert "check" not in entry
    call("export", str(run.path), "-o", "one.pt")
    assert (Path("out/of/it") / name).read_bytes() == Path("one.pt").read_bytes()


def test_formats_and_weights_share_a_folder_and_may_be_written_again(
    call: Call, run: RunFolder, others: dict[str, Path]
) -> None:
    for _ in range(2):
        for form in FILES:
            assert call("export", "runs", "-o", "out", "--format", form).code == 0
        assert call("export", "runs", "-o", "out", "--weights", "start").code == 0
    names = manifest("out")["files"]
    # Two trained runs in three formats and one in masks; three tickets.
    assert len(names) == len(list(Path("out").iterdir())) - 1 == 3 * 2 + 1 + 3
    collapsed = names[f"{others['collapsed'].name}-start-ticket.safetensors"]
    assert collapsed["collapse"] == "fc: no weight is left"


def test_nothing_of_others_is_replaced_in_a_folder(
    call: Call, refused: Refused, run: RunFolder, others: dict[str, Path]
) -> None:
    call("export", "runs", "-o", "out")
    gone, changed = sorted(Path("out").glob("*.safetensors"))
    gone.unlink()
    changed.write_bytes(b"mine")
    assert f"{changed} exists and holds something else" in refused("export", "runs", "-o", "out")
    assert changed.read_bytes() == b"mine"
    assert not gone.exists()
    Path("out/manifest.json").write_text("{}")
    assert "out/manifest.json is not a manifest of exported networks" in refused("export", "runs", "-o", "out")


def test_what_was_written_before_a_kill_and_not_listed_is_gone_on_with(
    call: Call, run: RunFolder, others: dict[str, Path]
) -> None:
    call("export", "runs", "-o", "out")
    before = {file: file.read_bytes() for file in Path("out").iterdir()}
    Path("out/manifest.json").unlink()
    assert call("export", "runs", "-o", "out").code == 0
    assert {file: file.read_bytes() for file in Path("out").iterdir()} == before


def test_a_file_of_an_earlier_export_is_replaced_when_the_run_was_done_anew(call: Call, run: RunFolder) -> None:
    call("export", "runs", "-o", "out", "--format", "state-dict")
    (file,) = Path("out").glob("*.pt")
    checkpoint = Checkpoint.read(run.path / "last.safetensors")
    checkpoint.weights["fc.bias"] += 1
    run.write_checkpoint(checkpoint)
    assert call("export", "runs", "-o", "out", "--format", "state-dict").code == 0
    assert torch.equal(torch.load(file, weights_only=True)["fc.bias"], checkpoint.weights["fc.bias"])
    assert manifest("out")["files"][file.name]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_runs_without_what_is_asked_are_refused_one_by_one_and_together(
    refused: Refused, run: RunFolder, others: dict[str, Path]
) -> None:
    for kind, said in (
        ("collapsed", "because the run collapsed (fc: no weight is left): give --weights start for its ticket"),
        ("failed", "because the run failed (RuntimeError: no luck): choose another run."),
        ("unfinished", "is not finished, it has done 1 of 1 epochs: call the command that began it again."),
    ):
        assert said in refused("export", str(others[kind]), "-o", "model.pt")
    assert "has no ticket, because the run failed" in refused(
        "export", str(others["failed"]), "-o", "model.pt", "--weights", "start"
    )
    assert "a dense network has no masks, which the format torch-prune is made of: choose another --format" in refused(
        "export", str(others["dense"]), "-o", "model.pt", "--format", "torch-prune"
    )
    said = refused("export", str(others["collapsed"]), str(others["failed"]), "-o", "out")
    assert "collapsed (fc: no weight is left), and 1 other run has nothing either: give --weights start" in said
    assert "names a file and there are many runs" in refused("export", "runs", "-o", "model.pt")


def test_what_is_there_is_not_overwritten(refused: Refused, run: RunFolder) -> None:
    Path("model.pt").write_text("mine")
    assert "model.pt exists and holds something else" in refused("export", str(run.path), "-o", "model.pt")
    assert Path("model.pt").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "nowhere/model.pt"], "there is no folder nowhere"),
        (["-o", "runs"], "runs is a folder"),
        (["-o", "model"], "model does not say what it is to be: end it in .safetensors, .pt, .onnx or .pt2"),
        (["-o", "model.safetensors", "--format", "torch-prune"], "does not end in .pt, .pth, .pth.tar or .bin"),
        (["-o", "model.pt", "--format", "ticket"], "model.pt does not end in .safetensors"),
        (["-o", "model.pt", "--format", "torch-prun"], "did you mean torch-prune"),
        (["-o", "model.pt", "--form", "torch-prune"], "did you mean --format"),
        (["-o", "model.pt", "--weights", "best"], "--weights"),
        ([], "--out"),
    ],
)
def test_wrong_output_is_refused(refused: Refused, run: RunFolder, arguments: list[str], said: str) -> None:
    assert said in refused("export", str(run.path), *arguments)


def test_what_is_no_run_is_refused(refused: Refused, run: RunFolder) -> None:
    Path("empty").mkdir()
    assert "empty holds no runs" in refused("export", "empty", "-o", "out")
    assert "there is no folder nothing" in refused("export", "nothing", "-o", "out")
    assert "RUN needs a value" in refused("export", "-o", "model.pt")


def test_onnx_without_its_packages_is_refused_with_the_extra(
    refused: Refused, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prunecheck.pruning.onnx_export.PACKAGES", ("no_such_package",))
    said = "the format onnx needs no_such_package, which is not installed: pip install 'prunecheck[onnx]'."
    assert refused("export", str(run.path), "-o", "model.onnx") == said
    assert refused("export", "runs", "-o", "out", "--format", "onnx") == said
    small = ("--model", "resnet8", "--width", "2", "--sparsity", "0.5", "--num-classes", "10")
    assert refused("prune", "magnitude", *small, "-o", "model.onnx") == said


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
