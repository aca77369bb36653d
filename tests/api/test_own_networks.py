"""Networks as objects: modules that are built already, choices of layers, and the built-in kinds, from Python."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import prunecheck
from prunecheck.models import build_model, find_model
from prunecheck.runs.store import RunStore
from prunecheck.user_code import Reference

SMALL: dict[str, Any] = {
    "seeds": 2,
    "sparsity": 0.5,
    "checks": "rearrange-mask",
    "baseline": None,
    "epochs": 1,
    "train_images": 100,
    "test_images": 50,
    "samples_per_class": 2,
    "quiet": True,
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Drawing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.first(x).relu().mean((2, 3)))  # type: ignore[no-any-return]

    def draw_weights(self, generator: torch.Generator) -> None:
        for parameter in self.parameters():
            parameter.normal_(0, 0.3, generator=generator)


def test_a_network_that_is_built_already_is_drawn_anew_for_each_seed() -> None:
    given = Drawing()
    before = {name: value.clone() for name, value in given.state_dict().items()}
    answer = prunecheck.check("snip", model=given, **SMALL)
    assert [result.status for result in answer.results.values()] == ["trained"] * 6
    assert all(torch.equal(value, before[name]) for name, value in given.state_dict().items())
    starts = {}
    for spec in answer.results:
        ticket = RunStore(Path("runs")).folder(spec).ticket()
        assert ticket
        starts[spec.method, spec.check, spec.seed] = ticket.weights["head.weight"]
    assert torch.equal(starts["dense", None, 0], starts["snip", None, 0])
    assert not torch.equal(starts["dense", None, 0], starts["dense", None, 1])
    again = prunecheck.check("snip", model=given, **SMALL)
    assert again.results == answer.results  # which are not done again


def test_other_processes_build_the_same_of_it() -> None:
    found = find_model(Drawing())
    assert isinstance(found.given, Reference)
    there = find_model(pickle.loads(pickle.dumps(found.given)))
    assert there.code and found.code
    assert there.code.hash == found.code.hash
    ours, theirs = (build_model(model, 10, seed=3).state_dict() for model in (found, there))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.parametrize(
    ("model", "options"), [("vit2", {"width": 8, "baseline": "random-erk"}), ("mobilenetv2", {"width": 2})]
)
def test_attention_and_depthwise_convolutions_are_checked(model: str, options: dict[str, Any]) -> None:
    asked = SMALL | {"seeds": 1, "learning_rate": 0.02} | options
    answer = prunecheck.check("magnitude-erk", model=model, **asked)
    statuses = [result.status for result in answer.results.values()]
    assert len(statuses) == 3 + ("baseline" in options)
    assert statuses == ["trained"] * len(statuses)
    found = prunecheck.audit("magnitude-erk", model=model, width=options["width"], sparsity=0.3, seeds=1)
    (ticket,) = found.methods[0].tickets
    assert ticket.not_known is None
    assert ticket.effective


def test_layers_are_chosen_by_one_word_or_several() -> None:
    asked = SMALL | {"seeds": 1, "model": "resnet8", "width": 2}
    one = prunecheck.check("snip", keep_dense="first", **asked)
    assert one.question.setting.network == "resnet8 of width 2 (first kept dense)"
    both = prunecheck.check("snip", keep_dense=["last", "first"], **asked)
    assert both.question.setting.keep_dense == ("first", "last")
    assert "first and last kept dense" in str(both)
    assert "prunable" in both.to_dict()
    with pytest.raises(prunecheck.InputError, match=r"^keep_dense names 'fc2', .* did you mean fc"):
        prunecheck.check("snip", keep_dense="fc2", **asked)
