"""Networks that are not ours: they are pruned, or refused in one sentence."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.pruning import CRITERIA, allocate, keep_ratios, prunable_shapes, prunable_weights, sparsity_of
from prunecheck.pruning.layers import Scores

Draw = Callable[[nn.Module, int], nn.Module]


class SameLayerTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(16, 6)
        self.again = nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x.flatten(1))
        return self.head(self.again(torch.relu(self.again(torch.relu(x)))))  # type: ignore[no-any-return]


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(16, 16)
        self.second = nn.Linear(16, 16)
        self.second.weight = self.first.weight
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x.flatten(1)))
        return self.head(torch.relu(self.second(x)))  # type: ignore[no-any-return]


class Nested(nn.Module):
    """Layers in lists, dicts and attributes of any name, in another order than they are used in."""

    def __init__(self) -> None:
        super().__init__()
        self.z_head = nn.ModuleDict({"out": nn.Linear(4, 3)})
        self.blocks = nn.ModuleList([nn.ModuleDict({"mix": nn.Conv2d(1, 4, 3), "norm": nn.BatchNorm2d(4)})])
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        block: nn.ModuleDict = self.blocks[0]  # type: ignore[assignment]
        x = torch.relu(block["norm"](block["mix"](x)))
        return self.z_head["out"](x.mean((2, 3)) * self.scale)  # type: ignore[no-any-return]


def linear_only() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3))


def depthwise() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU6(),
        nn.Conv2d(4, 6, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "the same layer twice": SameLayerTwice,
    "tied parameters": Tied,
    "nested": Nested,
    "linear only": linear_only,
    "depthwise": depthwise,
}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest, draw: Draw) -> nn.Module:
    return draw(NETWORKS[request.param]().double(), 4)


def score(name: str, model: nn.Module, batch: Batch, sparsity: float = 0.5) -> Scores:
    return CRITERIA.get(name)(model, [batch], torch.Generator().manual_seed(0), sparsity)


WALK_IN_VAIN = {("phew", "the same layer twice"), ("phew", "tied parameters")}
"""Walks that may take a weight from two layers are not defined, and are refused."""


@pytest.mark.parametrize("name", CRITERIA.names())
def test_every_criterion_prunes_it_to_the_weight(
    request: pytest.FixtureRequest, name: str, network: nn.Module, batch: Batch
) -> None:
    if (name, request.node.callspec.params["network"]) in WALK_IN_VAIN:
        with pytest.raises(InputError, match=r"which phew walks \(.* used twice\)"):
            score(name, network, batch)
        return
    before = {key: value.clone() for key, value in network.state_dict().items()}
    scores = score(name, network, batch)
    shapes = {layer: tuple(values.shape) for layer, values in scores.items()}
    assert shapes == prunable_shapes(network)
    assert all(bool(values.isfinite().all()) for values in scores.values())
    masks = allocate(scores, 0.5)
    total = sum(mask.numel() for mask in masks.values())
    assert round(total * sparsity_of(masks)) == total - round(total / 2)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_erk_meets_the_sparsity_of_it(network: nn.Module) -> None:
    ratios = keep_ratios("erk", network, 0.6)
    sizes = {layer: weight.numel() for layer, weight in prunable_weights(network).items()}
    assert sum(ratios[layer] * size for layer, size in sizes.items()) == pytest.approx(0.4 * sum(sizes.values()))


def test_a_layer_that_is_used_twice_has_one_mask_and_the_gradients_of_both(draw: Draw, batch: Batch) -> None:
    model = draw(SameLayerTwice().double(), 4)
    assert list(prunable_weights(model)) == ["embed", "again", "head"]
    weight = model.get_parameter("again.weight")
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(model(batch[0]), batch[1]), weight)
    torch.testing.assert_close(score("snip", model, batch)["again"], (weight * gradient).abs().detach())


def test_a_weight_of_two_layers_has_one_mask_under_the_first_name(draw: Draw, batch: Batch) -> None:
    model = draw(Tied().double(), 4)
    assert list(prunable_weights(model)) == ["first", "head"]
    shared = model.get_parameter("first.weight")
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(model(batch[0]), batch[1]), shared)
    torch.testing.assert_close(score("snip", model, batch)["first"], (shared * gradient).abs().detach())
    mask = allocate(score("snip", model, batch), 0.5)["first"]
    with torch.no_grad():
        prunable_weights(model)["first"].mul_(mask)
    assert torch.equal(model.state_dict()["second.weight"], shared)
    assert int((shared != 0).sum()) == int(mask.sum())


def test_layers_are_found_under_any_name_in_the_order_of_the_modules() -> None:
    assert list(prunable_weights(Nested())) == ["z_head.out", "blocks.0.mix"]


def test_a_depthwise_convolution_has_one_weight_per_position_of_each_channel() -> None:
    assert prunable_shapes(depthwise())["3"] == (4, 1, 3, 3)


@pytest.mark.parametrize("allocation", ["smart", "smart-linear", "smart-cubic", "smart-ascend", "uniform"])
def test_ratios_of_convolutions_are_refused_for_linear_layers_alone(allocation: str) -> None:
    with pytest.raises(InputError, match="the network has no convolution: choose the allocation global"):
        keep_ratios(allocation, linear_only(), 0.5)


class OneDimensional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(4, 3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(x.squeeze(1)).squeeze(2)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", CRITERIA.names())
def test_one_dimensional_convolutions_alone_are_nothing_to_prune(name: str, batch: Batch) -> None:
    with pytest.raises(InputError, match="nothing to prune: it has no Conv2d and no Linear layer"):
        score(name, OneDimensional().double(), batch)


def test_a_weight_that_is_computed_from_others_is_refused_with_its_layer() -> None:
    model = nn.Sequential(nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(16, 3)))
    with pytest.raises(InputError, match="the weight of layer 1 is computed from other parameters"):
        prunable_weights(model)


def test_a_layer_without_weights_yet_is_refused_with_its_name() -> None:
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(3))
    with pytest.raises(InputError, match="layer 1 has no weights yet: run the network on a batch"):
        prunable_weights(model)
    model(torch.zeros(2, 1, 4, 4))
    assert prunable_shapes(model) == {"1": (3, 16)}


@pytest.mark.parametrize("name", [entry.name for entry in CRITERIA if entry.item.sees_data])
def test_a_criterion_that_is_given_none_of_the_data_it_asks_for_says_so(name: str, network: nn.Module) -> None:
    with pytest.raises(InputError, match="scores with data and was given none: name a data set"):
        CRITERIA.get(name)(network, [], torch.Generator().manual_seed(0), 0.5)
