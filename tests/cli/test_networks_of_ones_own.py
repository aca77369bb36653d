"""Networks that others register: commands refuse what returns no logits before they start anything."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from prunecheck.models import MODELS, register_model

Refused = Callable[..., str]

COMMANDS = {
    "check": ["check", "snip", "--model", "mine", "--epochs", "1", "--seeds", "1", "--sparsity", "0.5"],
    "check of magnitudes": [
        "check",
        "magnitude",
        "--model",
        "mine",
        "--epochs",
        "1",
        "--seeds",
        "1",
    ],
    "audit": ["audit", "snip", "--model", "mine", "--sparsity", "0.5"],
    "prune": ["prune", "snip", "--model", "mine", "--dataset", "digits", "--sparsity", "0.5"],
    "prune without data": ["prune", "magnitude", "--model", "mine", "--num-classes", "10", "--sparsity", "0.5"],
    "plan": ["plan", "study.toml"],
    "run": ["run", "study.toml", "--workers", "1"],
}

STUDY = """
methods = ["snip"]
datasets = ["digits"]
models = ["mine"]
sparsities = [0.5]
checks = ["rearrange-mask"]
seeds = 2
"""


class Mine(nn.Module):
    def __init__(self, channels: int, classes: int, change: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, 4, 3)
        self.head = nn.Linear(4, classes)
        self.change = change

    def forward(self, x: Tensor) -> object:
        return self.change(self.head(self.convolution(x).relu().mean((2, 3))))


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.setattr(MODELS, "entries", dict(MODELS.entries))

    def register(change: Callable[[Tensor], object], more_classes: int = 0) -> None:
        @register_model("mine")
        def mine(num_classes: int, input_channels: int = 3) -> nn.Module:
            """Mine."""
            return Mine(input_channels, num_classes + more_classes, change)

    return register


@pytest.mark.parametrize("command", COMMANDS)
def test_a_network_that_returns_a_dict_is_refused_before_anything_starts(
    register: Callable[..., None], refused: Refused, command: str
) -> None:
    register(lambda logits: {"logits": logits})
    Path("study.toml").write_text(STUDY)
    sentence = refused(*COMMANDS[command])
    assert "mine returned a dict with the keys logits in evaluation mode" in sentence
    assert "have it return output['logits']" in sentence


def test_a_network_for_other_classes_is_refused(register: Callable[..., None], refused: Refused) -> None:
    register(lambda logits: logits, more_classes=990)
    assert "mine returned 1000 logits for each image, and there are 10 classes" in refused(*COMMANDS["check"])


def test_a_network_that_fails_says_why(register: Callable[..., None], refused: Refused) -> None:
    register(lambda logits: logits @ torch.ones(3, 3))
    assert "mine fails on 2 images of shape (1, 8, 8) in evaluation mode (RuntimeError: " in refused(*COMMANDS["prune"])
