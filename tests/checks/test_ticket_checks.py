from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, permutations, product
from typing import cast

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from prunecheck.checks import CHECKS, find_check, rearrange_mask, reinit, shuffle_weights
from prunecheck.checks.scores import invert_scores
from prunecheck.checks.ticket import ratios_only
from prunecheck.data import ScoringData
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import CRITERIA, Method, Ticket, allocate, find_method, magnitude, make_ticket
from prunecheck.pruning.layers import weight_name
from prunecheck.pruning.tickets import Weights, copy_weights

Change = Callable[[Ticket, torch.Generator], Ticket]

TICKET_CHECKS = [entry.name for entry in CHECKS if entry.item.changes == "ticket" and entry.name != "no-update"]
DRAWS = 3000
LEAST_P = 1e-4
"""Of a right check one seed in ten thousand fails; the seeds here are fixed."""


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw_weights(seed: int) -> Weights:
    return copy_weights(build_model("resnet8", num_classes=5, width=8, seed=seed))


@pytest.fixture
def ticket() -> Ticket:
    """A pruned network whose weights are as after some training: every tensor has other values."""
    model = build_model("resnet8", num_classes=5, width=8)
    generator = seeded(1)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.add_(torch.rand(tensor.shape, generator=generator) / 100)
    anywhere = Method("anywhere", CRITERIA.get("random"), "global")
    ticket = make_ticket(anywhere, model, ScoringData(), 0.7, generator, draw_weights)
    ticket.masks["layer3.0.conv1"][:] = True
    ticket.masks["layer3.0.downsample.0"][:] = False
    return ticket


def is_partial(mask: Tensor) -> bool:
    return bool(mask.any()) and not bool(mask.all())


def partial_layers(ticket: Ticket) -> list[str]:
    return [layer for layer, mask in ticket.masks.items() if is_partial(mask)]


def copy_of(ticket: Ticket) -> Ticket:
    weights = {name: tensor.clone() for name, tensor in ticket.weights.items()}
    return Ticket(weights, {layer: mask.clone() for layer, mask in ticket.masks.items()}, ticket.draw_weights)


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in first)


def effective(ticket: Ticket, layer: str) -> Tensor:
    return ticket.weights[weight_name(layer)] * ticket.masks[layer]


def changed(name: str, ticket: Ticket, seed: int) -> Ticket:
    return cast(Ticket, CHECKS.get(name).function(ticket, seeded(seed)))


@pytest.mark.parametrize("name", TICKET_CHECKS)
def test_every_ticket_check_changes_every_pruned_layer_of_the_network_that_is_trained(
    name: str, ticket: Ticket
) -> None:
    after = changed(name, ticket, 1)
    assert len(partial_layers(ticket)) == 8
    assert not any(torch.equal(effective(ticket, layer), effective(after, layer)) for layer in partial_layers(ticket))


@pytest.mark.parametrize("name", TICKET_CHECKS)
def test_every_ticket_check_leaves_its_argument_as_it_was(name: str, ticket: Ticket) -> None:
    before = copy_of(ticket)
    changed(name, ticket, 1)
    assert equal(ticket.weights, before.weights)
    assert equal(ticket.masks, before.masks)


@pytest.mark.parametrize("name", TICKET_CHECKS)
def test_every_ticket_check_depends_on_its_generator_alone(name: str, ticket: Ticket) -> None:
    first, again, other = (changed(name, ticket, seed) for seed in (1, 1, 2))
    assert equal(first.weights, again.weights)
    assert equal(first.masks, again.masks)
    assert not (equal(first.weights, other.weights) and equal(first.masks, other.masks))


@pytest.mark.parametrize("change", [rearrange_mask, ratios_only])
def test_another_mask_keeps_as_many_of_each_layer_at_other_places(change: Change, ticket: Ticket) -> None:
    after = change(ticket, seeded(1))
    assert list(after.masks) == list(ticket.masks)
    for layer, mask in ticket.masks.items():
        moved = after.masks[layer]
        assert (moved.shape, moved.dtype, int(moved.sum())) == (mask.shape, torch.bool, int(mask.sum()))
        assert torch.equal(moved, mask) is not is_partial(mask)
    assert after.weights is ticket.weights
    assert after.draw_weights is ticket.draw_weights


