"""As a new user would: code and data of one's own in an empty folder, asked about from the shell and from Python."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import torch

from prunecheck.data import load_dataset
from prunecheck.pruning import load_ticket
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunStore

SMALL = shlex.split(
    "--epochs 1 --seeds 2 --sparsity 0.8 --checks rearrange-mask --baseline none --quiet --no-sparse-convolutions"
)

HELPER = """
from torch import nn

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.convolution = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x):
        return x + self.norm(self.convolution(x)).relu()
"""

NETWORK = """
from torch import nn
from blocks_of_a_new_user import Block

class Net(nn.Module):
    def __init__(self, num_classes, input_channels, depth=1, channels=4):
        super().__init__()
        self.stem = nn.Conv2d(input_channels, channels, 3, padding=1)
        self.blocks = nn.Sequential(*[Block(channels) for _ in range(depth)])
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x):
        return self.fc(self.blocks(self.stem(x)).mean((2, 3)))
"""

METHODS = """
import torch
from prunecheck.pruning import prunable_weights, snip

def scores(model, batches, alpha=1.0):
    return {layer: score ** alpha for layer, score in snip(model, batches).items()}

def masks(model, batches, sparsity):
    found = {}
    for layer, score in snip(model, batches).items():
        mask = torch.zeros(score.numel(), dtype=torch.bool)
        mask[score.flatten().argsort(descending=True)[: round((1 - sparsity) * score.numel())]] = True
        found[layer] = mask.view(score.shape)
    return found

def ticket(model, batches, sparsity):
    return {name: 0.5 * tensor for name, tensor in model.state_dict().items() if "fc" in name}, masks(
        model, batches, sparsity
    )

def copies_trained_weights(model, trained_model, sparsity):
    state = trained_model.state_dict()
    found = {}
    for layer, weight in prunable_weights(trained_model).items():
        mask = torch.zeros(weight.numel(), dtype=torch.bool)
        mask[weight.abs().flatten().argsort(descending=True)[: round((1 - sparsity) * weight.numel())]] = True
        found[layer] = mask.view(weight.shape)
    return state, found
"""

NOTEBOOK = """
import functools, methods_of_a_new_user as mine, net_of_a_new_user as net, prunecheck

answer = prunecheck.check(
    functools.partial(mine.scores, alpha=0.5), model=functools.partial(net.Net, depth=2), dataset="npz:images.npz",
    epochs=1, seeds=2, sparsity=0.8, checks="rearrange-mask", baseline=None, acceleration=prunecheck.Acceleration(
        sparse_convolutions=False), quiet=True)
print(answer.question.method)
print(sorted(answer.verdicts))
assert "tabular" in answer.to_latex()
answer.report("from-python.html")
"""

METHOD = "methods_of_a_new_user.py:scores?alpha=0.5"

MODEL = "net_of_a_new_user.py:Net?depth=2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("new user")
    (place / "blocks_of_a_new_user.py").write_text(HELPER)
    (place / "net_of_a_new_user.py").write_text(NETWORK)
    (place / "methods_of_a_new_user.py").write_text(METHODS)
    digits = load_dataset("digits").shortened(100, 100)
    arrays = {
        f"{axis}_{part}": getattr(getattr(digits, part), name)
        for part in ("train", "test")
        for axis, name in (("x", "pixels"), ("y", "labels"))
    }
    numpy.savez(place / "images.npz", **arrays)
    return place


def results(folder: Path) -> dict[str, str]:
    """Return what each run ended with, by its method and check."""
    found = {}
    for path in (folder / "runs").glob("*/result.json"):
        spec = json.loads((path.parent / "spec.json").read_text())
        name = f"{spec['method']} {spec['check']} {spec['trained_on']} {spec['seed']}"
        found[name] = json.loads(path.read_text())["status"]
    return found


@pytest.fixture(scope="module")
def asked(folder: Path, prunecheck: Callable[..., object]) -> object:
    """Ask from the shell, with two workers."""
    return prunecheck(
        *("check", METHOD, "--model", MODEL, "--dataset", "npz:images.npz", *SMALL, "--workers", "2", "--json"),
        cwd=folder,
    )


def test_the_shell_answers_with_a_verdict_a_table_and_a_report(
    folder: Path, asked: object, prunecheck_in_a_fork: Callable[..., object]
) -> None:
    assert getattr(asked, "code", None) == 0, asked
    answer = json.loads(asked.stdout)  # type: ignore[attr-defined]
    assert (answer["method"], answer["model"]) == (METHOD, MODEL)
    assert [verdict["check"] for verdict in answer["verdicts"]] == ["rearrange-mask"]
    assert set(results(folder).values()) == {"trained"}
    assert (folder / "runs" / "report.html").is_file()
    latex = prunecheck_in_a_fork("report", "runs", "--latex", cwd=folder)
    assert "\\begin{tabular}" in latex.stdout  # type: ignore[attr-defined]
    assert "alpha=0.5" in latex.stdout  # type: ignore[attr-defined]


def test_python_finds_what_the_shell_has_done(folder: Path, asked: object, environment: dict[str, str]) -> None:
    before = results(folder)
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == METHOD
    assert "rearrange-mask" in done.stdout
    assert results(folder) == before
    assert (folder / "from-python.html").is_file()


KINDS = """
methods = ["methods_of_a_new_user.py:masks", "methods_of_a_new_user.py:ticket",
    "methods_of_a_new_user.py:copies_trained_weights", {code = "methods_of_a_new_user.py:scores", alpha = 0.5}]
