"""Networks that compute in other numbers than float32 are trained in these."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from prunecheck.data import Dataset, ScoringData
from prunecheck.pruning import Ticket, dense_ticket, find_method, make_ticket
from prunecheck.training import Acceleration, Recipe, train

RECIPE = Recipe(epochs=2, batch_size=16, learning_rate=0.02)

DENSELY = Acceleration(sparse_convolutions=False, channels_last=False)
TWO_AT_ONCE = replace(DENSELY, tickets_at_once=2)
KEPT_WEIGHTS_ONLY = Acceleration(channels_last=False)


def pruned(network: nn.Module) -> Ticket:
    return make_ticket(find_method("magnitude"), network, ScoringData(), 0.9, torch.Generator())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_a_ticket_is_trained_in_the_dtype_of_its_network(
    network: nn.Module, few_digits: Dataset, dtype: torch.dtype
) -> None:
    network = network.to(dtype)
    ticket = pruned(network)
    (record,) = train([ticket], network, few_digits, RECIPE, [1], acceleration=DENSELY)
    assert not record.diverged
    assert len(record.metrics) == RECIPE.epochs
    floating = {name: value for name, value in record.weights.items() if value.is_floating_point()}
    assert {value.dtype for value in floating.values()} == {dtype}
    assert any(bool((value != ticket.weights[name]).any()) for name, value in floating.items())
    for layer, mask in ticket.masks.items():
        assert not record.weights[f"{layer}.weight"][~mask].any()


@pytest.mark.parametrize(
    "acceleration", [DENSELY, replace(DENSELY, tickets_at_once=2), Acceleration(channels_last=False)]
)
def test_float64_ends_where_float32_does_but_for_rounding(
    network: nn.Module, few_digits: Dataset, acceleration: Acceleration
) -> None:
    wide = copy.deepcopy(network).double()
    tickets = [dense_ticket(network), pruned(network)]
    same = [
        Ticket({name: value.to(wide.state_dict()[name].dtype) for name, value in ticket.weights.items()}, ticket.masks)
        for ticket in tickets
    ]
    whole = replace(acceleration, thin_curves=False)
    narrow = train(tickets, network, few_digits, RECIPE, [1, 1], acceleration=whole)
    precise = train(same, wide, few_digits, RECIPE, [1, 1], acceleration=whole)
    for expected, found in zip(narrow, precise, strict=True):
        for row, other in zip(expected.metrics, found.metrics, strict=True):
            assert math.isclose(row.train_loss, other.train_loss, rel_tol=1e-3)
            assert math.isclose(row.test_loss or 0, other.test_loss or 1, rel_tol=1e-3)


def test_the_loss_of_half_precision_is_taken_in_float32(network: nn.Module, few_digits: Dataset) -> None:
    """Half precision ends at 65,504, and its steps at a loss of 2 are of 0.002."""
    network = network.half()
    (record,) = train([dense_ticket(network)], network, few_digits, RECIPE, [1], acceleration=DENSELY)
    loss = record.metrics[0].train_loss * len(few_digits.train.labels)
    assert loss != float(torch.tensor(loss, dtype=torch.float16))
