"""Which layers may be pruned, and what follows from it."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import (
    ALLOCATIONS,
    CRITERIA,
    allocate,
    choose_prunable,
    keep_ratios,
    prunable_shapes,
    prunable_weights,
)
from prunecheck.pruning.connectivity import Paths
from prunecheck.pruning.copying import copy_network
from prunecheck.pruning.prunable_layers import PrunableLayers
from prunecheck.pruning.tickets import Ticket, copy_weights
from prunecheck.training import Recipe
from prunecheck.training.network import DenseNetwork

LAYERS = [
    *("conv1", "layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv1", "layer2.0.conv2", "layer2.0.downsample.0"),
    *("layer3.0.conv1", "layer3.0.conv2", "layer3.0.downsample.0", "fc"),
]


def resnet() -> nn.Module:
    return build_model("resnet8", 3, width=2, input_channels=1)


@pytest.mark.parametrize(
    ("prunable", "keep_dense", "expected"),
    [
        (None, None, LAYERS),
        (["*"], None, LAYERS),
        (None, ["first", "last"], LAYERS[1:-1]),
        (["first", "last"], None, ["conv1", "fc"]),
        (["layer3"], None, LAYERS[6:9]),
        (["layer3.*"], ["layer3.0.conv?"], ["layer3.0.downsample.0"]),
        (["fc", "layer[12].0.conv1"], None, ["layer1.0.conv1", "layer2.0.conv1", "fc"]),
        (None, ["layer2.0.downsample"], [name for name in LAYERS if name != "layer2.0.downsample.0"]),
    ],
)
def test_layers_are_chosen_by_name_module_pattern_and_place(
    prunable: list[str] | None, keep_dense: list[str] | None, expected: list[str]
) -> None:
    model = choose_prunable(resnet(), prunable=prunable, keep_dense=keep_dense)
    assert list(prunable_weights(model)) == expected
    assert list(prunable_shapes(copy_network(model))) == expected
    assert list(prunable_weights(copy.deepcopy(model))) == expected


def test_a_choice_can_be_taken_back() -> None:
    model = choose_prunable(resnet(), keep_dense=["first"])
    assert list(prunable_weights(choose_prunable(model))) == LAYERS


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"keep_dense": ["layr3"]}, "^keep_dense names 'layr3', .* called so: did you mean layer3 or layer"),
        ({"prunable": ["xyz.*"]}, "^prunable names 'xyz.*', .* its layers are conv1, layer1.0.conv1, layer1.0.conv2, "),
        ({"keep_dense": ["*"]}, "^keep_dense leaves no layer to prune"),
        ({"prunable": ["fc"], "keep_dense": ["last"]}, "^keep_dense leaves no layer to prune"),
        ({"prunable": []}, "^prunable takes a list of names or patterns of layers, .* and this one is empty"),
        ({"keep_dense": ["fc", "fc"]}, "^keep_dense takes .* 'fc' is given twice"),
        ({"keep_dense": "first"}, "^keep_dense takes a list"),
    ],
)
def test_what_chooses_nothing_is_refused(chosen: dict[str, Any], message: str) -> None:
    model = resnet()
    with pytest.raises(InputError, match=message):
        choose_prunable(model, **chosen)
    assert list(prunable_weights(model)) == LAYERS


def test_a_choice_has_one_form_and_words() -> None:
    assert PrunableLayers.of(["b", "a", "a"], None) == PrunableLayers(("a", "b"))
    assert PrunableLayers.of(["*", "a"], []) == PrunableLayers.of(None, None)
    assert str(PrunableLayers.of(None, None)) == ""
    assert str(PrunableLayers.of(["layer3.*"], ["last", "first"])) == (
        "only layer3.* prunable, first and last kept dense"
    )
    assert str(PrunableLayers.of(None, ["c", "b", "a"])) == "a, b and c kept dense"


class TiedEnds(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.inside, self.head = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 16)
        self.head.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.inside(self.embed(x.flatten(1)).relu()).relu())  # type: ignore[no-any-return]


def test_a_weight_of_several_layers_is_dense_if_any_of_them_is() -> None:
    for name in ("embed", "head", "last", "first"):
        assert list(prunable_weights(choose_prunable(TiedEnds(), keep_dense=[name]))) == ["inside"]
    assert list(prunable_weights(choose_prunable(TiedEnds(), prunable=["head"]))) == ["embed"]


def test_a_layer_that_is_kept_dense_may_compute_its_weight() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.utils.parametrizations.weight_norm(nn.Linear(8, 3)))
    with pytest.raises(InputError, match="the weight of layer 2 is computed from other parameters"):
        prunable_weights(model)
    assert list(prunable_weights(choose_prunable(model, keep_dense=["last"]))) == ["1"]


@pytest.mark.parametrize("name", CRITERIA.names())
def test_every_criterion_scores_the_chosen_layers_alone(name: str, batch: Batch) -> None:
    model = choose_prunable(resnet(), keep_dense=["first", "last"])
    criterion = CRITERIA.get(name)
    criterion = criterion.with_argument("2") if criterion.argument else criterion
    scores = criterion(model, [batch], torch.Generator().manual_seed(0), 0.5)
    assert list(scores) == LAYERS[1:-1]
    masks = allocate(scores, 0.5)
    total = sum(mask.numel() for mask in masks.values())
    assert sum(int(mask.sum()) for mask in masks.values()) == round(total / 2)  # a share of the prunable weights


@pytest.mark.parametrize("name", ALLOCATIONS.names())
@pytest.mark.parametrize("keep_dense", [["first"], ["last"], ["layer1", "last"]])
def test_every_allocation_meets_the_sparsity_of_the_chosen_layers(name: str, keep_dense: list[str]) -> None:
    if name == "smart-ascend":
        keep_dense = ["layer1"]  # where less is left the last layers are full, which is refused
    model = choose_prunable(build_model("resnet8", 10, width=16, input_channels=1), keep_dense=keep_dense)
    shapes = prunable_shapes(model)
    ratios = keep_ratios(name, model, 0.9)
    assert list(ratios) == list(shapes)
    sizes = {layer: torch.Size(shape).numel() for layer, shape in shapes.items()}
    kept = sum(ratios[layer] * size for layer, size in sizes.items())
    assert kept / sum(sizes.values()) == pytest.approx(0.1, abs=0.002)


def test_paths_lead_through_dense_layers() -> None:
    model = choose_prunable(resnet(), keep_dense=["first", "last"])
    masks = {layer: torch.ones_like(w, dtype=torch.bool) for layer, w in prunable_weights(model).items()}
    whole = Paths(model, (1, 8, 8)).layer_connectivity(masks)
    assert all(layer.effective == layer.total for layer in whole.values())
    cut = masks | {layer: torch.zeros_like(mask) for layer, mask in masks.items() if layer.startswith("layer1")}
    assert Paths(model, (1, 8, 8)).layer_connectivity(cut)["layer3.0.conv1"].effective  # by the shortcut


def test_training_changes_dense_layers_and_leaves_pruned_weights_at_0(batch: Batch) -> None:
    model = choose_prunable(resnet(), keep_dense=["first", "last"])
    draws = torch.Generator().manual_seed(0)
    masks = {layer: torch.rand(w.shape, generator=draws) < 0.3 for layer, w in prunable_weights(model).items()}
    network = DenseNetwork(Ticket(copy_weights(model), masks), model, Recipe(), "cpu", torch.contiguous_format)
    for _ in range(2):
        loss = nn.functional.cross_entropy(network(batch[0].float()), batch[1])
        loss.backward()  # type: ignore[no-untyped-call]
        network.step(0.1)
    trained = network.weights()
    assert all(not trained[f"{layer}.weight"][~mask].any() for layer, mask in masks.items())
    for layer in ("conv1", "fc"):
        before = model.get_parameter(f"{layer}.weight")
        assert bool((trained[f"{layer}.weight"] != before).all()), layer
