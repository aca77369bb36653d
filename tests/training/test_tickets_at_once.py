import gc
import logging
import random
import weakref
from collections.abc import Callable
from dataclasses import replace

import numpy
import pytest
import torch
from torch import Tensor, nn

from prunecheck.data import Batches, Dataset, ScoringData, scoring_samples
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import Ticket, dense_ticket, find_method, make_ticket
from prunecheck.randomness import generator, global_states
from prunecheck.training import Acceleration, Checkpoint, Recipe, Record, train
from prunecheck.training.acceleration import most_at_once
from prunecheck.training.gpu import CapturedWork, held_by_memory
from prunecheck.training.loop import Training, train_epochs, try_out
from prunecheck.training.network import DenseNetwork, draws_random_numbers, may_draw_random_numbers
from prunecheck.training.optimizer import Rate
from prunecheck.training.shared_training import SharedTraining
from prunecheck.training.stream import HostStream, Work
from tests.training.dropout import WithDropout

RECIPE = Recipe(epochs=3, batch_size=16, milestones=(1, 2))
DENSELY = Acceleration(sparse_convolutions=False, thin_curves=False)

SEEDS = (0, 1, 2, 0)


@pytest.fixture
def tickets(network: nn.Module, few_digits: Dataset) -> list[Ticket]:
    """Dense, diverging in its first epoch, and of two masks."""
    data = ScoringData(samples=scoring_samples(few_digits.train, few_digits, 3, 1, seed=0))
    snip, random = (
        make_ticket(find_method(name), network, data, 0.8, generator(0, "mask placement"))
        for name in ("snip", "random-uniform")
    )
    dense = dense_ticket(network)
    huge = {name: tensor * 1e30 if name == "fc.weight" else tensor for name, tensor in dense.weights.items()}
    return [dense, replace(dense, weights=huge), snip, random]


def assert_same(found: Record, meant: Record) -> None:
    assert repr(found.metrics) == repr(meant.metrics)  # nan is not equal to itself
    assert found.diverged == meant.diverged
    torch.testing.assert_close(found.weights, meant.weights, rtol=0, atol=0, equal_nan=True)


@pytest.fixture
def alone(tickets: list[Ticket], network: nn.Module, few_digits: Dataset) -> list[Record]:
    return train(tickets, network, few_digits, RECIPE, SEEDS, acceleration=DENSELY)


