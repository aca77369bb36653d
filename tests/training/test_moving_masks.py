"""Masks that move while a network is trained: in the loop, in checkpoints, by the kernels for kept weights."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.data import Batches, Dataset, ScoringData
from prunecheck.data.corruptions import random_pixels
from prunecheck.models import build_model
from prunecheck.pruning import Ticket, TopologyUpdates, find_method, make_ticket, prunable_weights
from prunecheck.pruning.layers import Scores, weight_name
from prunecheck.pruning.tickets import load_ticket, save_ticket
from prunecheck.pruning.topology import GROWTHS, Growth, UpdateSchedule, updated_masks
from prunecheck.randomness import generator
from prunecheck.registry import Entry
from prunecheck.training import Acceleration, Checkpoint, Recipe, Record, SharedTraining, train

RECIPE = Recipe(epochs=4, batch_size=16, milestones=(2,), weight_decay=1e-3)
"""70 images make 5 steps an epoch; exchanges end at step 15 of 20."""

DENSE_ONLY = Acceleration(sparse_convolutions=False)

METHODS = ["set@2-erk", "rigl@2", "gmp@3", "granet@3-erk"]


def ticket_of(method: str, network: nn.Module, sparsity: float = 0.8) -> Ticket:
    found = find_method(method)
    blank = [(torch.zeros(1, 1, 8, 8), torch.zeros(1, dtype=torch.int64))]
    return make_ticket(found, network, ScoringData(shape_only=blank), sparsity, generator(0, "mask placement"))


def wide() -> nn.Module:
    return build_model("resnet8", 10, seed=3, width=16, input_channels=1)


def plain_rigl(ticket: Ticket, network: nn.Module, dataset: Dataset, seed: int) -> tuple[nn.Module, dict[str, Tensor]]:
    """Train with RigL by torch's own optimizer, as its public reproductions do, as a reference."""
    model = copy.deepcopy(network)
    model.load_state_dict(ticket.weights)
    weights, masks = prunable_weights(model), dict(ticket.masks)
    assert ticket.updates
    schedule, step = UpdateSchedule(ticket.updates, 20), 0
    sgd = torch.optim.SGD(model.parameters(), 0.1, momentum=RECIPE.momentum, weight_decay=RECIPE.weight_decay)

    def mask_all() -> None:
        for layer, mask in masks.items():
            weights[layer].data.mul_(mask)
            if "momentum_buffer" in sgd.state[weights[layer]]:
                sgd.state[weights[layer]]["momentum_buffer"].mul_(mask)

    mask_all()
    for epoch in range(RECIPE.epochs):
        sgd.param_groups[0]["lr"] = RECIPE.learning_rate_at(epoch)
        for x, y in Batches(dataset.train, dataset, RECIPE.batch_size).epoch(seed, epoch):
            step += 1
            sgd.zero_grad()
            functional.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
            if schedule.is_due(step):  # in the place of a step
                values = {layer: weight.detach() for layer, weight in weights.items()}
                steep = {layer: weight.grad for layer, weight in weights.items() if weight.grad is not None}
                drawing = generator(seed, "topology update", step)
                masks = updated_masks(schedule, step, values, masks, steep, drawing)
            else:
                for layer, mask in masks.items():
                    gradient = weights[layer].grad
                    assert gradient is not None
                    gradient.mul_(mask)
                sgd.step()
            mask_all()
    return model, masks


