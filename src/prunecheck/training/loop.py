"""The training loop."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from prunecheck.data.batches import EVALUATION_BATCH_SIZE, Batches
from prunecheck.data.datasets import Dataset
from prunecheck.pruning.tickets import Ticket, Weights
from prunecheck.randomness import seeded_global_generator
from prunecheck.training.acceleration import WHERE_IT_PAYS, Acceleration
from prunecheck.training.checkpoint import Checkpoint
from prunecheck.training.metrics import EpochMetrics, Tally, evaluate
from prunecheck.training.network import DenseNetwork, TrainableNetwork
from prunecheck.training.recipe import Recipe

OnEpoch = Callable[[int, Checkpoint], None]


@dataclass(frozen=True)
class Record:
    """A finished training.

    Attributes:
        weights: the state dict after the last epoch.
        metrics: one row per epoch.
        diverged: whether the loss stopped being finite; training ends with that epoch.
    """

    weights: Weights
    metrics: tuple[EpochMetrics, ...]
    diverged: bool


def train(
    tickets: Sequence[Ticket],
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    seeds: Sequence[int],
    *,
    device: torch.device | str = "cpu",
    checkpoints: Sequence[Checkpoint | None] | None = None,
    on_epoch: OnEpoch | None = None,
    acceleration: Acceleration = WHERE_IT_PAYS,
) -> list[Record]:
    """Train tickets of one network with one recipe.

    Each ticket ends as it would alone, and a training that goes on from a checkpoint ends as an
    uninterrupted one; bit for bit on the CPU.

    Args:
        tickets: what to train.
        model: the network that the tickets' weights are for; it is left as it was.
        dataset: trained and tested on.
        recipe: hyper-parameters.
        seeds: per ticket, decides the order of the data and their augmentation.
        device: where to train.
        checkpoints: per ticket, where to go on, or None.
        on_epoch: called after each epoch with the ticket's index and its checkpoint.
        acceleration: what may make it faster.

    Returns:
        One record per ticket, in order.
    """
    channels_last = acceleration.channels_last
    if channels_last is None:
        channels_last = bool(getattr(model, "prefers_channels_last", False))
    train_batches = Batches(dataset.train, dataset, recipe.batch_size, device, channels_last)
    test_batches = Batches(dataset.test, dataset, EVALUATION_BATCH_SIZE, device, channels_last)
    records = []
    for index, (ticket, seed) in enumerate(zip(tickets, seeds, strict=True)):
        training = _Training(_network(ticket, model, recipe, device, channels_last), recipe)
        if checkpoints and (checkpoint := checkpoints[index]):
            training.go_on_from(checkpoint)
        while not training.ended:
            with seeded_global_generator(seed, "training", len(training.metrics), device=device):
                training.run_epoch(train_batches, test_batches, seed)
            if on_epoch:
                on_epoch(index, training.checkpoint())
        records.append(Record(training.network.weights(), tuple(training.metrics), training.diverged))
    return records


def _network(
    ticket: Ticket, model: nn.Module, recipe: Recipe, device: torch.device | str, channels_last: bool
) -> TrainableNetwork:
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    return DenseNetwork(ticket, model, recipe, device, memory_format)


class _Training:
    """One ticket while it is trained."""

    def __init__(self, network: TrainableNetwork, recipe: Recipe) -> None:
        self.network = network
        self.recipe = recipe
        self.metrics: list[EpochMetrics] = []

    @property
    def diverged(self) -> bool:
        # The test loss shows what the last steps did, which the training loss is measured before.
        return bool(self.metrics) and not math.isfinite(self.metrics[-1].train_loss + self.metrics[-1].test_loss)

    @property
    def ended(self) -> bool:
        return self.diverged or len(self.metrics) >= self.recipe.epochs

    def run_epoch(self, train_batches: Batches, test_batches: Batches, seed: int) -> None:
        epoch = len(self.metrics)
        learning_rate = self.recipe.learning_rate_at(epoch)
        self.network.train()
        tally = Tally(train_batches.labels.device)
        for x, y in train_batches.epoch(seed, epoch):
            logits = self.network(x)
            loss = functional.cross_entropy(logits, y)
            loss.backward()  # type: ignore[no-untyped-call]
            self.network.step(learning_rate)
            tally.add(loss, logits, y)
        train_loss, train_accuracy = tally.mean_loss_and_accuracy()
        test_loss, test_accuracy = evaluate(self.network, test_batches)
        self.metrics.append(
            EpochMetrics(epoch + 1, learning_rate, train_loss, test_loss, train_accuracy, test_accuracy)
        )

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.network.weights(), self.network.momentum(), tuple(self.metrics))

    def go_on_from(self, checkpoint: Checkpoint) -> None:
        self.metrics = list(checkpoint.metrics)
        # A run that ended may have had its momentum cleaned away.
        self.network.load(checkpoint.weights, None if self.ended else checkpoint.momentum)
