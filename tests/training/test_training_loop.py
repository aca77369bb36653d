import copy
import math
import random
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.data import Batches, Dataset, ScoringData, load_dataset, scoring_samples
from prunecheck.data.datasets import Suggestion
from prunecheck.data.token_data import PARTS, token_dataset
from prunecheck.errors import InputError
from prunecheck.pruning import Ticket, dense_ticket, find_method, make_ticket, prunable_weights
from prunecheck.pruning.layers import Masks, weight_name
from prunecheck.randomness import generator
from prunecheck.training import Checkpoint, Recipe, Record, train
from prunecheck.training.validate import require_images_for
from tests.training.dropout import WithDropout

RECIPE = Recipe(epochs=3, batch_size=16, milestones=(1, 2), weight_decay=1e-3)
"""Two milestones, so that an epoch counted wrongly shows."""


def pruned(network: nn.Module, dataset: Dataset, method: str = "snip", sparsity: float = 0.8) -> Ticket:
    data = ScoringData(samples=scoring_samples(dataset.train, dataset, 3, 1, seed=0))
    return make_ticket(find_method(method), network, data, sparsity, generator(0, "mask placement"))


def assert_masked(weights: dict[str, Tensor], masks: Masks) -> None:
    for layer, mask in masks.items():
        assert not weights[weight_name(layer)][~mask].any()
        assert (weights[weight_name(layer)] != 0)[mask].all()


def assert_same_bits(found: dict[str, Tensor], meant: dict[str, Tensor]) -> None:
    torch.testing.assert_close(found, meant, rtol=0, atol=0, equal_nan=True)


