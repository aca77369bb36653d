import copy
import importlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from prunecheck.data import ScoringData
from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import allocate, find_method, make_ticket, ntk_sap, prunable_weights
from prunecheck.pruning.layers import Masks
from prunecheck.pruning.ntk_sap import _batch_sizes, _Draw, _draws
from prunecheck.pruning.tickets import Weights

MODULE = importlib.import_module("prunecheck.pruning.ntk_sap")
"""The package has the function under this name."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shaped(*shape: int, value: float = 0.0) -> list[Batch]:
    return [(torch.full((1, *shape), value), torch.zeros(1, dtype=torch.int64))]


def draw_weights(seed: int) -> Weights:
    return {name: value.double() for name, value in build_model("resnet8", 3, seed, width=2).state_dict().items()}


@pytest.fixture
def network() -> nn.Module:
    return build_model("resnet8", 3, 7, width=2, input_channels=3).double()


def flat(masks: Masks) -> Tensor:
    return torch.cat([mask.flatten() for mask in masks.values()])


def test_one_layer_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    # The outputs differ by the perturbations alone: sums of rows 1*1 + 2*2 = 5 and 3*1 + 4*2 = 11. Of their squares,
    # the slope in the mask is 2 * sum * perturbation * input.
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False)).double()
    perturbation = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    inputs = torch.tensor([[[[1.0, 2.0]]]], dtype=torch.float64)
    weights = {"1.weight": torch.tensor([[5.0, -1.0], [0.0, 2.0]], dtype=torch.float64)}
    draw = _Draw(weights, {"1": perturbation}, inputs)
    monkeypatch.setattr(MODULE, "_draws", lambda *_: iter([draw, draw]))
    scores = ntk_sap(model, shaped(1, 1, 2), generator=seeded(), sparsity=0.0, rounds=1)["1"]
    torch.testing.assert_close(scores, 2 * torch.tensor([[10.0, 40.0], [66.0, 176.0]], dtype=torch.float64))


def published_gradient(model: nn.Module, masks: Masks, draws: list[_Draw]) -> Masks:
    """The slope in the masks, by the statistics of each draw's own inputs."""
    leaves = {layer: mask.clone().requires_grad_() for layer, mask in masks.items()}

    def output(network: nn.Module, draw: _Draw, size: float) -> Tensor:
        given = dict(draw.parameters)
        for layer, leaf in leaves.items():
            given[f"{layer}.weight"] = (draw.parameters[f"{layer}.weight"] + size * draw.perturbations[layer]) * leaf
        found: Tensor = torch.func.functional_call(network, given, (draw.inputs.double(),))
        return found

    for draw in draws:
        network = copy.deepcopy(model)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the mean over what was seen since the reset: one batch
                module.reset_running_stats()
        output(network.train(), draw, 0.0)
        network.eval()
        (torch.norm(output(network, draw, 0.0) - output(network, draw, 1.0), dim=-1) ** 2).sum().backward()
    return {layer: leaf.grad for layer, leaf in leaves.items() if leaf.grad is not None}


def published_loop(model: nn.Module, rounds: list[list[_Draw]], sparsity: float) -> Masks:
    """The published loop, with masks kept by hand: removed weights score 0, what lies at the threshold goes."""
    masks = {layer: torch.ones_like(weight) for layer, weight in prunable_weights(model).items()}
    total = sum(mask.numel() for mask in masks.values())
    for number, draws in enumerate(rounds, start=1):
        score = (flat(published_gradient(model, masks, draws)) * flat(masks)).abs()
        removed = int((1.0 - (1 - sparsity) ** (number / len(rounds))) * total)
        kept = score > score.kthvalue(removed).values
        parts = torch.split(kept.double(), [mask.numel() for mask in masks.values()])
        masks = {layer: part.view_as(masks[layer]) for layer, part in zip(masks, parts, strict=True)}
    return masks


def test_rounds_are_those_of_the_published_loop(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[list[_Draw]] = []

    def kept(*arguments: object) -> object:
        rounds.append(list(_draws(*arguments)))  # type: ignore[arg-type]
        return iter(rounds[-1])

    monkeypatch.setattr(MODULE, "_draws", kept)
    scores = ntk_sap(network, shaped(3, 6, 6), generator=seeded(), sparsity=0.8, draw_weights=draw_weights, rounds=4)
    assert [len(draws) for draws in rounds] == [5] * 4
    drawn = [draw.parameters["conv1.weight"] for draws in rounds for draw in draws]
    assert len({float(weight.sum()) for weight in drawn}) == 20
    assert torch.equal(flat(allocate(scores, 0.8)), flat(published_loop(network, rounds, 0.8)).bool())


def test_inputs_are_ten_for_each_class_in_batches_of_256() -> None:
    assert _batch_sizes(10) == [100] * 5
    assert _batch_sizes(100) == [256, 256, 256, 232]
    assert _batch_sizes(128) == [256] * 5


def test_neither_data_nor_weights_have_a_part_in_it(network: nn.Module) -> None:
    def scores(seed: int = 0, value: float = 0.0, draw: Callable[[int], Weights] | None = draw_weights) -> Tensor:
        found = ntk_sap(
            network, shaped(3, 6, 6, value=value), generator=seeded(seed), sparsity=0.5, draw_weights=draw, rounds=2
        )
        return flat(found)

    before, of_own = scores(), scores(draw=None)
    assert torch.equal(scores(value=3.0), before)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(-2)
    assert torch.equal(scores(), before)
    # Controls: with the model's own weights these count, and another seed has other draws.
    assert not torch.equal(scores(draw=None), of_own)
    assert not torch.equal(scores(seed=1), before)


def test_the_method_is_given_how_weights_are_drawn(network: nn.Module) -> None:
    seeds = []

    def counted(seed: int) -> Weights:
        seeds.append(seed)
        return draw_weights(seed)

    data = ScoringData(shape_only=shaped(3, 6, 6))
    ticket = make_ticket(find_method("ntk-sap@2"), network, data, 0.9, seeded(), counted)
    assert len(set(seeds)) == 10
    assert torch.equal(ticket.weights["conv1.weight"], network.get_parameter("conv1.weight"))
    kept = sum(int(mask.sum()) for mask in ticket.masks.values())
    assert kept == round(0.1 * sum(mask.numel() for mask in ticket.masks.values()))


def test_no_rounds_are_refused(network: nn.Module) -> None:
    with pytest.raises(InputError, match="at least 1 round, not 0"):
        ntk_sap(network, shaped(3, 6, 6), generator=seeded(), sparsity=0.5, rounds=0)
