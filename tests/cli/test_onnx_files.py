"""ONNX by the commands, of built-in networks and of one in a user's file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from safetensors.torch import load_file
from torch import Tensor, nn

import prunecheck
from prunecheck.data import load_dataset

Call = Callable[..., Any]
Refused = Callable[..., str]

NETWORK = """
from torch import nn

def build(num_classes):
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, num_classes))
"""


def computed(file: str | Path, images: Tensor) -> Tensor:
    (logits,) = ReferenceEvaluator(onnx.load(file)).run(None, {"images": images.numpy()})
    return torch.from_numpy(numpy.asarray(logits))


def test_a_users_network_is_pruned_trained_and_written(call: Call, refused: Refused) -> None:
    Path("mine.py").write_text(NETWORK)
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 10))
    digits = load_dataset("digits", None)
    small = ("magnitude", "--model", "mine.py:build", "--dataset", "digits", "--sparsity", "0.5")
    images = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))

    def require_same(weights: dict[str, Tensor], file: Path) -> None:
        network.load_state_dict(weights)
        with torch.no_grad():
            torch.testing.assert_close(computed(file, images), network(images), rtol=1e-5, atol=1e-6)

    assert call("prune", *small, "-o", "ticket.onnx").code == 0
    assert call("prune", *small, "-o", "plain.safetensors", "--format", "state-dict-safetensors").code == 0
    require_same(load_file("plain.safetensors"), Path("ticket.onnx"))
    answer = prunecheck.check(
        "magnitude", model="mine.py:build", sparsity=0.5, checks=[], baseline=None, epochs=1, seeds=1, train_images=100,
        test_images=50, quiet=True,
    )  # fmt: skip
    tickets = answer.export("out", weights="start")
    assert {file.name for file in tickets} == {
        f"{spec.folder_name}-start-ticket.safetensors" for spec in answer.results
    }
    assert len(tickets) == 2
    with pytest.raises(prunecheck.InputError, match="weights takes trained or start, not 'best'"):
        answer.export("out", weights="best")
    files = answer.export("out", format="onnx", model="mine.py:build")
    (run,) = Path("runs").glob("*magnitude*")
    assert call("export", str(run), "-o", "model.pt").code == 0
    (file,) = [file for file in files if file.name.startswith(run.name)]
    require_same(torch.load("model.pt", weights_only=True), file)
    described = json.loads(next(entry.value for entry in onnx.load(file).metadata_props if entry.key == "prunecheck"))
    assert described["normalization"] == {"mean": list(digits.mean), "std": list(digits.deviation)}
    assert (described["method"], described["seed"], described["weights"]) == ("magnitude", 0, "trained")
    assert call("export", str(run), "-o", "model.onnx", "--model", "mine.py:build").code == 0
    assert Path("model.onnx").read_bytes() == file.read_bytes()
    said = refused("export", str(run), "-o", "other.onnx")
    assert said.startswith("the network mine.py:build is in a file of your own, which is not run unasked: give that as")
    assert said.endswith(" --model, or choose a format that needs no network.")
    pixels, labels = digits.test.pixels.transpose(0, 2, 3, 1), digits.test.labels
    numpy.savez("other.npz", x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
    ended = call("export", str(run), "-o", "other.onnx", "--model", "mine.py:build", "--dataset", "npz:other.npz")
    assert ended.code == 2
    assert f"is not the data set that {run.name} was made with" in ended.stderr
    assert not Path("other.onnx").exists()
    Path("mine.py").write_text(NETWORK.replace("ReLU", "GELU"))
    said = refused("export", str(run), "-o", "other.onnx", "--model", "mine.py:build")
    assert f"mine.py:build is not the network that {run.name} was made with" in said
    assert "give that as --model" in said
    assert json.loads(Path("out/manifest.json").read_text())["files"].keys() == {f.name for f in (*tickets, *files)}
    Path("mine.py").unlink()
    assert "there is no file mine.py" in refused("export", str(run), "-o", "other.onnx", "--model", "mine.py:build")
    assert call("export", str(run), "-o", "again.pt", "--format", "torch-prune").code == 0
