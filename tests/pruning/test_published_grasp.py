"""GraSP as its authors run it: the linear layers' weights are drawn anew before it scores."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from prunecheck.data import ScoringData
from prunecheck.data.batches import Batch
from prunecheck.models import build_model
from prunecheck.pruning import CRITERIA, allocate, find_method, grasp, make_ticket
from prunecheck.pruning.layers import Scores
from prunecheck.randomness import generator


def seeded(seed: int = 0) -> torch.Generator:
    return generator(seed, "mask placement")


def published(model: nn.Module, batch: Batch, draws: torch.Generator) -> Scores:
    return CRITERIA.get("grasp")(model, [batch], draws, 0.9)


def redrawn_weights(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Return the linear weights that the network is scored with, by their shape."""
    found: dict[str, Tensor] = {}

    def remember(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, nn.Linear)
        found[str(tuple(layer.weight.shape))] = layer.weight.detach().clone()

    handles = [m.register_forward_pre_hook(remember) for m in model.modules() if isinstance(m, nn.Linear)]
    published(model, batch, seeded())
    for handle in handles:
        handle.remove()
    return found


def two_linear_layers() -> nn.Module:
    model = nn.Sequential(
        nn.Conv2d(1, 30, 3), nn.ReLU(), nn.Flatten(), nn.Linear(120, 90), nn.ReLU(), nn.Linear(90, 60)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(2)).mul_(0.05)
    return model


@pytest.fixture
def single(batch: Batch) -> Batch:
    return batch[0].float(), batch[1]


def test_linear_weights_are_drawn_anew_with_the_deviation_of_xavier(single: Batch) -> None:
    found = redrawn_weights(two_linear_layers(), single)
    for inputs, outputs in ((120, 90), (90, 60)):
        weight = found[str((outputs, inputs))]
        assert float(weight.std()) == pytest.approx(math.sqrt(2 / (inputs + outputs)), rel=0.05)
        assert abs(float(weight.mean())) < 5 * float(weight.std()) / math.sqrt(weight.numel())


def test_the_scores_are_those_of_grasp_with_these_linear_weights_and_the_convolutions_own(single: Batch) -> None:
    model = two_linear_layers()
    redrawn = copy.deepcopy(model)
    weights = redrawn_weights(model, single)
    for module in redrawn.modules():
        if isinstance(module, nn.Linear):
            module.weight.data = weights[str(tuple(module.weight.shape))]
    expected, scores = grasp(redrawn, [single]), published(model, single, seeded())
    assert all(torch.equal(scores[layer], score) for layer, score in expected.items())
    assert not torch.equal(scores["0"], grasp(model, [single])["0"])


def test_the_redraw_has_a_generator_of_its_own(single: Batch) -> None:
    model = two_linear_layers()
    used, fresh = seeded(), seeded()
    torch.rand(100, generator=used)
    before = used.get_state()
    first, again, other = (published(model, single, draws) for draws in (used, fresh, seeded(1)))
    assert torch.equal(used.get_state(), before)
    assert all(torch.equal(score, again[layer]) for layer, score in first.items())
    assert not torch.equal(first["3"], other["3"])


def test_the_ticket_starts_from_the_network_s_own_weights(single: Batch) -> None:
    model = two_linear_layers()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    ticket = make_ticket(find_method("grasp"), model, ScoringData(samples=[single]), 0.8, seeded())
    assert all(torch.equal(ticket.weights[name], tensor) for name, tensor in weights.items())
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    scores = published(model, single, seeded())
    assert all(torch.equal(mask, ticket.masks[layer]) for layer, mask in allocate(scores, 0.8).items())


def test_random_tickets_have_the_ratios_of_grasp_s_ticket_of_the_same_seed(single: Batch) -> None:
    model, data = two_linear_layers(), ScoringData(samples=[single])
    own, random = (
        make_ticket(find_method(name), model, data, 0.8, seeded()) for name in ("grasp", "random-ratios-of:grasp")
    )
    kept = {layer: int(mask.sum()) for layer, mask in own.masks.items()}
    assert {layer: int(mask.sum()) for layer, mask in random.masks.items()} == kept


def test_a_small_linear_layer_is_kept_with_the_redraw_and_not_without() -> None:
    # As in the published networks, whose linear layer is N(0, 0.01).
    model = build_model("resnet8", num_classes=10, seed=0, width=8)
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(40, 3, 16, 16, generator=draws) + (torch.arange(40) % 10 / 10)[:, None, None, None]
    data = ScoringData(samples=[(x, torch.arange(40) % 10)])
    ratios = {}
    for name in ("grasp", "grasp-without-redraw"):
        mask = make_ticket(find_method(name), model, data, 0.95, seeded()).masks["fc"]
        ratios[name] = float(mask.float().mean())
    assert ratios["grasp-without-redraw"] < 0.05 < 5 * ratios["grasp-without-redraw"] + 0.1 < ratios["grasp"]