def test_rigl_is_that_of_a_plain_loop(network: nn.Module, few_digits: Dataset) -> None:
    ticket = ticket_of("rigl@2", network)
    model, masks = plain_rigl(ticket, network, few_digits, seed=4)
    (record,) = train([ticket], network, few_digits, RECIPE, [4])
    for layer, mask in masks.items():
        assert torch.equal(record.masks[layer], mask)
    torch.testing.assert_close(record.weights, model.state_dict(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_masks_move_hold_and_keep_their_counts(method: str, network: nn.Module, few_digits: Dataset) -> None:
    ticket = ticket_of(method, network)
    seen: list[Checkpoint] = []
    (record,) = train([ticket], network, few_digits, RECIPE, [0], on_epoch=lambda _, c: seen.append(c))
    for checkpoint in seen:
        for layer, mask in checkpoint.masks.items():
            for tensors in (checkpoint.weights, checkpoint.momentum):
                assert not tensors[weight_name(layer)][~mask].any()
    moved = {layer: int((record.masks[layer] != mask).sum()) for layer, mask in ticket.masks.items()}
    assert sum(moved.values()) > 20
    total = sum(mask.numel() for mask in ticket.masks.values())
    assert sum(int(mask.sum()) for mask in record.masks.values()) == pytest.approx(0.2 * total, abs=len(moved))
    if not (ticket.updates and ticket.updates.is_gradual):
        assert all(record.masks[layer].sum() == mask.sum() for layer, mask in ticket.masks.items())
    # After the last update the mask stays: steps 16 to 20 are the last epoch.
    assert all(torch.equal(seen[2].masks[layer], mask) for layer, mask in record.masks.items())


def steps_until(killed_at: int, ticket: Ticket, model: nn.Module, data: Dataset, saved: list[bytes]) -> None:
    """Do so many steps, of which an epoch has 5, and 2 of testing at most, and go no further."""
    shared = SharedTraining(model, data, RECIPE, "cpu", Acceleration(tickets_at_once=2), 2)

    def steps() -> Iterator[None]:
        training = shared.steps(
            ticket, model, 0, on_epoch=lambda training: saved.append(training.checkpoint().to_bytes())
        )
        yield from islice(training, killed_at)

    shared.take_turns([steps()])


@pytest.mark.parametrize(
    ("method", "killed_at"), [("set@2-erk", 8), ("rigl@2", 9), ("rigl@2", 13), ("gmp@3", 12), ("granet@3", 17)]
)
def test_a_killed_training_goes_on_and_ends_the_same_bit_for_bit(
    method: str, killed_at: int, few_digits: Dataset, tmp_path: Path
) -> None:
    network = wide()
    save_ticket(ticket_of(method, network), tmp_path / "ticket", {})
    ticket, _ = load_ticket(tmp_path / "ticket")
    (whole,) = train([ticket], network, few_digits, RECIPE, [0])
    saved: list[bytes] = []
    steps_until(killed_at, ticket, network, few_digits, saved)
    assert 0 < len(saved) < RECIPE.epochs
    (tmp_path / "last").write_bytes(saved[-1])
    checkpoint = Checkpoint.read(tmp_path / "last")
    (resumed,) = train([ticket], network, few_digits, RECIPE, [0], checkpoints=[checkpoint])
    torch.testing.assert_close(resumed.weights, whole.weights, rtol=0, atol=0)
    torch.testing.assert_close(resumed.masks, whole.masks, rtol=0, atol=0)
    assert resumed.metrics == whole.metrics


@pytest.mark.parametrize("method", METHODS)
def test_the_kernels_for_kept_weights_follow_the_mask(method: str, few_digits: Dataset) -> None:
    network, ticket = wide(), ticket_of(method, wide(), 0.9)
    by_all, by_kept = (
        train([ticket], network, few_digits, RECIPE, [0], acceleration=acceleration)[0]
        for acceleration in (DENSE_ONLY, Acceleration())
    )
    assert by_kept.acceleration == ("sparse_convolutions",)
    same = sum(int((by_all.masks[layer] == mask).sum()) for layer, mask in by_kept.masks.items())
    # Rounding may turn round what is nearly equal.
    assert same > 0.995 * sum(mask.numel() for mask in ticket.masks.values())
    assert by_kept.metrics[0].train_loss == pytest.approx(by_all.metrics[0].train_loss, rel=1e-2)
    assert by_kept.metrics[-1].train_loss == pytest.approx(by_all.metrics[-1].train_loss, rel=0.05)


def test_trainings_that_share_a_device_end_as_alone(network: nn.Module, few_digits: Dataset) -> None:
    tickets = [ticket_of(method, network) for method in ("rigl@2", "gmp@3")]
    shared = train(tickets, network, few_digits, RECIPE, [0, 1], acceleration=Acceleration(tickets_at_once=2))
    for index, ticket in enumerate(tickets):
        (alone,) = train([ticket], network, few_digits, RECIPE, [index])
        torch.testing.assert_close(alone.weights, shared[index].weights, rtol=0, atol=0)


CUTTING = replace(RECIPE, cutout=3)
"""The same squares are cut out of the images in whose gradients weights grow."""


def grown_by(data: Dataset, ticket: Ticket, network: nn.Module, like: Dataset) -> Record:
    shared = SharedTraining(network, data, CUTTING, "cpu", DENSE_ONLY, 1)
    records: list[Record] = []

    def steps() -> Iterator[None]:
        records.append((yield from shared.steps(ticket, network, 0, growth_images=like.train)))

    shared.take_turns([steps()])
    return records[0]


def test_weights_can_grow_by_the_gradients_of_other_images(network: nn.Module, few_digits: Dataset) -> None:
    ticket = ticket_of("rigl@2", network)
    (own,) = train([ticket], network, few_digits, CUTTING, [0], acceleration=DENSE_ONLY)
    same = grown_by(few_digits, ticket, network, few_digits)
    torch.testing.assert_close(same.weights, own.weights, rtol=0, atol=0)
    noise = replace(few_digits, train=random_pixels(few_digits.train, 10, generator(0, "noise")))
    other = grown_by(few_digits, ticket, network, noise)
    assert any(not torch.equal(other.masks[layer], mask) for layer, mask in own.masks.items())
    # Until the first update, after two steps, nothing differs: batch norms count no image but those trained on.
    once = replace(ticket, updates=TopologyUpdates(growth="gradient", interval=14))
    (before,) = train([once], network, few_digits, CUTTING, [0], acceleration=DENSE_ONLY)
    after = grown_by(few_digits, once, network, noise)
    assert before.metrics[:2] == after.metrics[:2]
    assert before.metrics[2].train_loss == pytest.approx(after.metrics[2].train_loss, rel=0.2)


def test_a_mask_that_stays_is_in_no_checkpoint(network: nn.Module, few_digits: Dataset) -> None:
    seen: list[Checkpoint] = []
    ticket = ticket_of("random-erk", network)
    (record,) = train([ticket], network, few_digits, RECIPE, [0], on_epoch=lambda _, c: seen.append(c))
    assert not record.masks
    assert not any(checkpoint.masks for checkpoint in seen)
    assert b"masks" not in seen[0].to_bytes()


def test_masks_move_under_adam_with_averaged_weights_and_steps_of_their_own(
    few_digits: Dataset, tmp_path: Path
) -> None:
    """What the optimizer and the average hold of a removed weight goes, and an interruption changes nothing."""
    recipe = Recipe(
        epochs=4,
        batch_size=16,
        optimizer="adamw",
        learning_rate=0.003,
        schedule="cosine",
        weight_average=0.9,
        mixup=0.2,
        cutout=3,
    )
    network = wide()
    ticket, seen = ticket_of("rigl@2", network), list[Checkpoint]()
    (whole,) = train([ticket], network, few_digits, recipe, [0], on_epoch=lambda _, c: seen.append(c))
    for checkpoint in seen:
        for layer, mask in checkpoint.masks.items():
            belongs = [t for n, t in checkpoint.momentum.items() if n.rpartition("/")[2] == weight_name(layer)]
            assert len(belongs) == 3  # both moments, and the weights that are not averaged
            assert not any(tensor[~mask].any() for tensor in (*belongs, checkpoint.weights[weight_name(layer)]))
    assert any(not torch.equal(whole.masks[layer], mask) for layer, mask in ticket.masks.items())
    (tmp_path / "last").write_bytes(seen[1].to_bytes())
    checkpoint = Checkpoint.read(tmp_path / "last")
    (resumed,) = train([ticket], network, few_digits, recipe, [0], checkpoints=[checkpoint])
    torch.testing.assert_close(resumed.weights, whole.weights, rtol=0, atol=0)


def test_a_growth_of_a_users_that_draws_unasked_draws_the_same_for_the_same_seed(
    few_digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mine(gradients: Scores, generator: torch.Generator) -> Scores:
        return {layer: torch.rand(tensor.shape, dtype=torch.float64) for layer, tensor in gradients.items()}

    monkeypatch.setitem(GROWTHS.entries, "mine", Entry("mine", Growth(mine, needs_gradients=False), ""))
    network = wide()
    ticket = ticket_of("set@2-erk", network)
    assert ticket.updates
    own = replace(ticket, updates=replace(ticket.updates, growth="mine"))
    first, again, other = (
        train([own], network, few_digits, RECIPE, [seed])[0].masks["layer1.0.conv1"] for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, ticket.masks["layer1.0.conv1"])
