from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from prunecheck.data import ScoringData
from prunecheck.data.batches import Batch
from prunecheck.models import build_model
from prunecheck.pruning import (
    CRITERIA,
    Method,
    Training,
    allocate,
    dense_ticket,
    find_method,
    magnitude,
    make_ticket,
    method_names,
    prunable_weights,
    save_ticket,
    sparsity_of,
)
from prunecheck.pruning.layers import Scores

NOTHING = ScoringData()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_method_makes_a_ticket_of_the_sparsity_asked_for(tmp_path: Path) -> None:
    model = build_model("resnet8", num_classes=3, width=8, seed=4)
    data = (torch.randn(12, 3, 8, 8, generator=seeded()), torch.arange(12) % 3)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    given = {Training(): state, Training(epochs=1): state, Training("imp@1", 0.683772): state}
    seen = ScoringData([data], [data], [data], [data])
    file = tmp_path / "ticket.safetensors"
    save_ticket(make_ticket(find_method("random-smart"), model, seen, 0.9, seeded()), file, {})
    whole = {"imp": "imp@2", "weight-rewinding": "weight-rewinding@1", "mask:<path>": f"mask:{file}"}
    whole |= {f"final-{part}-of:<method>": f"final-{part}-of:rigl" for part in ("mask", "ticket")}
    masks = {layer: torch.arange(w.numel()).view(w.shape) % 10 == 0 for layer, w in prunable_weights(model).items()}
    given |= {Training("rigl", 0.9, part="masks"): masks, Training("rigl", 0.9): state}
    for name in method_names():
        method = find_method(whole.get(name, name))
        if method.updates and method.updates.is_gradual:
            continue  # which starts with all weights
        if method.is_after_training:
            continue  # which is of language models
        ticket = make_ticket(method, model, seen, 0.9, seeded(), given=given)
        assert sparsity_of(ticket.masks) == pytest.approx(0.9, abs=0.002)
        assert {layer: mask.shape for layer, mask in ticket.masks.items()} == {
            layer: weight.shape for layer, weight in prunable_weights(model).items()
        }
        # Not masked: a mask that is moved uncovers the weights that it moves to.
        assert ticket.weights.keys() == state.keys()
        assert all(torch.equal(tensor, state[key]) for key, tensor in ticket.weights.items())
        assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())
        assert ticket.collapse is None


def test_a_ticket_shares_no_memory_with_the_network(small_network: nn.Module) -> None:
    for ticket in (
        dense_ticket(small_network),
        make_ticket(find_method("magnitude"), small_network, NOTHING, 0.5, seeded()),
    ):
        live = {tensor.data_ptr() for tensor in small_network.state_dict().values()}
        assert live.isdisjoint(tensor.data_ptr() for tensor in ticket.weights.values())
        assert not any(tensor.requires_grad for tensor in ticket.weights.values())


def test_a_dense_ticket_prunes_nothing(small_network: nn.Module) -> None:
    ticket = dense_ticket(small_network)
    assert ticket.masks == {}
    assert ticket.checked(small_network, (1, 4, 4)).collapse is None
    assert ticket.weights.keys() == small_network.state_dict().keys()


def test_the_masks_are_those_of_the_scores_and_the_allocation(small_network: nn.Module, batch: Batch) -> None:
    snip = find_method("snip")
    ticket = make_ticket(snip, small_network, ScoringData(samples=[batch]), 0.7, seeded())
    expected = allocate(snip.criterion(small_network, [batch], seeded(), 0.7), 0.7, "global")
    assert all(torch.equal(mask, expected[layer]) for layer, mask in ticket.masks.items())
    mine = Method("mine", CRITERIA.get("magnitude"), "uniform")
    uniform = make_ticket(mine, small_network, ScoringData(samples=[batch]), 0.7, seeded()).masks
    assert all(torch.equal(uniform[k], m) for k, m in allocate(magnitude(small_network), 0.7, "uniform").items())