@pytest.mark.parametrize("at_once", [2, 3, 4, 50])
def test_a_ticket_ends_the_same_bit_for_bit_alone_or_among_others(
    tickets: list[Ticket], alone: list[Record], network: nn.Module, few_digits: Dataset, at_once: int
) -> None:
    calls: list[tuple[int, int]] = []
    before = torch.get_rng_state()
    together = train(
        tickets,
        network,
        few_digits,
        RECIPE,
        SEEDS,
        on_epoch=lambda index, c: calls.append((index, len(c.metrics))),
        acceleration=replace(DENSELY, tickets_at_once=at_once),
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert [record.diverged for record in together] == [False, True, False, False]
    for found, meant in zip(together, alone, strict=True):
        assert_same(found, meant)
    assert sorted(calls) == [(0, 1), (0, 2), (0, 3), (1, 1), (2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (3, 3)]
    if at_once == 2:  # the third takes the place of the one that diverges, and the fourth that of the first
        assert calls.index((1, 1)) < calls.index((2, 1)) < calls.index((0, 3)) < calls.index((3, 1))
    else:
        assert [epoch for _, epoch in calls[: min(at_once, 4)]] == [1] * min(at_once, 4)


def test_tickets_that_go_on_from_different_epochs_end_as_uninterrupted(
    tickets: list[Ticket], alone: list[Record], network: nn.Module, few_digits: Dataset
) -> None:
    seen: dict[tuple[int, int], Checkpoint] = {}
    train(
        tickets,
        network,
        few_digits,
        RECIPE,
        SEEDS,
        on_epoch=lambda index, c: seen.__setitem__((index, len(c.metrics)), c),
        acceleration=replace(DENSELY, tickets_at_once=4),
    )
    calls: list[tuple[int, int]] = []
    resumed = train(
        tickets,
        network,
        few_digits,
        RECIPE,
        SEEDS,
        checkpoints=[seen[0, 2], seen[1, 1], None, seen[3, 3]],
        on_epoch=lambda index, c: calls.append((index, len(c.metrics))),
        acceleration=replace(DENSELY, tickets_at_once=4),
    )
    for found, meant in zip(resumed, alone, strict=True):
        assert_same(found, meant)
    assert calls == [(0, 3), (2, 1), (2, 2), (2, 3)]


def test_no_more_tickets_than_asked_for_are_on_the_device_at_once(
    tickets: list[Ticket], network: nn.Module, few_digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: weakref.WeakSet[DenseNetwork] = weakref.WeakSet()
    most = 0

    class Counted(DenseNetwork):
        def step(self, learning_rate: Rate) -> None:
            nonlocal most
            alive.add(self)
            most = max(most, len(alive))
            super().step(learning_rate)

    monkeypatch.setattr("prunecheck.training.network_builder.DenseNetwork", Counted)
    gc.disable()
    try:
        train(
            tickets,
            network,
            few_digits,
            RECIPE,
            SEEDS,
            acceleration=replace(DENSELY, tickets_at_once=2),
        )
    finally:
        gc.enable()
    assert most == 2


class Forgetful(HostStream):
    """Its recorded work holds what a graph holds: the tensors, and not the function."""

    def repeated(self, work: Work) -> Work:
        return CapturedWork(work, lambda _: lambda: None)


def test_what_a_training_holds_is_free_as_soon_as_it_is_dropped(network: nn.Module, few_digits: Dataset) -> None:
    batches = Batches(few_digits.train, few_digits, 16)
    trained = DenseNetwork(dense_ticket(network), network, RECIPE, "cpu", torch.contiguous_format)
    training = train_epochs(Training(trained, RECIPE, 0), batches, batches, Forgetful(), lambda: None, alone=False)
    for _ in range(len(batches) + 1):
        next(training)
    held = weakref.ref(trained)
    del trained
    gc.disable()
    try:
        del training
        assert held() is None
    finally:
        gc.enable()


def test_networks_that_draw_random_numbers_are_told_from_others(network: nn.Module) -> None:
    with_dropout = WithDropout()
    before = torch.get_rng_state()
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert draws_random_numbers(with_dropout, (1, 8, 8))
    assert draws_random_numbers(with_dropout.eval(), (1, 8, 8))
    assert not draws_random_numbers(network, (1, 8, 8))
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(network.state_dict(), weights, rtol=0, atol=0)


@pytest.mark.parametrize("draw", [numpy.random.standard_normal, random.random, lambda: float(torch.rand(()))])
def test_networks_that_draw_from_any_global_generator_are_seen_to(draw: Callable[[], float]) -> None:
    class Drawing(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return self[1](self[0](x + draw() if self.training else x))  # type: ignore[no-any-return]

    network = Drawing(nn.Flatten(), nn.Linear(64, 10))
    before = global_states()
    assert draws_random_numbers(network, (1, 8, 8))
    assert global_states() == before


def test_networks_that_may_draw_from_any_generator_are_those_that_draw_and_all_of_users(network: nn.Module) -> None:
    own = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    assert not may_draw_random_numbers(network, (1, 8, 8))
    assert not may_draw_random_numbers(own, (1, 8, 8))
    assert may_draw_random_numbers(own.append(nn.Dropout(0.5)), (1, 8, 8))
    assert may_draw_random_numbers(WithDropout(), (1, 8, 8))


def test_a_network_that_cannot_be_tried_for_random_numbers_may_draw_some() -> None:
    network = nn.Sequential(nn.LocalResponseNorm(2), nn.Flatten(), nn.Linear(64, 10)).half()  # which only a GPU can run
    assert may_draw_random_numbers(network, (1, 8, 8))


def test_a_network_of_a_users_draws_from_any_generator_the_same_for_the_same_seed(few_digits: Dataset) -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(64, 10)

        def forward(self, x: Tensor) -> Tensor:
            noise = numpy.random.standard_normal() + random.random() if self.training else 0.0
            return self.fc(x.flatten(1) + noise)  # type: ignore[no-any-return]

    model = Noisy()
    first, again, other = (
        train([dense_ticket(model)], model, few_digits, RECIPE, [seed])[0].metrics[-1].train_loss for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_one_training_alone_takes_no_turns(network: nn.Module, few_digits: Dataset) -> None:
    turns = {}
    for at_once in (1, 2):
        shared = SharedTraining(network, few_digits, RECIPE, "cpu", replace(DENSELY, tickets_at_once=at_once), 2)
        turns[at_once] = len(list(shared.steps(dense_ticket(network), network, 0)))
    assert turns[1] == 0
    assert turns[2] >= RECIPE.epochs * len(few_digits.train) // RECIPE.batch_size


def test_those_that_draw_are_trained_one_after_the_other_with_the_same_bits(few_digits: Dataset) -> None:
    model = WithDropout()
    ticket = dense_ticket(model)
    calls: list[int] = []
    together = train(
        [ticket] * 2,
        model,
        few_digits,
        RECIPE,
        [5, 6],
        on_epoch=lambda index, _: calls.append(index),
        acceleration=replace(DENSELY, tickets_at_once=2),
    )
    assert calls == [0, 0, 0, 1, 1, 1]
    for record, seed in zip(together, (5, 6), strict=True):
        assert_same(record, train([ticket], model, few_digits, RECIPE, [seed], acceleration=DENSELY)[0])


@pytest.mark.parametrize(("device", "most"), [("cpu", 1), ("cuda", 32), ("cuda:1", 32)])
def test_how_many_are_trained_at_once_where_nobody_says(device: str, most: int) -> None:
    assert most_at_once(Acceleration(), device) == most
    assert most_at_once(replace(DENSELY, tickets_at_once=5), device) == 5


class MemoryOf:
    """Memory of which a trial took so much, and so much is left."""

    def __init__(self, taken: int, free: int) -> None:
        self.tried = False
        self._taken, self._free = taken, free

    def try_out(self) -> None:
        self.tried = True

    def most_taken(self) -> int:
        assert self.tried
        return self._taken

    def free(self) -> int:
        return self._free


@pytest.mark.parametrize(
    ("taken", "free", "held"), [(100, 1000, 8), (100, 889, 8), (100, 888, 7), (100, 500, 4), (100, 50, 1), (0, 10, 8)]
)
def test_as_many_are_trained_at_once_as_fit_and_it_is_said_if_that_is_not_all(
    taken: int, free: int, held: int, caplog: pytest.LogCaptureFixture
) -> None:
    memory = MemoryOf(taken, free)
    with caplog.at_level(logging.WARNING):
        assert held_by_memory(8, memory.try_out, "cuda:1", memory) == held
    said = f"the memory of cuda:1 holds {held} of 8 tickets at once: the others wait for their turn."
    assert caplog.messages == ([said] if held < 8 else [])


def test_a_trial_has_batches_of_every_size_and_records_each(network: nn.Module, few_digits: Dataset) -> None:
    recorded: list[int] = []

    class Noting(HostStream):
        def repeated(self, work: Work) -> Work:
            def noted(*batch: Tensor) -> None:
                recorded.append(len(batch[0]))
                work(*batch)

            def record(once: Callable[[], None]) -> Callable[[], None]:
                recorded.append(-1)
                return once

            return CapturedWork(noted, record)

    trained = DenseNetwork(dense_ticket(network), network, RECIPE, "cpu", torch.contiguous_format)
    batches, tests = Batches(few_digits.train, few_digits, 16), Batches(few_digits.test, few_digits, 256)
    try_out(Training(trained, RECIPE, 0), Noting(), batches, tests)
    assert recorded == [n for size in (16, 6, 256, 44) for n in (size, size, size, -1, size)]


def test_a_ticket_of_another_network_is_named(tickets: list[Ticket], network: nn.Module, few_digits: Dataset) -> None:
    wider = dense_ticket(build_model("resnet8", 10, width=8, input_channels=1))
    calls: list[int] = []
    with pytest.raises(InputError, match=r"^ticket 2 is not one of this network, for its weight of conv1\.weight has"):
        train(
            [*tickets[:2], wider], network, few_digits, RECIPE, SEEDS[:3], on_epoch=lambda index, _: calls.append(index)
        )
    assert not calls


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda t: replace(t, masks={**t.masks, "fc": t.masks["fc"][:5]}),
            r"its mask of fc has shape \(5, 16\) and the network's \(10, 16\)",
        ),
        (
            lambda t: replace(t, masks={"bn1": torch.ones(4, dtype=torch.bool)}),
            "it has a mask of bn1, which the network has not",
        ),
        (
            lambda t: replace(t, weights={name: w for name, w in t.weights.items() if name != "fc.bias"}),
            "it has no weight of fc.bias",
        ),
        (
            lambda t: replace(t, weights={**t.weights, "head.weight": torch.zeros(1)}),
            "it has a weight of head.weight, which the network has not",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    tickets: list[Ticket], network: nn.Module, few_digits: Dataset, change: Callable[[Ticket], Ticket], reason: str
) -> None:
    with pytest.raises(InputError, match=f"ticket 1 is not one of this network, for {reason}: train it in a call of"):
        train([tickets[2], change(tickets[2])], network, few_digits, RECIPE, [0, 1])