@pytest.mark.parametrize("change", [rearrange_mask, ratios_only])
def test_another_mask_has_no_more_in_common_with_the_mask_than_chance(change: Change, ticket: Ticket) -> None:
    after = change(ticket, seeded(1))
    for layer in partial_layers(ticket):
        mask, size = ticket.masks[layer], ticket.masks[layer].numel()
        kept = int(mask.sum())
        common = int((mask & after.masks[layer]).sum())
        chance = stats.hypergeom(size, kept, kept)
        assert chance.cdf(common) > LEAST_P
        assert chance.sf(common - 1) > LEAST_P


def tiny(**kept: list[int]) -> Ticket:
    """Return a ticket of layers of five weights 0 to 4 that keeps the given ones."""
    masks = {layer: torch.tensor([i in indices for i in range(5)]) for layer, indices in kept.items()}
    return Ticket({weight_name(layer): torch.arange(5.0) for layer in kept}, masks)


def kept_places(ticket: Ticket, layer: str) -> tuple[int, ...]:
    return tuple(ticket.masks[layer].nonzero().flatten().tolist())


def assert_equally_likely(seen: Counter[tuple[int, ...]], possible: list[tuple[int, ...]]) -> None:
    assert seen.keys() <= set(possible)
    assert stats.chisquare([seen[outcome] for outcome in possible]).pvalue > LEAST_P


@pytest.mark.parametrize("change", [rearrange_mask, ratios_only])
def test_another_mask_is_every_mask_of_its_size_equally_often(change: Change) -> None:
    generator, start = seeded(2), tiny(a=[0, 1])
    seen = Counter(kept_places(change(start, generator), "a") for _ in range(DRAWS))
    assert_equally_likely(seen, list(combinations(range(5), 2)))


@pytest.mark.parametrize("change", [rearrange_mask, ratios_only])
def test_layers_have_other_masks_each_by_itself(change: Change) -> None:
    generator, start = seeded(2), tiny(a=[0], b=[0])
    rearranged = (change(start, generator) for _ in range(DRAWS))
    seen = Counter(kept_places(ticket, "a") + kept_places(ticket, "b") for ticket in rearranged)
    assert_equally_likely(seen, list(product(range(5), repeat=2)))


def test_shuffled_weights_are_the_kept_values_of_each_layer_at_other_places(ticket: Ticket) -> None:
    after = shuffle_weights(ticket, seeded(1))
    assert equal(after.masks, ticket.masks)
    assert list(after.weights) == list(ticket.weights)
    for layer, mask in ticket.masks.items():
        before, moved = ticket.weights[weight_name(layer)], after.weights[weight_name(layer)]
        assert torch.equal(moved[~mask], before[~mask])
        assert torch.equal(moved[mask].sort().values, before[mask].sort().values)
        if mask.any():
            # Of a random permutation one value stays in its place on average.
            assert int((moved[mask] == before[mask]).sum()) <= 7
    assert after.draw_weights is ticket.draw_weights


def test_shuffling_weights_touches_no_bias_and_no_batch_norm(ticket: Ticket) -> None:
    after = shuffle_weights(ticket, seeded(1))
    pruned = {weight_name(layer) for layer in ticket.masks}
    others = ticket.weights.keys() - pruned
    assert {"fc.bias", "bn1.weight", "layer1.0.bn1.running_mean", "bn1.num_batches_tracked"} <= others
    assert all(after.weights[name] is ticket.weights[name] for name in others)


def test_kept_weights_take_every_order_equally_often() -> None:
    generator, start = seeded(2), tiny(a=[0, 2, 3])
    shuffled = (shuffle_weights(start, generator).weights["a.weight"] for _ in range(DRAWS))
    seen = Counter(tuple(int(value) for value in weights.tolist()) for weights in shuffled)
    assert_equally_likely(seen, [(a, 1, b, c, 4) for a, b, c in permutations((0, 2, 3))])


