"""Patterns as a user asks for them: by the name of a method, in every command."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from prunecheck.pruning import load_ticket

Call = Callable[..., Any]
Refused = Callable[..., str]

SMALL = ("--width", "4", "--epochs", "1", "--train-images", "60", "--test-images", "60", "--seeds", "1")

OWN = """
import torch
from torch import nn
from prunecheck.pruning import prunable_weights


class Network(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.beside = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.head = nn.Linear(8, num_classes)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        return self.head((x + self.beside(x)).mean((2, 3)))


def build(num_classes, input_channels=1):
    return Network(num_classes)


def score(model, power=1.0):
    return {layer: weight.abs() ** power for layer, weight in prunable_weights(model).items()}
"""


@pytest.fixture
def own() -> str:
    Path("net.py").write_text(OWN)
    return "net.py"


def test_a_check_of_channels_of_a_network_of_ones_own_can_be_cut_out(call: Call, own: str) -> None:
    options = ("--model", f"{own}:build", *SMALL[2:], "--sparsity", "0.5", "--checks", "rearrange-mask")
    ended = call(
        "check", f"{own}:score-channels?power=2", *options, "--baseline", "random-channels", "--json", "--workers", "1"
    )
    assert (ended.code, ended.stderr.count("Traceback")) == (0, 0)
    runs = {json.loads((folder / "spec.json").read_text())["check"]: folder for folder in Path("runs").glob("*score*")}
    tickets = {check: load_ticket(runs[check] / "ticket.safetensors")[0] for check in (None, "rearrange-mask")}
    kept = {check: ticket.masks["first"].flatten(1).any(1) for check, ticket in tickets.items()}
    assert 0 < int(kept[None].sum()) == int(kept["rearrange-mask"].sum()) < 8
    assert not torch.equal(kept[None], kept["rearrange-mask"])
    for check, ticket in tickets.items():
        assert torch.equal(ticket.masks["head"].any(0), kept[check])
        assert torch.equal(ticket.masks["beside"].flatten(1).all(1), kept[check])
    written = ("export", str(runs[None]), "-o", "small.pt", "--format", "cut-state-dict")
    assert "is in a file of your own, which is not run unasked" in call(*written).stderr
    assert call(*written, "--model", f"{own}:build").code == 0
    smaller = torch.load("small.pt", weights_only=True)
    count = int(kept[None].sum())
    assert [smaller[name].shape[0] for name in ("first.weight", "norm.running_var", "beside.weight")] == [count] * 3
    assert smaller["head.weight"].shape == (10, count)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("magnitude-2:4", "--sparsity", "0.9", "--keep-dense", "first"), "give --sparsity 0.5."),
        (("magnitude-2:4", "--sparsity", "0.5"), "leave such layers whole with --keep-dense conv1."),
        (("snip-channels", "--sparsity", "0.9999"), "cannot be reached by removing channels"),
        (("magnitude-blocks-4x1", "--sparsity", "0.9"), "leave such layers whole with --keep-dense fc."),
        (("magnitude-5:4", "--sparsity", "0.5"), "which removes nothing"),
        (("imp@2-channels", "--sparsity", "0.5"), "choose a method in one round, such as lt-channels."),
    ],
)
def test_what_a_pattern_cannot_do_is_refused_before_any_work(
    refused: Refused, arguments: tuple[str, ...], said: str
) -> None:
    assert said in refused("check", *arguments, *SMALL[:4], "--seeds", "1")


def test_an_audit_names_what_is_removed_and_the_flops_that_really_fall(call: Call) -> None:
    options = ("--sparsity", "0.5", "--seeds", "1", "--width", "4")
    text = call("audit", "magnitude-channels", *options).stdout
    assert "magnitude-channels: what is removed" in text
    assert "conv1+layer1.0.conv2" in text
    assert "FLOPs that really fall once they are cut out" in text
    found = json.loads(call("audit", "magnitude-channels", *options, "--json").stdout)["methods"][0]
    units = {unit["pool"]: unit for unit in found["units"]}
    assert units["layer3.0.conv1"]["total"] == 16
    assert sum(unit["kept"] for unit in units.values()) < sum(unit["total"] for unit in units.values())
    costs = found["costs"]
    assert costs["flops_cut_out"] == costs["flops"] - costs["flops_kept"] > 0
    network = ("--model", "resnet8", "--dataset", "digits", "--width", "4", "--sparsity", "0.5")
    assert call("prune", "magnitude-channels", *network, "-o", "t.safetensors").code == 0
    again = ("mask:t.safetensors?pattern=channels", "--width", "4", "--seeds", "1", "--json")
    assert json.loads(call("audit", *again).stdout)["methods"][0]["units"] == found["units"]


def test_masks_in_files_without_the_pattern_are_refused(call: Call, refused: Refused) -> None:
    network = ("--model", "resnet8", "--dataset", "digits", "--width", "4")
    assert call("prune", "magnitude", *network, "--sparsity", "0.5", "-o", "t.safetensors").code == 0
    for pattern, said in (("channels", "removes no whole channels of layer"), ("2:4", "cannot be divided")):
        assert said in refused("check", f"mask:t.safetensors?pattern={pattern}", "--width", "4", "--seeds", "1")


def test_two_of_four_of_the_layers_that_are_pruned(call: Call) -> None:
    network = ("--model", "resnet8", "--dataset", "digits", "--width", "4", "--keep-dense", "first")
    assert call("prune", "snip-2:4", *network, "--sparsity", "0.5", "-o", "t.safetensors").code == 0
    ticket, _ = load_ticket(Path("t.safetensors"))
    assert "conv1" not in ticket.masks
    for mask in ticket.masks.values():
        assert torch.equal(mask.movedim(1, -1).reshape(-1, 4).sum(1), torch.full((mask.numel() // 4,), 2))
