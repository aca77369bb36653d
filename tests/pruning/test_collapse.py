import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import allocate, prunable_weights, random_scores
from prunecheck.pruning.collapse import (
    BY_LOT,
    NOT_FINITE,
    Collapse,
    collapse_of_masks,
    collapse_of_scores,
    collapse_of_ties,
    empty_layers,
)
from prunecheck.pruning.layers import Masks, Scores
from prunecheck.pruning.masks import drawn_by_lot

Draw = Callable[[nn.Module, int], nn.Module]

NO_WEIGHT = "no weight is left"
NO_PATH = "no path of kept weights leads from the input to the output"


def dense_masks(model: nn.Module) -> Masks:
    return {layer: torch.ones_like(weight, dtype=torch.bool) for layer, weight in prunable_weights(model).items()}


def random_masks(model: nn.Module, sparsity: float) -> Masks:
    return allocate(random_scores(model, generator=torch.Generator().manual_seed(0)), sparsity)


@pytest.fixture
def chain(draw: Draw) -> nn.Module:
    """Two convolutions of two channels and a linear layer, with biases and a batch norm between them."""
    layers = [nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 2, 1), nn.Flatten(), nn.Linear(2, 2)]
    return draw(nn.Sequential(*layers), 1)


def only(shape: tuple[int, ...], *kept: tuple[int, ...]) -> Tensor:
    mask = torch.zeros(shape, dtype=torch.bool)
    for index in kept:
        mask[index] = True
    return mask


@pytest.mark.parametrize("output_of_first", [0, 1])
@pytest.mark.parametrize("input_of_second", [0, 1])
def test_kept_weights_that_form_no_path_are_found(chain: nn.Module, output_of_first: int, input_of_second: int) -> None:
    masks = {
        "0": only((2, 1, 1, 1), (output_of_first, 0, 0, 0)),
        "3": only((2, 2, 1, 1), (0, input_of_second, 0, 0)),
        "5": only((2, 2), (1, 0)),
    }
    broken = output_of_first != input_of_second
    assert collapse_of_masks(chain, masks, (1, 1, 1)) == (Collapse("5", NO_PATH) if broken else None)


def test_signs_and_biases_neither_make_nor_break_a_path(chain: nn.Module) -> None:
    with torch.no_grad():
        for parameter in chain.parameters():
            parameter.fill_(-1)
    connected = {
        "0": only((2, 1, 1, 1), (0, 0, 0, 0)),
        "3": only((2, 2, 1, 1), (1, 0, 0, 0)),
        "5": only((2, 2), (0, 1)),
    }
    assert collapse_of_masks(chain, connected, (1, 1, 1)) is None
    with torch.no_grad():
        for parameter in chain.parameters():
            parameter.fill_(1)
    assert collapse_of_masks(chain, {**connected, "5": only((2, 2), (0, 0))}, (1, 1, 1)) == Collapse("5", NO_PATH)


def test_zero_weights_and_used_batch_statistics_are_no_obstacle(chain: nn.Module) -> None:
    with torch.no_grad():
        for tensor in chain.state_dict().values():
            tensor.zero_()
    chain.get_buffer("1.running_mean").fill_(1e6)
    assert collapse_of_masks(chain, dense_masks(chain), (1, 1, 1)) is None


def test_a_kernel_position_that_only_ever_meets_the_padding_is_no_path(draw: Draw) -> None:
    model = draw(
        nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2)), 1
    )
    masks = {**dense_masks(model), "0": only((1, 1, 3, 3), (0, 0, 0, 0))}
    assert collapse_of_masks(model, masks, (1, 1, 1)) == Collapse("3", NO_PATH)
    assert collapse_of_masks(model, masks, (1, 2, 2)) is None


def test_the_first_empty_layer_that_cuts_all_paths_is_named(chain: nn.Module) -> None:
    masks = dense_masks(chain)
    masks["3"].zero_()
    masks["5"].zero_()
    collapse = collapse_of_masks(chain, masks, (1, 1, 1))
    assert collapse == Collapse("3", NO_WEIGHT)
    assert str(collapse) == f"3: {NO_WEIGHT}"


