"""Each file that CONTRIBUTING.md shows does what is said of it there, in a command as a user types it."""

import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy
import pytest
import torch
from torch.nn.functional import cross_entropy

from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import Ticket, dense_ticket, prunable_shapes, prunable_weights
from tests.docs.conftest import EXAMPLES

RESNET = ("--model", "resnet8", "--width", "4")

Offered = Callable[[str], ModuleType]
Check = Callable[..., dict[str, Any]]


PAGES = ("CONTRIBUTING.md", "docs/own-methods.md")


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_a_page_shows_the_file_that_is_tested(example: str) -> None:
    text = (EXAMPLES / example).read_text(encoding="utf-8")
    block = re.compile(rf"\((?:docs/)?examples/{re.escape(example)}\).*?\n```python\n(.*?)```\n", re.DOTALL)
    shown = [
        found for page in PAGES for found in block.findall((EXAMPLES.parents[1] / page).read_text(encoding="utf-8"))
    ]
    assert shown, f"no page shows docs/examples/{example}"
    assert set(shown) == {text}


@pytest.mark.parametrize(
    ("arguments", "field", "name"),
    [
        (("criterion.py:gradient", *RESNET), "method", "criterion.py:gradient"),
        (("method.py:LT_ERK", *RESNET), "method", "method.py:LT_ERK"),
        (("snip", "--model", "network.py:plain", "--width", "4"), "model", "network.py:plain"),
        (("snip", "--dataset", "dataset.py:stripes", *RESNET), "dataset", "dataset.py:stripes"),
        (("snip", "--metric", "metric.py:calibration_error", *RESNET), "metric", "metric.py:calibration_error"),
    ],
)
def test_it_is_checked_from_its_file(
    tmp_path: Path, check: Check, arguments: tuple[str, ...], field: str, name: str
) -> None:
    shutil.copy(EXAMPLES / f"{name.partition('.')[0]}.py", tmp_path)
    answer = check(*arguments, "--checks", "rearrange-mask")
    found = answer[field]
    assert (found["name"] if field == "metric" else found) == name
    assert answer["tickets"][0]["n"] == 1


