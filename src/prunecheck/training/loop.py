"""The training loop: from a ticket's network to trained weights, in one file.

:func:`train_epochs` is the loop, :func:`training_step` the step. What trainings share is in
:mod:`.shared_training`; what only a GPU needs, in :mod:`.gpu`; how a network computes with its kept weights only, in
:mod:`.sparse`.
"""

import contextlib
import functools
import math
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from prunecheck.data.batches import Batches
from prunecheck.pruning.layers import Masks
from prunecheck.randomness import seeded_global_generator
from prunecheck.training import gpu
from prunecheck.training.checkpoint import Checkpoint
from prunecheck.training.loss import training_loss
from prunecheck.training.metrics import EpochMetrics, Tally, evaluate_batch
from prunecheck.training.network import TrainableNetwork
from prunecheck.training.optimizer import Rate
from prunecheck.training.recipe import Recipe
from prunecheck.training.record import Record
from prunecheck.training.step_numbers import draws_and_share, has_numbers, training_draws
from prunecheck.training.stream import Stream
from prunecheck.training.topology import MaskUpdates


@dataclass
class Training:
    """A ticket's network, and how far it has come.

    Attributes:
        network: with the ticket's weights.
        recipe: hyper-parameters.
        seed: decides the order of the data and their augmentation.
        acceleration: what the record says of it.
        metrics: one row per epoch done.
        mask_updates: what moves its mask; None for one that stays.
    """

    network: TrainableNetwork
    recipe: Recipe
    seed: int
    acceleration: tuple[str, ...] = ()
    metrics: list[EpochMetrics] = field(default_factory=list)
    mask_updates: MaskUpdates | None = None

    @property
    def moved_masks(self) -> Masks:
        """The masks of a ticket whose mask moves, as they are; empty for one whose mask stays."""
        return dict(self.mask_updates.network.masks) if self.mask_updates else {}

    @property
    def diverged(self) -> bool:
        """Whether the loss has stopped being finite."""
        # The test loss shows what the last steps did, which the training loss is measured before.
        return any(not math.isfinite(row.train_loss + (row.test_loss or 0.0)) for row in self.metrics[-1:])

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.diverged or len(self.metrics) >= self.recipe.epochs

    def checkpoint(self) -> Checkpoint:
        """Return the state after the last epoch."""
        return Checkpoint(self.network.weights(), self.network.momentum(), tuple(self.metrics), self.moved_masks)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Take over a state."""
        self.metrics = list(checkpoint.metrics)
        # A run that ended may have had its momentum cleaned away.
        self.network.load(checkpoint.weights, None if self.ended else checkpoint.momentum)

    def record(self) -> Record:
        """Return what has come of it."""
        masks = self.moved_masks
        return Record(self.network.weights(), tuple(self.metrics), self.diverged, self.acceleration, masks=masks)


def train_epochs(
    training: Training,
    train_batches: Batches,
    test_batches: Batches,
    stream: Stream,
    after_epoch: Callable[[], None],
    *,
    alone: bool = True,
    may_draw: bool = True,
    tested: Container[int] | None = None,
) -> Iterator[None]:
    """Train a ticket to its end, and unless it is alone yield after every batch: several take turns on a device.

    Nothing in an epoch waits for the device; its metrics are read after it.

    Args:
        training: goes on from where it is.
        train_batches: of the data set; other trainings may use them at the same time.
        test_batches: likewise.
        stream: where the work is done.
        after_epoch: called after each epoch.
        alone: whether no other training has its turns meanwhile.
        may_draw: whether the network may draw from the global generators, as dropout does: they are seeded for each
            epoch of a training that is alone.
        tested: after which epochs, counted from 1, the network is tested; None for all.
    """
    network, recipe, seed = training.network, training.recipe, training.seed
    train_tally, test_tally = Tally(train_batches.labels.device), Tally(test_batches.labels.device)
    test = stream.repeated(functools.partial(testing_step, network, stream, test_tally))
    learning_rate = math.nan
    learn = functools.partial(training_step, network, stream, train_tally, train_batches, recipe)
    repeated = stream.repeated(learn)
    while not training.ended:
        epoch = len(training.metrics)
        rate = recipe.learning_rate_at(epoch, 0, len(train_batches))
        if learning_rate != rate and not has_numbers(recipe):
            repeated = stream.repeated(functools.partial(learn, rate))
        learning_rate = rate
        with _generator(training, train_batches) if alone and may_draw else contextlib.nullcontext():
            with stream.queued():
                network.train()
            work, updates = repeated, training.mask_updates
            if updates:
                work = updates.between(repeated, epoch, stream, train_tally, train_batches)
            yield from _each(work, training_draws(recipe, seed, epoch, train_batches, stream), stream, alone)
            with stream.queued():
                network.train(False)
            is_tested = tested is None or epoch + 1 in tested
            if is_tested:
                yield from _each(test, test_batches.in_order(), stream, alone)
        with stream.queued():
            train_loss, train_accuracy = train_tally.take()
            test_loss, test_accuracy = test_tally.take() if is_tested else (None, None)
        training.metrics.append(
            EpochMetrics(epoch + 1, learning_rate, train_loss, test_loss, train_accuracy, test_accuracy)
        )
        after_epoch()


def training_step(
    network: TrainableNetwork,
    stream: Stream,
    tally: Tally,
    batches: Batches,
    recipe: Recipe,
    learning_rate: Rate,
    *numbers: Any,
) -> None:
    """Learn from one batch: that which was drawn, by :func:`.step_numbers.training_draws`."""
    draws, mixed = draws_and_share(recipe, numbers)
    x, y = batches.drawn(*draws)
    with stream.precision():
        loss, logits = training_loss(network, x, y, recipe.label_smoothing, mixed)
    loss.backward()  # type: ignore[no-untyped-call]
    network.step(learning_rate)
    tally.add(loss, logits, y)


def testing_step(network: TrainableNetwork, stream: Stream, tally: Tally, x: Tensor, y: Tensor) -> None:
    """Count the loss and the hits of one batch; the network is in evaluation mode."""
    with stream.precision():
        evaluate_batch(network, tally, x, y)


def try_out(training: Training, stream: Stream, train_batches: Batches, test_batches: Batches) -> None:
    """Do a few steps with batches of every size, which take all the memory that a training ever takes.

    Nothing is to be done with the training afterwards.
    """
    network, tally, recipe = training.network, Tally(train_batches.labels.device), training.recipe
    learn = functools.partial(training_step, network, stream, tally, train_batches, recipe)
    if not has_numbers(recipe):
        learn = functools.partial(learn, recipe.learning_rate)
    test = functools.partial(testing_step, network, stream, tally)
    network.train()
    _repeat(stream.repeated(learn), training_draws(recipe, training.seed, 0, train_batches, stream), stream)
    network.train(False)
    _repeat(stream.repeated(test), test_batches.in_order(), stream)


def _repeat(work: Callable[..., None], batches: Iterator[tuple[object, ...]], stream: Stream) -> None:
    with stream.queued():
        of_each_size = {tuple(part.shape for part in batch if isinstance(part, Tensor)): batch for batch in batches}
        for batch in of_each_size.values():
            for _ in range(gpu.EAGER_CALLS + 1):
                work(*batch)


def _each(
    work: Callable[..., None], batches: Iterator[tuple[object, ...]], stream: Stream, alone: bool
) -> Iterator[None]:
    if alone:
        with stream.queued():
            for drawn in batches:
                work(*drawn)
        return
    while True:
        with stream.queued():  # between the batches others have their turns, on streams of their own
            batch = next(batches, None)
            if batch is None:
                return
            work(*batch)
        yield


def _generator(training: Training, batches: Batches) -> contextlib.AbstractContextManager[None]:
    """Seed torch's global generator for the next epoch, for networks that draw from it."""
    return seeded_global_generator(training.seed, "training", len(training.metrics), device=batches.labels.device)