@pytest.mark.parametrize("layer", ["layer2.0.conv1", "layer2.0.downsample.0"])
def test_an_empty_layer_is_no_collapse_if_a_shortcut_leads_around_it(layer: str) -> None:
    model = build_model("resnet8", num_classes=3, width=2)
    masks = dense_masks(model)
    masks[layer].zero_()
    assert collapse_of_masks(model, masks, (3, 8, 8)) is None
    assert empty_layers(masks) == [layer]


def test_an_empty_branch_is_not_named_for_what_another_layer_cuts() -> None:
    model = build_model("resnet8", num_classes=3, width=2)
    masks = dense_masks(model)
    masks["layer2.0.downsample.0"].zero_()
    masks["fc"].zero_()
    assert collapse_of_masks(model, masks, (3, 8, 8)) == Collapse("fc", NO_WEIGHT)
    masks["fc"][0, 0] = True
    masks["layer3.0.conv2"][0] = False
    masks["layer3.0.downsample.0"][0] = False
    assert collapse_of_masks(model, masks, (3, 8, 8)) == Collapse("fc", NO_PATH)


def test_both_ways_through_a_block_empty_are_a_collapse() -> None:
    model = build_model("resnet8", num_classes=3, width=2)
    masks = dense_masks(model)
    masks["layer2.0.downsample.0"].zero_()
    masks["layer2.0.conv1"].zero_()
    assert collapse_of_masks(model, masks, (3, 8, 8)) == Collapse("fc", NO_PATH)


def test_a_shortcut_is_a_path() -> None:
    model = build_model("resnet8", num_classes=3, width=2)
    masks = dense_masks(model)
    masks["layer1.0.conv1"] = only((2, 2, 3, 3), (0, 0, 1, 1))
    masks["layer1.0.conv2"] = only((2, 2, 3, 3), (0, 1, 1, 1))
    assert collapse_of_masks(model, masks, (3, 8, 8)) is None


@pytest.mark.parametrize(
    ("name", "width", "sparsity"),
    [("resnet8", 8, 0.9), ("resnet110", 4, 0.0), ("resnet110", 4, 0.5), ("vgg19", 32, 0.0), ("vgg19_bn", 32, 0.5)],
)
def test_a_working_network_is_not_flagged_however_many_paths_it_has(name: str, width: int, sparsity: float) -> None:
    model = build_model(name, num_classes=3, width=width)
    assert collapse_of_masks(model, random_masks(model, sparsity), (3, 16, 16)) is None


def test_counting_paths_leaves_the_network_as_it_was() -> None:
    model = build_model("resnet8", num_classes=3, width=2).train()
    state = copy.deepcopy(model.state_dict())
    masks = random_masks(model, 0.5)
    collapse_of_masks(model, masks, (3, 8, 8))
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert all(module.training and not module._forward_hooks for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())


SCORES: Scores = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([[3.0, 4.0]]), "c": torch.tensor([5.0])}


def test_scores_that_tell_the_weights_apart_are_no_collapse() -> None:
    assert collapse_of_scores(SCORES, allocate(SCORES, 0.4)) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_layer_with_a_score_that_is_not_finite_is_named(value: float) -> None:
    scores = {**SCORES, "b": torch.tensor([[3.0, value]])}
    masks = {layer: torch.ones_like(score, dtype=torch.bool) for layer, score in scores.items()}
    assert collapse_of_scores(scores, masks) == Collapse("b", NOT_FINITE)


def test_equal_scores_are_a_collapse_where_they_are_cut_and_only_there() -> None:
    scores = {**SCORES, "b": torch.tensor([[3.0, 3.0]])}
    cut = collapse_of_scores(scores, allocate(scores, 0.6))
    assert cut is not None
    assert cut.layer == "b"
    assert "all equal" in cut.reason
    assert collapse_of_scores(scores, allocate(scores, 0.4)) is None  # all of b is kept
    assert collapse_of_scores(scores, allocate(scores, 0.8)) is None  # nothing of b is kept


def ties_of(scores: Scores, sparsity: float) -> Collapse | None:
    masks = allocate(scores, sparsity)
    return collapse_of_ties(scores, masks, drawn_by_lot(scores, masks))