def plain_training(ticket: Ticket, network: nn.Module, dataset: Dataset, recipe: Recipe, seed: int) -> nn.Module:
    """Train by torch's own optimiser, as a reference."""
    model = copy.deepcopy(network)
    model.load_state_dict(ticket.weights)
    for layer, mask in ticket.masks.items():
        weight = prunable_weights(model)[layer]
        weight.data.mul_(mask)
        weight.register_hook(lambda gradient, mask=mask: gradient * mask)  # type: ignore[no-untyped-call]
    sgd = torch.optim.SGD(model.parameters(), 0.1, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    for epoch, rate in enumerate((0.1, 0.01, 0.001)):
        sgd.param_groups[0]["lr"] = rate
        for x, y in Batches(dataset.train, dataset, recipe.batch_size, cutout=recipe.cutout).epoch(seed, epoch):
            sgd.zero_grad()
            functional.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
            sgd.step()
    return model


@pytest.mark.parametrize("method", ["dense", "snip", "random-smart"])
def test_training_is_that_of_a_plain_loop_with_torch_sgd(network: nn.Module, few_digits: Dataset, method: str) -> None:
    ticket = dense_ticket(network) if method == "dense" else pruned(network, few_digits, method)
    (record,) = train([ticket], network, few_digits, RECIPE, [4])
    expected = plain_training(ticket, network, few_digits, RECIPE, 4)
    torch.testing.assert_close(record.weights, expected.state_dict(), rtol=1e-4, atol=1e-5)
    assert [epoch.learning_rate for epoch in record.metrics] == pytest.approx([0.1, 0.01, 0.001])


def test_the_metrics_are_those_of_the_returned_weights(network: nn.Module, few_digits: Dataset) -> None:
    (record,) = train([pruned(network, few_digits)], network, few_digits, RECIPE, [0])
    network.load_state_dict(record.weights)
    network.eval()
    x = torch.from_numpy((few_digits.test.pixels / 255 - few_digits.mean[0]) / few_digits.deviation[0]).float()
    y = torch.from_numpy(few_digits.test.labels)
    with torch.no_grad():
        logits = network(x)
    assert record.metrics[-1].test_accuracy == 100 * int((logits.argmax(1) == y).sum()) / len(y)
    assert record.metrics[-1].test_loss == pytest.approx(functional.cross_entropy(logits, y).item(), rel=1e-4)


@pytest.mark.parametrize("method", ["snip", "random-smart"])
def test_masks_hold_exactly_from_the_first_epoch_to_the_last(
    network: nn.Module, few_digits: Dataset, method: str
) -> None:
    ticket = pruned(network, few_digits, method)
    seen: list[Checkpoint] = []
    (record,) = train(
        [ticket], network, few_digits, replace(RECIPE, momentum=0.99), [0], on_epoch=lambda _, c: seen.append(c)
    )
    for weights in (*(checkpoint.weights for checkpoint in seen), record.weights):
        assert_masked(weights, ticket.masks)


def test_the_loss_falls_and_the_digits_are_learnt(network: nn.Module) -> None:
    recipe = Recipe(epochs=4, batch_size=32, milestones=(3,))
    (record,) = train([dense_ticket(network)], network, load_dataset("digits"), recipe, [0])
    losses = [epoch.train_loss for epoch in record.metrics]
    assert losses == sorted(losses, reverse=True)
    assert (record.metrics[-1].test_accuracy or 0) > 50
    assert not record.diverged


def test_a_ticket_ends_the_same_alone_or_among_others(network: nn.Module, few_digits: Dataset) -> None:
    tickets = [dense_ticket(network), pruned(network, few_digits), pruned(network, few_digits, "random-smart")]
    together = train(tickets, network, few_digits, RECIPE, [0, 1, 2])
    for index, ticket in enumerate(tickets):
        (alone,) = train([ticket], network, few_digits, RECIPE, [index])
        assert_same_bits(alone.weights, together[index].weights)
        assert alone.metrics == together[index].metrics


def test_the_seed_decides_the_order_of_the_data(network: nn.Module, few_digits: Dataset) -> None:
    ticket = dense_ticket(network)
    first, again, other = train([ticket] * 3, network, few_digits, RECIPE, [0, 0, 1])
    assert_same_bits(first.weights, again.weights)
    assert not torch.equal(first.weights["conv1.weight"], other.weights["conv1.weight"])


def test_one_seed_for_each_ticket_is_required(network: nn.Module, few_digits: Dataset) -> None:
    with pytest.raises(ValueError, match="shorter"):
        train([dense_ticket(network)] * 2, network, few_digits, replace(RECIPE, epochs=1), [0])


def test_model_ticket_and_data_are_left_as_they_were(network: nn.Module, few_digits: Dataset) -> None:
    ticket = pruned(network, few_digits)
    other_weights = {name: tensor * 2 for name, tensor in ticket.weights.items()}
    ticket = replace(ticket, weights=other_weights)
    before = copy.deepcopy((network.state_dict(), ticket.weights, ticket.masks))
    pixels, labels = few_digits.train.pixels.copy(), few_digits.train.labels.copy()
    train([ticket], network, few_digits, replace(RECIPE, epochs=1), [0])
    for found, meant in zip((network.state_dict(), ticket.weights, ticket.masks), before, strict=True):
        assert_same_bits(dict(found), dict(meant))
    assert network.training
    assert numpy.array_equal(pixels, few_digits.train.pixels)
    assert numpy.array_equal(labels, few_digits.train.labels)


@pytest.mark.parametrize("done", [1, 2, 3])
@pytest.mark.parametrize("method", ["dense", "snip"])
def test_an_interrupted_training_ends_bit_for_bit_as_an_uninterrupted_one(
    network: nn.Module, few_digits: Dataset, tmp_path: Path, method: str, done: int
) -> None:
    ticket = dense_ticket(network) if method == "dense" else pruned(network, few_digits)
    whole: list[Checkpoint] = []
    (uninterrupted,) = train([ticket], network, few_digits, RECIPE, [0], on_epoch=lambda _, c: whole.append(c))
    file = tmp_path / "last.safetensors"
    file.write_bytes(whole[done - 1].to_bytes())
    rest: list[Checkpoint] = []
    (resumed,) = train(
        [ticket],
        network,
        few_digits,
        RECIPE,
        [0],
        checkpoints=[Checkpoint.read(file)],
        on_epoch=lambda _, c: rest.append(c),
    )
    assert [len(checkpoint.metrics) for checkpoint in rest] == list(range(done + 1, 4))
    assert resumed.metrics == uninterrupted.metrics
    assert_same_bits(resumed.weights, uninterrupted.weights)
    for found, meant in zip(rest, whole[done:], strict=True):
        assert_same_bits(found.weights, meant.weights)
        assert_same_bits(found.momentum, meant.momentum)


def test_each_ticket_goes_on_from_its_own_checkpoint(network: nn.Module, few_digits: Dataset) -> None:
    tickets = [dense_ticket(network), pruned(network, few_digits)]
    seen: dict[tuple[int, int], Checkpoint] = {}
    whole = train(
        tickets,
        network,
        few_digits,
        RECIPE,
        [0, 1],
        on_epoch=lambda index, c: seen.__setitem__((index, len(c.metrics)), c),
    )
    resumed = train(tickets, network, few_digits, RECIPE, [0, 1], checkpoints=[None, seen[1, 2]])
    for found, meant in zip(resumed, whole, strict=True):
        assert_same_bits(found.weights, meant.weights)


def diverge(network: nn.Module, dataset: Dataset) -> tuple[Record, list[Checkpoint], Recipe]:
    recipe = Recipe(epochs=30, batch_size=16, learning_rate=1e6, milestones=())
    seen: list[Checkpoint] = []
    (record,) = train([dense_ticket(network)], network, dataset, recipe, [0], on_epoch=lambda _, c: seen.append(c))
    return record, seen, recipe


def test_divergence_is_recorded_and_ends_the_training(network: nn.Module, few_digits: Dataset) -> None:
    record, seen, _ = diverge(network, few_digits)
    assert record.diverged
    assert len(record.metrics) == len(seen) < 30
    assert [math.isfinite(epoch.train_loss) for epoch in record.metrics] == [True] * (len(seen) - 1) + [False]


def test_a_training_that_diverged_does_not_go_on(network: nn.Module, few_digits: Dataset) -> None:
    _, seen, recipe = diverge(network, few_digits)
    more: list[Checkpoint] = []
    (record,) = train(
        [dense_ticket(network)],
        network,
        few_digits,
        recipe,
        [0],
        checkpoints=[seen[-1]],
        on_epoch=lambda _, c: more.append(c),
    )
    assert record.diverged
    assert not more


def test_on_epoch_is_given_the_index_and_a_checkpoint_that_later_epochs_leave_alone(
    network: nn.Module, few_digits: Dataset
) -> None:
    calls: list[tuple[int, Checkpoint, dict[str, Tensor]]] = []
    records = train(
        [dense_ticket(network), pruned(network, few_digits)],
        network,
        few_digits,
        replace(RECIPE, epochs=2),
        [0, 0],
        on_epoch=lambda index, c: calls.append((index, c, copy.deepcopy(c.weights))),
    )
    assert [(index, len(c.metrics)) for index, c, _ in calls] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    for index, checkpoint, weights_then in calls:
        assert [epoch.epoch for epoch in checkpoint.metrics] == [1, 2][: len(checkpoint.metrics)]
        assert checkpoint.metrics == records[index].metrics[: len(checkpoint.metrics)]
        assert_same_bits(checkpoint.weights, weights_then)


def test_no_global_generator_is_touched(network: nn.Module, few_digits: Dataset) -> None:
    before = (torch.get_rng_state(), random.getstate(), numpy.random.get_state(legacy=False))
    train([pruned(network, few_digits)], network, few_digits, replace(RECIPE, epochs=1), [0])
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    numpy.testing.assert_equal(numpy.random.get_state(legacy=False), before[2])


def test_a_training_whose_last_step_diverges_has_diverged(network: nn.Module, few_digits: Dataset) -> None:
    recipe = Recipe(epochs=1, batch_size=len(few_digits.train), learning_rate=1e20, milestones=())
    (record,) = train([dense_ticket(network)], network, few_digits, recipe, [0])
    assert math.isfinite(record.metrics[0].train_loss)
    assert record.diverged


def test_dropout_draws_from_the_seed_of_the_run_and_is_resumed_bit_for_bit(few_digits: Dataset) -> None:
    model = WithDropout()
    ticket = dense_ticket(model)
    seen: list[Checkpoint] = []
    before = torch.get_rng_state()
    first, other = train(
        [ticket, ticket], model, few_digits, RECIPE, [5, 6], on_epoch=lambda index, c: None if index else seen.append(c)
    )
    (again,) = train([ticket], model, few_digits, RECIPE, [5])
    (resumed,) = train([ticket], model, few_digits, RECIPE, [5], checkpoints=[seen[0]])
    assert_same_bits(again.weights, first.weights)
    assert_same_bits(resumed.weights, first.weights)
    assert not torch.equal(other.weights["fc.weight"], first.weights["fc.weight"])
    assert torch.equal(torch.get_rng_state(), before)


def test_squares_are_cut_out_of_what_is_learned_from_and_a_resumed_training_cuts_the_same(
    network: nn.Module, few_digits: Dataset
) -> None:
    recipe = replace(RECIPE, cutout=3)
    ticket, seen = pruned(network, few_digits), list[Checkpoint]()
    (whole,) = train([ticket], network, few_digits, recipe, [4], on_epoch=lambda _, c: seen.append(c))
    assert_masked(whole.weights, ticket.masks)
    (resumed,) = train([ticket], network, few_digits, recipe, [4], checkpoints=[seen[0]])
    assert_same_bits(resumed.weights, whole.weights)
    (uncut,) = train([ticket], network, few_digits, RECIPE, [4])
    assert any(not torch.equal(uncut.weights[name], weight) for name, weight in whole.weights.items())

    reference = plain_training(ticket, network, few_digits, recipe, seed=4)
    torch.testing.assert_close(whole.weights, reference.state_dict(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [(Recipe(epochs=1, cutout=4), "cutout changes images"), (Recipe(epochs=1, mixup=0.2), "mixup changes images")],
)
def test_what_changes_images_is_refused_for_tokens(recipe: Recipe, said: str) -> None:
    tokens = numpy.arange(40, dtype=numpy.uint8)
    suggestion = Suggestion("byte-transformer", None, 1, 2, 0.1)
    dataset = token_dataset(
        "toy", dict.fromkeys(PARTS, tokens), 40, suggestion, sequence_length=3, metric="bits-per-token"
    )
    with pytest.raises(InputError, match=f"{said}, and toy holds tokens: leave it out"):
        require_images_for(recipe, dataset)
    require_images_for(Recipe(epochs=1), dataset)