def test_layers_are_shuffled_each_by_itself() -> None:
    generator, start = seeded(2), tiny(a=[0, 1, 2], b=[0, 1, 2])
    shuffled = (shuffle_weights(start, generator).weights for _ in range(DRAWS))
    seen = Counter(
        tuple(int(v) for v in weights["a.weight"][:3].tolist() + weights["b.weight"][:3].tolist())
        for weights in shuffled
    )
    assert_equally_likely(seen, [a + b for a, b in product(permutations(range(3)), repeat=2)])


def test_reinitialised_weights_are_another_draw_of_the_same_distribution(ticket: Ticket) -> None:
    after = reinit(ticket, seeded(1))
    assert after.masks is ticket.masks
    initial = draw_weights(0)
    assert list(after.weights) == list(ticket.weights)
    for layer in ticket.masks:
        drawn, first = after.weights[weight_name(layer)], initial[weight_name(layer)]
        assert drawn.shape == first.shape
        assert not bool((drawn == first).any())
        assert stats.ks_2samp(drawn.flatten().numpy(), first.flatten().numpy()).pvalue > LEAST_P
        correlation = torch.corrcoef(torch.stack([drawn.flatten(), first.flatten()]))[0, 1]
        assert abs(float(correlation)) < 5 / drawn.numel() ** 0.5
    assert torch.equal(after.weights["bn1.running_mean"], initial["bn1.running_mean"])


def test_reinitialisation_needs_to_know_how_weights_are_drawn(ticket: Ticket) -> None:
    with pytest.raises(InputError, match="give it draw_weights"):
        reinit(Ticket(ticket.weights, ticket.masks), seeded(1))


@pytest.mark.parametrize("change", [rearrange_mask, ratios_only, shuffle_weights])
def test_a_network_of_one_layer_without_a_name_can_be_checked(change: Change) -> None:
    model = nn.Linear(40, 5)
    model.weight.data = torch.randn(5, 40, generator=seeded(0))
    ticket = make_ticket(find_method("magnitude"), model, ScoringData(), 0.5, seeded(1))
    after = change(ticket, seeded(2))
    assert after.weights.keys() == {"weight", "bias"}
    assert not torch.equal(effective(after, ""), effective(ticket, ""))


def test_the_mask_of_ratios_only_does_not_depend_on_the_mask_but_for_its_ratios(ticket: Ticket) -> None:
    upside_down = replace(ticket, masks={layer: mask.flip(0) for layer, mask in ticket.masks.items()})
    assert not equal(upside_down.masks, ticket.masks)
    assert equal(ratios_only(ticket, seeded(1)).masks, ratios_only(upside_down, seeded(1)).masks)


def test_inverted_scores_keep_the_lowest() -> None:
    model = build_model("resnet8", num_classes=5, width=2)
    scores = magnitude(model)
    before = {layer: score.clone() for layer, score in scores.items()}
    masks = allocate(invert_scores(scores, seeded(0)), 0.75)
    assert equal(scores, before)
    everything = torch.cat([score.flatten() for score in scores.values()])
    kept = torch.cat([scores[layer][mask] for layer, mask in masks.items()])
    assert torch.equal(kept.sort().values, everything.sort().values[: round(len(everything) * 0.25)])


def test_a_ticket_of_inverted_scores_keeps_the_lowest_and_starts_from_the_same_weights() -> None:
    model = build_model("resnet8", num_classes=5, width=2)
    change = find_check("invert-scores")
    usual, inverted = (
        make_ticket(
            find_method("magnitude-uniform"),
            model,
            ScoringData(),
            0.5,
            seeded(0),
            change_scores=lambda scores, change=done: change.change_scores(scores, 0),  # type: ignore[misc]
        )
        for done in (find_check(None), change)
    )
    assert equal(usual.weights, inverted.weights)
    for layer, mask in inverted.masks.items():
        weights = usual.weights[weight_name(layer)].abs()
        assert int(mask.sum()) == int(usual.masks[layer].sum()) > 0
        assert float(weights[mask].max()) <= float(weights[~mask].min())
