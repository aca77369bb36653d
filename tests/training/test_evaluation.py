"""Tickets that are tested and not trained: against a plain loop in float64."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from prunecheck.data import Dataset, load_dataset
from prunecheck.data.transforms import as_spec_says
from prunecheck.metrics import find_metric
from prunecheck.models import build_model
from prunecheck.pruning import Ticket, find_method, make_ticket, prunable_weights
from prunecheck.pruning.tickets import copy_weights
from prunecheck.randomness import generator
from prunecheck.training.evaluation import evaluate_ticket


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return as_spec_says(load_dataset(f"text:{Path(nn.__file__).with_name('init.py')}"), None, None, None, 11, 24)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return build_model("byte-transformer", 256, 0, width=32, sequence_length=24)


@pytest.fixture(scope="module")
def ticket(model: nn.Module) -> Ticket:
    source = generator(0, "a mask for a test")
    masks = {layer: torch.rand(w.shape, generator=source) < 0.5 for layer, w in prunable_weights(model).items()}
    return Ticket(copy_weights(model), masks)


def plain_losses(model: nn.Module, ticket: Ticket, dataset: Dataset) -> list[list[float]]:
    """Return the loss of each token of each sequence, nats, one at a time, in float64."""
    network = build_model("byte-transformer", 256, 0, width=32, sequence_length=24)
    weights = dict(ticket.weights)
    for layer, mask in ticket.masks.items():
        weights[f"{layer}.weight"] = weights[f"{layer}.weight"] * mask
    network.load_state_dict(weights)
    network.double().eval()
    found = []
    with torch.no_grad():
        for tokens, labels in zip(dataset.test.pixels.tolist(), dataset.test.labels.tolist(), strict=True):
            logits = network(torch.tensor([tokens]))[0]
            found.append([float(-logits[i].log_softmax(0)[label]) for i, label in enumerate(labels)])
    return found


def test_losses_perplexity_and_bits_are_those_of_a_plain_loop(
    model: nn.Module, ticket: Ticket, dataset: Dataset
) -> None:
    plain = plain_losses(model, ticket, dataset)
    record = evaluate_ticket(ticket, model, dataset)
    assert record.tested
    assert record.tested.sequence_losses == pytest.approx([math.fsum(row) / 24 for row in plain], rel=1e-6)
    mean = math.fsum(loss for row in plain for loss in row) / (11 * 24)
    assert record.test_loss == pytest.approx(mean, rel=1e-6)
    for name, value in (("perplexity", math.exp(mean)), ("bits-per-byte", mean / math.log(2))):
        metric = find_metric(name)
        assert metric.of_column(record.tested.loss) == pytest.approx(value, rel=1e-6)
        assert not metric.quantity.higher_is_better
        measured = evaluate_ticket(ticket, model, dataset, measure=metric.value).value
        assert measured == pytest.approx(value, rel=1e-6)


def test_pruned_weights_are_0_and_the_network_is_left_as_it_was(
    model: nn.Module, ticket: Ticket, dataset: Dataset
) -> None:
    before = copy_weights(model)
    record = evaluate_ticket(ticket, model, dataset)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for layer, mask in ticket.masks.items():
        weight = record.weights[f"{layer}.weight"]
        assert not weight[~mask].any()
        assert torch.equal(weight[mask], ticket.weights[f"{layer}.weight"][mask])
    assert record.metrics == ()


def test_the_level_of_guessing_is_the_entropy_of_the_tokens() -> None:
    labels = torch.tensor([0, 0, 1, 2])
    assert find_metric("bits-per-byte").chance_level(labels, 256) == pytest.approx(1.5)
    assert find_metric("perplexity").chance_level(labels, 256) == pytest.approx(2**1.5)


def test_criteria_that_see_samples_score_networks_of_tokens(model: nn.Module, dataset: Dataset) -> None:
    from prunecheck.data import ScoringData, blank_batch, scoring_samples

    samples = scoring_samples(dataset.train, dataset, 5, 2, 0)
    assert [tuple(x.shape) for x, _ in samples] == [(5, 24), (5, 24)]
    assert len({tuple(row) for x, _ in samples for row in x.tolist()}) == 10
    data = ScoringData(samples=samples, shape_only=[blank_batch(dataset.image_shape)])
    for name in ("snip", "grasp"):
        ticket = make_ticket(find_method(name), model, data, 0.5, generator(0, "mask placement"))
        kept = sum(int(mask.sum()) for mask in ticket.masks.values())
        assert kept == sum(mask.numel() for mask in ticket.masks.values()) // 2