def test_random_methods_place_by_the_generator(small_network: nn.Module) -> None:
    random = find_method("random-uniform")
    first, again, other = (
        make_ticket(random, small_network, NOTHING, 0.7, seeded(seed)).masks["0"] for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.fixture
def trainings(small_network: nn.Module) -> dict[Training, dict[str, Tensor]]:
    """The weights after all epochs, and after the third, of one training; no two tensors are alike."""
    given = {}
    for number, training in enumerate((Training(), Training(epochs=3))):
        source = seeded(10 + number)
        given[training] = {
            name: torch.randn(tensor.shape, generator=source, dtype=torch.float64).to(tensor.dtype)
            for name, tensor in small_network.state_dict().items()
        }
    return given


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("text", "start"),
    [("lt", None), ("lr-rewinding", Training()), ("weight-rewinding@3", Training(epochs=3)), ("imp@1", None)],
)
def test_what_was_trained_is_scored_and_training_starts_where_the_method_says(
    text: str, start: Training | None, small_network: nn.Module, trainings: dict[Training, dict[str, Tensor]]
) -> None:
    initial = {name: tensor.clone() for name, tensor in small_network.state_dict().items()}
    ticket = make_ticket(find_method(text), small_network, NOTHING, 0.25, seeded(), given=trainings)
    # Of 18 + 24 weights 32 stay: all of the linear layer, and the 8 largest of the convolution.
    largest = trainings[Training()]["0.weight"].abs().flatten().argsort(descending=True)[:8]
    assert set(ticket.masks["0"].flatten().nonzero().flatten().tolist()) == set(largest.tolist())
    assert bool(ticket.masks["4"].all())
    assert same(ticket.weights, initial if start is None else trainings[start])
    assert same(dict(small_network.state_dict()), initial)
    live = {tensor.data_ptr() for given in trainings.values() for tensor in given.values()}
    assert live.isdisjoint(tensor.data_ptr() for tensor in ticket.weights.values())


def test_the_ratios_of_another_method_are_its_own_to_the_weight(small_network: nn.Module, batch: Batch) -> None:
    for sparsity in (0.1, 0.3, 0.5, 0.7, 0.9):
        data = ScoringData(samples=[batch])
        snip = make_ticket(find_method("snip"), small_network, data, sparsity, seeded())
        random = make_ticket(find_method("random-ratios-of:snip"), small_network, data, sparsity, seeded())
        assert {k: int(m.sum()) for k, m in random.masks.items()} == {k: int(m.sum()) for k, m in snip.masks.items()}
        assert sparsity < 0.2 or not same(random.masks, snip.masks)


def test_the_ratios_of_a_trained_ticket_are_those_of_its_trained_weights(
    small_network: nn.Module, trainings: dict[Training, dict[str, Tensor]]
) -> None:
    method = find_method("magnitude-ratios-of:lt")
    masks = make_ticket(method, small_network, NOTHING, 0.25, seeded(), given=trainings).masks
    largest = small_network.state_dict()["0.weight"].abs().flatten().argsort(descending=True)[:8]
    assert set(masks["0"].flatten().nonzero().flatten().tolist()) == set(largest.tolist())
    assert bool(masks["4"].all())


def test_scores_are_changed_before_the_mask_is_made_of_them(small_network: nn.Module) -> None:
    given: list[Scores] = []

    def first_come(scores: Scores) -> Scores:
        given.append(scores)
        return {layer: -torch.arange(s.numel(), dtype=s.dtype).view(s.shape) for layer, s in scores.items()}

    ticket = make_ticket(
        find_method("magnitude-uniform"), small_network, NOTHING, 0.5, seeded(), change_scores=first_come
    )
    assert same(given[0], magnitude(small_network))
    for layer, mask in ticket.masks.items():
        kept = int(mask.sum())
        assert mask.flatten().tolist() == [True] * kept + [False] * (mask.numel() - kept), layer


def test_changed_scores_that_choose_nothing_are_a_collapse(small_network: nn.Module) -> None:
    ticket = make_ticket(
        find_method("magnitude"),
        small_network,
        NOTHING,
        0.9,
        seeded(),
        change_scores=lambda scores: {layer: torch.zeros_like(score) for layer, score in scores.items()},
    )
    assert ticket.collapse is not None


def test_a_ticket_is_moved_to_the_cpu_whole(small_network: nn.Module) -> None:
    ticket = make_ticket(find_method("magnitude"), small_network, NOTHING, 0.5, seeded(), lambda seed: {})
    moved = ticket.on_cpu()
    assert same(moved.weights, ticket.weights)
    assert same(moved.masks, ticket.masks)
    assert (moved.draw_weights, moved.collapse) == (ticket.draw_weights, ticket.collapse)