def test_a_finished_mask_given_as_scores_cannot_choose_more_than_it_keeps() -> None:
    mask = {"a": (torch.arange(100) % 20 == 0).float(), "b": torch.zeros(100)}  # 2.5 %
    assert ties_of(mask, 0.9) == Collapse("a", BY_LOT)
    assert ties_of(mask, 0.975) is None
    assert ties_of(mask, 0.99) == Collapse("a", BY_LOT)


def test_weights_worth_nothing_may_be_drawn_where_all_others_are_told_apart() -> None:
    scores = {"a": torch.cat([torch.zeros(80), torch.arange(1.0, 21.0)])}
    assert ties_of(scores, 0.3) is None
    assert ties_of({"a": -scores["a"]}, 0.3) == Collapse("a", BY_LOT)  # the best are equal, and not the least


def test_scores_that_are_not_finite_are_named_before_equal_ones() -> None:
    scores = {**SCORES, "a": torch.tensor([1.0, 1.0]), "c": torch.tensor([math.nan])}
    masks = {**{layer: torch.ones_like(s, dtype=torch.bool) for layer, s in scores.items()}, "a": only((2,), (0,))}
    assert collapse_of_scores(scores, masks) == Collapse("c", NOT_FINITE)


@pytest.mark.parametrize(
    ("normalisation", "joins_channels"),
    [
        (nn.BatchNorm2d(2), False),
        (nn.BatchNorm2d(2, track_running_stats=False), False),
        (nn.InstanceNorm2d(2), False),
        (nn.GroupNorm(2, 2), False),
        (nn.GroupNorm(1, 2), True),
        (nn.LayerNorm([2, 4, 4]), True),
    ],
    ids=lambda value: str(value).replace(" ", ""),
)
def test_a_normalisation_makes_a_path_between_the_channels_that_it_joins_and_hides_none(
    normalisation: nn.Module, joins_channels: bool
) -> None:
    layers = [nn.Conv2d(1, 2, 1), normalisation, nn.PReLU(), nn.Conv2d(2, 2, 1), nn.Flatten(), nn.Linear(32, 2)]
    model = nn.Sequential(*layers)
    masks = dense_masks(model)
    assert collapse_of_masks(model, masks, (1, 4, 4)) is None
    parted = masks | {"0": only((2, 1, 1, 1), (0, 0)), "3": only((2, 2, 1, 1), (0, 1), (1, 1))}
    expected = None if joins_channels else Collapse("5", NO_PATH)
    assert collapse_of_masks(model, parted, (1, 4, 4)) == expected
    with torch.no_grad():
        for layer, weight in prunable_weights(model).items():
            weight.mul_(parted[layer])
        images = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        first, second = model.eval()(images)
    assert torch.equal(first, second) is not joins_channels


class Unfollowable(nn.Module):
    """Computes outside of PyTorch, or by what the values are, beside a branch whose paths can be told."""

    def __init__(self, around: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.around = around
        self.linear = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1)) + self.around(x).mean()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "around",
    [
        lambda x: torch.from_numpy(x.numpy() * 2),
        lambda x: torch.tensor(x.sum().item()),
        lambda x: torch.tensor(float(x.tolist()[0][0][0][0])),
        lambda x: x if x.sum() > 0 else x[:0],
        lambda x: x[x > 0.5],
    ],
    ids=["numpy", "number", "list", "condition", "selection"],
)
def test_where_it_is_not_known_nothing_is_said_to_have_collapsed(around: Callable[[Tensor], Tensor]) -> None:
    model = Unfollowable(around)
    masks = {"linear": torch.zeros(2, 4, dtype=torch.bool)}
    assert collapse_of_masks(model, masks, (1, 2, 2)) is None


def test_a_network_that_shows_no_path_with_all_its_weights_has_none_to_lose() -> None:
    class Blind(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(torch.zeros_like(x))  # type: ignore[no-any-return,no-untyped-call]

    model = Blind(nn.Flatten(), nn.Linear(4, 2))
    assert collapse_of_masks(model, {"1": torch.zeros(2, 4, dtype=torch.bool)}, (1, 2, 2)) is None


def test_a_network_that_returns_no_logits_is_refused_and_not_called_collapsed() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.fc(x.flatten(1)), x

    masks = {"fc": torch.ones(3, 4, dtype=torch.bool)}
    with pytest.raises(InputError, match=r"returned a tuple .* must return logits"):
        collapse_of_masks(Pair(), masks, (1, 2, 2))
