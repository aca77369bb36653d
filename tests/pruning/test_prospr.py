"""ProsPr against differences: what the loss after steps of torch's own SGD is with a weight a little changed."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from prunecheck.data import ScoringData
from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.pruning import find_method, make_ticket, prospr, prunable_weights, snip
from prunecheck.pruning.layers import Scores

CHANGE = 1e-5


def other(batch: Batch, shift: int) -> Batch:
    return batch[0].roll(shift, 0).flip(-1) * (1 + shift / 10), batch[1]


def loss_after_steps(model: nn.Module, batches: list[Batch]) -> Tensor:
    """The loss of the last batch, in training mode, after a step of plain SGD on each of the others."""
    trained = copy.deepcopy(model).train()
    optimizer = torch.optim.SGD([p for p in trained.parameters() if p.requires_grad], lr=0.1)
    for x, y in batches[:-1]:
        optimizer.zero_grad()
        torch.autograd.backward(cross_entropy(trained(x), y))
        optimizer.step()
    x, y = batches[-1]
    return cross_entropy(trained(x), y).detach()


def by_differences(model: nn.Module, batches: list[Batch]) -> Scores:
    scores = {}
    for layer, weight in prunable_weights(model).items():
        slopes = torch.zeros(weight.numel(), dtype=torch.float64)
        flat = weight.data.view(-1)
        for place in range(len(flat)):
            before = float(flat[place])
            losses = []
            for value in (before + CHANGE, before - CHANGE):
                flat[place] = value
                losses.append(loss_after_steps(model, batches))
            flat[place] = before
            slopes[place] = (losses[0] - losses[1]) / (2 * CHANGE)
        scores[layer] = (weight.detach() * slopes.view_as(weight)).abs()
    return scores


def assert_close(ours: Scores, expected: Scores) -> None:
    assert ours.keys() == expected.keys()
    for layer, score in expected.items():
        torch.testing.assert_close(ours[layer], score, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("steps", [1, 3])
def test_scores_are_what_the_loss_after_the_steps_gains_by_a_weight(
    steps: int, small_network: nn.Module, batch: Batch
) -> None:
    batches = [other(batch, shift) for shift in range(steps + 1)]
    ours = prospr(small_network, batches, steps=steps)
    assert_close(ours, by_differences(small_network, batches))
    plain = snip(small_network, batches[-1:])
    assert not torch.allclose(ours["0"], plain["0"], rtol=0.01, atol=0)  # the steps matter


def test_batches_are_seen_again_once_there_are_no_more(small_network: nn.Module, batch: Batch) -> None:
    first, second = batch, other(batch, 1)
    repeated = prospr(small_network, [first, second, first, second], steps=3)
    assert all(torch.equal(score, repeated[layer]) for layer, score in prospr(small_network, [first, second]).items())


def test_what_is_frozen_takes_no_step(small_network: nn.Module, batch: Batch) -> None:
    batches = [batch, other(batch, 1)]
    before = prospr(small_network, batches, steps=1)
    small_network.get_parameter("1.weight").requires_grad_(False)
    small_network.get_parameter("4.weight").requires_grad_(False)
    ours = prospr(small_network, batches, steps=1)
    assert not torch.allclose(ours["4"], before["4"])
    assert_close(ours, by_differences(small_network, batches))


def test_each_step_sees_samples_of_its_own(small_network: nn.Module, batch: Batch) -> None:
    passes: list[int] = []

    class Drawn(list[Batch]):
        def __iter__(self):  # type: ignore[no-untyped-def]
            passes.append(len(passes))
            return iter([other(batch, len(passes))])

    data = ScoringData(samples=[batch], new_samples=Drawn([batch]))
    make_ticket(find_method("prospr@5"), small_network, data, 0.5, torch.Generator())
    drawn = [other(batch, number + 1) for number in passes]
    assert len(drawn) >= 6
    make_ticket(find_method("prospr"), small_network, ScoringData(new_samples=Drawn([batch])), 0.5, torch.Generator())


def test_no_step_is_refused(small_network: nn.Module, batch: Batch) -> None:
    with pytest.raises(InputError, match="at least 1 step, not 0"):
        prospr(small_network, [batch], steps=0)


def test_an_operation_without_second_derivative_is_named(batch: Batch) -> None:
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            return x * 2

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, gradient):  # type: ignore[no-untyped-def]
            return gradient * 2

    class Doubling(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            doubled: Tensor = Once.apply(x)  # type: ignore[no-untyped-call]
            return doubled

    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), Doubling()).double()
    with pytest.raises(InputError, match="prospr needs second derivatives, and a function"):
        prospr(model, [batch])
