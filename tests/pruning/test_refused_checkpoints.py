"""What is said of files of other tools that do not fit the network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from prunecheck.models import build_model
from prunecheck.pruning.layers import Masks
from prunecheck.pruning.tickets import copy_weights
from tests.pruning.foreign_files import (
    NAME,
    in_front,
    network,
    pruned_by_torch,
    read,
    refused,
    require_equal,
    without,
    written,
)

UNREADABLE: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "meta": (lambda t: t.to("meta"), "has a tensor without values (meta) in fc.weight"),
    "quantised": (
        lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
        "has a quantised tensor (its small weights have become 0 and cannot be told from pruned ones) in fc.weight",
    ),
    "complex": (lambda t: t.to(torch.complex64), "has complex numbers in fc.weight"),
    "integers": (lambda t: t.long(), "has values of type int64 in fc.weight"),
    "number": (lambda t: 3, "has a value of type int in fc.weight"),
    "nan": (lambda t: t * float("nan"), "has values that are not finite in fc.weight: its training diverged"),
    "infinity": (lambda t: t / 0, "has values that are not finite in fc.weight: its training diverged"),
    "too large": (lambda t: t.double() * 1e300, "has values that are not finite in fc.weight: its training diverged"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", UNREADABLE)
def test_values_that_are_no_weights_are_named(tmp_path: Path, kind: str) -> None:
    change, words = UNREADABLE[kind]
    weights: dict[str, Any] = copy_weights(network())
    weights["fc.weight"] = change(weights["fc.weight"])
    assert refused(weights, tmp_path).startswith(words)


@pytest.mark.parametrize("value", [0.5, -1.0, 2.0, float("nan")])
def test_soft_masks_are_refused(tmp_path: Path, masks: Masks, value: float) -> None:
    state = pruned_by_torch(masks).state_dict()
    state["fc.weight_mask"][1, 2] = value
    assert refused(state, tmp_path) == (
        f"has a mask fc.weight_mask with values other than 0 and 1 (such as {value:g}): threshold it, so that it is 0 "
        "where a weight is pruned and 1 where it is kept."
    )


def test_masks_of_another_shape_or_layer_are_refused(tmp_path: Path, masks: Masks) -> None:
    state = pruned_by_torch(masks).state_dict()
    state["fc.weight_mask"] = state["fc.weight_mask"][:, :5]
    text = (
        "has a mask fc.weight_mask of shape (10, 5) for weights of shape (10, 16): give a checkpoint of this network."
    )
    assert refused(state, tmp_path) == text
    weights = copy_weights(network())
    assert refused({"model": weights, "masks": masks | {"head": masks["fc"]}}, tmp_path) == (
        "has a mask masks.head, which is not of a layer of this network: name the masks as its layers are named "
        "(conv1, layer1.0.conv1, layer1.0.conv2, ...)."
    )
    assert refused({"model": weights, "masks": masks, "weight_masks": dict(masks)}, tmp_path) == (
        "holds several groups of masks (masks, weight_masks): save those that are meant alone."
    )


def test_of_several_networks_none_is_chosen(tmp_path: Path) -> None:
    one, other = copy_weights(network(1)), copy_weights(network(2))
    assert refused({"model": one, "ema": other}, tmp_path) == (
        "holds several networks that fit and differ (ema, model): save the state_dict of the one that is meant with "
        "torch.save, and give that."
    )
    assert "differ (student, teacher)" in refused(in_front("student.", one) | in_front("teacher.", other), tmp_path)
    assert "differ (the top, module)" in refused(one | in_front("module.", other), tmp_path)
    require_equal(read(written({"model": one, "ema": copy_weights(network(1))}, tmp_path)).weights, one)


def test_what_does_not_fit_is_named_key_by_key(tmp_path: Path) -> None:
    state = dict(build_model("resnet8", 100, width=4).state_dict())
    del state["conv1.weight"]
    state["fc.scale"] = torch.ones(1)
    assert refused({"net": in_front("module.", state)}, tmp_path) == (
        f"is not a checkpoint of {NAME}: it lacks conv1.weight, has fc.scale too many, has fc.weight of "
        "shape (100, 16) instead of (10, 16), fc.bias of shape (100,) instead of (10,); give the --arch, --depth and "
        "--dataset that it was made with."
    )


def test_of_many_names_three_are_shown(tmp_path: Path) -> None:
    deeper, wider = build_model("resnet14", 10, width=4), build_model("resnet8", 10, width=8)
    # Beside these, a deeper block has the weights, biases, means, variances and counters of two batch norms.
    assert refused(deeper.state_dict(), tmp_path) == (
        f"is not a checkpoint of {NAME}: it has layer1.1.conv1.weight, layer1.1.bn1.weight, layer1.1.bn1.bias and 33 "
        "more too many; give the --arch, --depth and --dataset that it was made with."
    )
    differ = sum(wider.state_dict()[n].shape != t.shape for n, t in network().state_dict().items())
    text = refused(wider.state_dict(), tmp_path)
    assert "has conv1.weight of shape (8, 3, 3, 3) instead of (4, 3, 3, 3), bn1.weight of shape (8,) instead" in text
    assert f" and {differ - 3} more; give the --arch" in text


def test_the_remedy_is_for_the_kind_of_file(tmp_path: Path) -> None:
    model = network()
    weights = copy_weights(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    cases: list[tuple[Any, str, str]] = [
        (without(weights, "running_mean", "running_var"), "lacks bn1.running_mean", "a part of the network"),
        (without(weights, "fc.weight", "fc.bias"), "lacks fc.weight, fc.bias;", "a part of the network"),
        (weights | {"total_ops": torch.ones(1)}, "has total_ops too many", "of this network with additions"),
        ({"optimizer": optimizer.state_dict()}, "lacks conv1.weight", "the state of an optimiser"),
        (
            {"state_dict": in_front("module.", build_model("vgg11_bn", 10).state_dict())},
            "has features.0.weight",
            "of another network",
        ),
        ({"epoch": 1, "args": ["a"]}, "", "holds no state_dict"),
        ([weights], "", "holds list and no state_dict"),
        (torch.ones(3), "", "holds Tensor and no state_dict"),
    ]
    for content, names, kind in cases:
        text = refused(content, tmp_path)
        assert names in text
        assert kind in text
        assert ("--depth" in text) == (kind == "of another network")


def test_names_cannot_reach_the_terminal_as_commands(tmp_path: Path) -> None:
    text = refused(copy_weights(network()) | {"\x1b]0;evil\x07\n" + "x" * 500: torch.ones(1)}, tmp_path)
    assert "\x1b" not in text
    assert r"\x1b]0;evil\x07\nxxx" in text
    assert len(text) < 400