def test_the_criterion_is_the_absolute_gradient(offered: Offered) -> None:
    gradient = offered("criterion").gradient
    model = build_model("resnet8", 3, width=4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    batches = [(torch.rand(6, 3, 8, 8), torch.arange(6) % 3) for _ in range(2)]
    scores = gradient(model, batches)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for x, y in batches:
        cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
    weights = prunable_weights(model)
    assert list(scores) == list(weights)
    for layer, weight in weights.items():
        assert weight.grad is not None
        torch.testing.assert_close(scores[layer], weight.grad.abs())


def test_the_method_trains_the_dense_network_first(offered: Offered, check: Check) -> None:
    offered("method")
    answer = check("lt-erk", "--checks", "rearrange-mask", *RESNET)
    assert answer["method"] == "lt-erk"
    assert answer["dense"]["n"] == 1
    assert answer["tickets"][0]["n"] == 1


def test_the_allocation_keeps_the_first_layer_and_meets_the_sparsity(offered: Offered, check: Check) -> None:
    first_layer_whole = offered("allocation").first_layer_whole
    shapes = prunable_shapes(build_model("resnet8", 10, width=4))
    ratios = first_layer_whole(shapes, 0.8)
    sizes = {layer: math.prod(shape) for layer, shape in shapes.items()}
    assert list(ratios) == list(shapes)
    assert ratios["conv1"] == 1
    assert len(set(ratios.values())) == 2
    assert math.isclose(sum(sizes[layer] * ratio for layer, ratio in ratios.items()), 0.2 * sum(sizes.values()))
    with pytest.raises(InputError, match="first layer"):
        first_layer_whole(shapes, 0.999)
    assert check("snip-first-layer-whole", "--checks", "rearrange-mask", *RESNET)["tickets"][0]["n"] == 1


def _signs_of_kept(ticket: Ticket) -> torch.Tensor:
    return torch.cat([ticket.weights[f"{layer}.weight"][mask].sign() for layer, mask in ticket.masks.items()])


def test_the_check_changes_signs_of_kept_weights_and_nothing_else(offered: Offered, check: Check) -> None:
    flip_signs = offered("check").flip_signs
    model = build_model("resnet8", 10, width=4)
    draws = torch.Generator().manual_seed(0)
    masks = {layer: torch.rand(shape, generator=draws) < 0.5 for layer, shape in prunable_shapes(model).items()}
    ticket = Ticket(dense_ticket(model).weights, masks)
    changed = flip_signs(ticket, torch.Generator().manual_seed(1))
    assert all(torch.equal(changed.masks[layer], mask) for layer, mask in masks.items())
    for name, weight in ticket.weights.items():
        torch.testing.assert_close(changed.weights[name].abs(), weight.abs(), rtol=0, atol=0)
        mask = masks.get(name.removesuffix(".weight"))
        same = changed.weights[name] == weight
        assert same.all() if mask is None else same[~mask].all()
    flipped = (_signs_of_kept(changed) != _signs_of_kept(ticket)).double().mean()
    half = flip_signs(ticket, torch.Generator().manual_seed(1), share=0.5)
    half_flipped = (_signs_of_kept(half) != _signs_of_kept(ticket)).double().mean()
    assert 0.4 < flipped < 0.6
    assert 0.2 < half_flipped < 0.3
    answer = check("snip", "--checks", "flip-signs,flip-signs@0.5", *RESNET)
    assert [verdict["check"] for verdict in answer["verdicts"]] == ["flip-signs", "flip-signs@0.5"]


def test_the_network_is_a_family_and_is_checked(offered: Offered, check: Check) -> None:
    offered("network")
    model = build_model("plain3", 7, input_channels=2, width=5)
    assert len(prunable_weights(model)) == 4
    assert model(torch.rand(2, 2, 8, 8)).shape == (2, 7)
    answer = check("snip", "--model", "plain3", "--width", "4", "--checks", "rearrange-mask")
    assert (answer["model"], answer["width"]) == ("plain3", 4)


def test_the_data_set_is_balanced_reproducible_and_checked(offered: Offered, check: Check) -> None:
    stripes = offered("dataset").stripes
    one, again = stripes(), stripes()
    assert numpy.array_equal(one.train.pixels, again.train.pixels)
    assert one.train.pixels.shape == (160, 1, 8, 8)
    assert numpy.bincount(one.test.labels).tolist() == [100] * 4
    means = [one.train.pixels[one.train.labels == label].mean(axis=0) for label in range(4)]
    assert all(0.4 < mean.mean() / 255 < 0.6 for mean in means)
    answer = check("snip", "--dataset", "stripes", "--checks", "rearrange-mask", "--width", "4", "--model", "resnet8")
    assert answer["dataset"] == "stripes"
    assert answer["chance"] == 25


def test_the_metric_is_zero_for_a_network_that_is_as_sure_as_it_is_right(offered: Offered) -> None:
    calibration_error = offered("metric").calibration_error
    labels = torch.tensor([0, 1, 1, 0])
    sure, half_right = torch.tensor([[99.0, 0.0]]).expand(4, 2), torch.zeros(4, 2)
    assert calibration_error(sure, labels) == pytest.approx(50)  # always sure of class 0, and right in half
    assert calibration_error(half_right, labels) == pytest.approx(0)
    wrong = torch.tensor([[0.0, 99.0]]).expand(4, 2)
    assert calibration_error(wrong, labels * 0) == pytest.approx(100)


def test_the_metric_is_what_verdicts_are_about(offered: Offered, check: Check) -> None:
    offered("metric")
    answer = check("snip", "--metric", "calibration-error", "--checks", "rearrange-mask", *RESNET)
    assert answer["metric"] == {"name": "calibration-error", "unit": "%", "higher_is_better": False}
    assert answer["chance"] is None
    (pair,) = answer["verdicts"][0]["pairs"]
    assert pair["difference"] == pytest.approx(pair["changed_value"] - pair["value"], abs=1e-3)


OWN_METHODS = {
    "method_scores.py:taylor": 0,
    "method_masks.py:best_of_each_layer": 0,
    "method_ticket.py:random_and_rescaled": 0,
    "method_training_set.py:after_an_epoch": 0,
    "method_without_data.py:size_within_layer": 0,
    "method_trained_model.py:grown": 1,
    "method_arguments.py:blend?alpha=0.25&keep_first=true": 0,
    "method_registered.py:changed_signs": 1,
}
"""By name, how many dense networks each seed is trained to beside the compared one, on corrupted data."""


@pytest.mark.parametrize("method", OWN_METHODS)
def test_a_method_of_ones_own_of_every_kind_is_checked(tmp_path: Path, check: Check, method: str) -> None:
    shutil.copy(EXAMPLES / f"{method.partition('.')[0]}.py", tmp_path)
    answer = check(method, *RESNET, "--checks", "corrupted-data")
    assert answer["method"] == method
    assert answer["tickets"][0]["n"] == 1
    folders = [path.name for path in Path("runs").glob("*-seed0-*")]
    corrupted = [name for name in folders if "corrupted-data" in name and "trained-on" not in name]
    assert len(corrupted) == ("without_data" not in method and "ticket" not in method)
    assert len([name for name in folders if "trained-on-corrupted-data" in name]) == OWN_METHODS[method]


def test_the_example_of_a_ticket_keeps_the_variance_of_outputs(tmp_path: Path) -> None:
    from prunecheck.data import ScoringData
    from prunecheck.pruning import find_method, make_ticket

    model = build_model("resnet8", 10, width=4)
    method = find_method(f"{EXAMPLES / 'method_ticket.py'}:random_and_rescaled")
    ticket = make_ticket(method, model, ScoringData(), 0.75, torch.Generator().manual_seed(0))
    for layer, weight in prunable_weights(model).items():
        mask = ticket.masks[layer]
        assert int(mask.sum()) == max(round(0.25 * mask.numel()), 1)
        scale = (mask.numel() / int(mask.sum())) ** 0.5
        torch.testing.assert_close(ticket.weights[f"{layer}.weight"], weight.detach() * scale)