datasets = ["npz:images.npz"]
models = [{code = "net_of_a_new_user.py:Net", depth = 2}]
sparsities = [0.8]
checks = ["corrupted-data"]
baseline = "random-ratios-of:methods_of_a_new_user.py:scores?alpha=0.5"
seeds = 1
recipes = ["short"]
[recipe.short]
epochs = 1
"""


def test_a_study_of_every_kind_of_method(
    folder: Path, prunecheck_in_a_fork: Callable[..., object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    (folder / "study.toml").write_text(KINDS)
    out = tmp_path_factory.mktemp("study")
    ended = prunecheck_in_a_fork(
        *("run", "study.toml", "--workers", "1", "--quiet", "--no-sparse-convolutions", "--out", out / "runs"),
        cwd=folder,
    )
    assert getattr(ended, "code", None) == 0, ended
    found = results(out)
    assert set(found.values()) == {"trained"}
    own = "methods_of_a_new_user.py"
    baseline = f"random-ratios-of:{own}:scores?alpha=0.5 None None 0"
    of_methods = {
        f"{own}:{name} {check} None 0"
        for name in ("masks", "ticket", "copies_trained_weights", "scores?alpha=0.5")
        for check in (None, "corrupted-data")
    }
    # The network of the method that copies trained weights is trained once more, on corrupted data.
    assert set(found) == {*of_methods, baseline, "dense None None 0", "dense None corrupted-data 0"}
    _copies_what_was_trained(out)


def _copies_what_was_trained(out: Path) -> None:
    """See that tickets start from the weights that the dense network ended with, on true or corrupted data."""
    store = RunStore(out / "runs")
    specs = [RunSpec.from_json(path.read_text()) for path in (out / "runs").glob("*/spec.json")]
    for check in (None, "corrupted-data"):
        (dense,) = (spec for spec in specs if spec.method == "dense" and spec.trained_on == check)
        (own,) = (spec for spec in specs if spec.method.endswith("copies_trained_weights") and spec.check == check)
        ticket, _ = load_ticket(store.folder(own).path / "ticket.safetensors")
        checkpoint = store.folder(dense).checkpoint()
        assert checkpoint is not None
        assert all(torch.equal(ticket.weights[name], value) for name, value in checkpoint.weights.items())


def test_an_audit_takes_several_methods_and_arguments_in_any_order(
    folder: Path, prunecheck_in_a_fork: Callable[..., object]
) -> None:
    one = ["audit", "methods_of_a_new_user.py:scores?alpha=0.5,methods_of_a_new_user.py:masks", "--dataset"]
    ended = prunecheck_in_a_fork(
        *(*one, "npz:images.npz", "--model", "net_of_a_new_user.py:Net?channels=6&depth=2", "--seeds", "1", "--json"),
        *("--sparsity", "0.8"),
        cwd=folder,
    )
    assert getattr(ended, "code", None) == 0, ended
    found = json.loads(ended.stdout)  # type: ignore[attr-defined]
    assert [method["method"] for method in found["methods"]] == [METHOD, "methods_of_a_new_user.py:masks"]
    kept = {layer["layer"]: layer["kept"] for layer in found["methods"][1]["layers"]}
    assert kept["fc"] == round(0.2 * 60)
    assert {one["against"] for one in found["methods"][1]["agreements"]} >= {"corrupted-data", "other-samples"}
