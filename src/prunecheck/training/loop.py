"""The training loop: from tickets to trained weights, in one file.

:class:`SharedTraining` prepares the networks, :func:`train_epochs` is the loop, :func:`training_step` the step.
What only a GPU needs is in :mod:`.gpu`; how a network computes with its kept weights only, in :mod:`.sparse`.
"""

import contextlib
import functools
import math
from collections import deque
from collections.abc import Callable, Container, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from prunecheck.data.batches import Batches, evaluation_batch_size
from prunecheck.data.datasets import Dataset, Images
from prunecheck.pruning.layers import Masks
from prunecheck.pruning.tickets import Ticket
from prunecheck.randomness import seeded_global_generator
from prunecheck.training import gpu
from prunecheck.training.acceleration import WHERE_IT_PAYS, Acceleration, is_gpu, most_at_once
from prunecheck.training.checkpoint import Checkpoint
from prunecheck.training.curves import epochs_to_test
from prunecheck.training.loss import training_loss
from prunecheck.training.metrics import EpochMetrics, Tally, all_logits, evaluate_batch
from prunecheck.training.network import (
    DenseNetwork,
    TrainableNetwork,
    draws_random_numbers,
    may_draw_random_numbers,
)
from prunecheck.training.network_builder import NetworkBuilder
from prunecheck.training.optimizer import Rate
from prunecheck.training.recipe import Recipe
from prunecheck.training.record import Record
from prunecheck.training.step_numbers import draws_and_share, has_numbers, training_draws
from prunecheck.training.stream import HostStream, Stream
from prunecheck.training.topology import MaskUpdates, as_it_stands, mask_updates
from prunecheck.training.validate import require_images_for, require_tickets_of

OnEpoch = Callable[[int, Checkpoint], None]

Measure = Callable[[Tensor, Tensor], float]
"""From the logits (images, classes) and labels (images,) of the whole test part to what a run is judged by."""


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
    uninterrupted one; bit for bit on the CPU. On a GPU several are trained at once, as many as its memory holds.

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

    Raises:
        InputError: a ticket is one of another network, or the device cannot do what is asked for.
    """
    require_tickets_of(model, tickets)
    begun_with = list(zip(tickets, seeds, checkpoints or [None] * len(tickets), strict=True))
    shared = SharedTraining(model, dataset, recipe, device, acceleration, len(tickets))
    records: dict[int, Record] = {}

    def steps_of(index: int) -> Iterator[None]:
        ticket, seed, checkpoint = begun_with[index]
        after_epoch = (lambda training: on_epoch(index, training.checkpoint())) if on_epoch else None
        records[index] = yield from shared.steps(ticket, model, seed, checkpoint, after_epoch)

    shared.take_turns([steps_of(index) for index in range(len(tickets))])
    return [records[index] for index in range(len(tickets))]


class SharedTraining:
    """What trainings of one network with one recipe have in common: a device, the images on it, and their turns.

    Args:
        model: the network, or another of its kind.
        dataset: trained and tested on.
        recipe: hyper-parameters.
        device: where to train.
        acceleration: what may make it faster.
        wanted: how many trainings there are.

    Raises:
        InputError: the device cannot do what is asked for, or the recipe changes images that are not there.
    """

    def __init__(
        self,
        model: nn.Module,
        dataset: Dataset,
        recipe: Recipe,
        device: torch.device | str,
        acceleration: Acceleration,
        wanted: int,
    ) -> None:
        require_images_for(recipe, dataset)
        self._acceleration = acceleration.settled(model, device)
        self._recipe, self._device, self._dataset = recipe, device, dataset
        images = len(dataset.train), len(dataset.test)
        self._tested = epochs_to_test(recipe.epochs, *images, self._acceleration.thin_curves)
        with self._on_device():
            channels_last = bool(self._acceleration.channels_last)
            self._train_batches = Batches(
                dataset.train, dataset, recipe.batch_size, device, channels_last, recipe.cutout
            )
            self._test_batches = Batches(dataset.test, dataset, evaluation_batch_size(dataset), device, channels_last)
        self._wanted = min(wanted, most_at_once(self._acceleration, device))
        # Torch's generator is one for all: networks that draw from it are trained one after the other.
        self._alone = self._wanted <= 1 or draws_random_numbers(model, dataset.image_shape)
        self._may_draw = may_draw_random_numbers(model, dataset.image_shape)
        # On a GPU the first training tells what one takes.
        self._at_once = 1 if self._alone else None if is_gpu(device) else self._wanted

    def take_turns(self, trainings: Sequence[Iterator[None]]) -> None:
        """Go through all of the iterators, a step of each in turn, as many at the same time as the device holds."""
        waiting, begun = deque(trainings), deque[Iterator[None]]()
        del trainings  # nothing holds what has ended, nor its memory
        with self._on_device():
            while waiting or begun:
                while waiting and len(begun) < (self._at_once or 1):
                    begun.append(waiting.popleft())
                steps = begun.popleft()
                if next(steps, _OVER) is not _OVER:
                    begun.append(steps)

    def steps(
        self,
        ticket: Ticket,
        model: nn.Module,
        seed: int,
        checkpoint: Checkpoint | None = None,
        on_epoch: Callable[[Training], None] | None = None,
        measure: Measure | None = None,
        growth_images: Images | None = None,
    ) -> Generator[None, None, Record]:
        """Train a ticket to its end, in turns with others after every batch; to be gone through by :meth:`take_turns`.

        Args:
            ticket: what to train.
            model: the network that the ticket's weights are for; it is left as it was.
            seed: decides the order of the data and their augmentation.
            checkpoint: where to go on, or None.
            on_epoch: called after each epoch with the training as it is then.
            measure: called once, after the last epoch, unless the training has diverged.
            growth_images: images in whose gradients a mask grows, in the place of those that are trained on.

        Raises:
            InputError: what is to be measured cannot be.
        """
        if self._at_once is None:
            self._at_once = gpu.held_by_memory(
                self._wanted, lambda: self._try_out(ticket, model, seed, checkpoint), self._device
            )
        training, stream = self._begin(ticket, model, seed, checkpoint, growth_images)

        after_epoch = functools.partial(on_epoch, training) if on_epoch else (lambda: None)
        batches = self._train_batches, self._test_batches
        may_draw = self._may_draw or training.mask_updates is not None
        yield from train_epochs(
            training, *batches, stream, after_epoch, alone=self._alone, may_draw=may_draw, tested=self._tested
        )
        record = training.record()
        if training.mask_updates:
            used = self._acceleration.used(training.mask_updates.network.was_sparse)
            record = replace(record, acceleration=used)
        if measure is None or record.diverged:
            return record
        with stream.queued():
            training.network.train(False)
            with stream.precision():
                logits, labels = all_logits(training.network, self._test_batches)
            return replace(record, value=measure(logits, labels))

    def _begin(
        self,
        ticket: Ticket,
        model: nn.Module,
        seed: int,
        checkpoint: Checkpoint | None,
        growth_images: Images | None = None,
    ) -> tuple[Training, Stream]:
        builder = NetworkBuilder(model, self._recipe, self._dataset.image_shape, self._device, self._acceleration)
        if ticket.updates:
            steps_per_epoch = len(self._train_batches)
            updates = mask_updates(
                as_it_stands(ticket, checkpoint), builder, self._dataset, steps_per_epoch, seed, growth_images
            )
            training = Training(updates.network, self._recipe, seed, mask_updates=updates)
        else:
            network = builder.build(ticket)
            used = self._acceleration.used(not isinstance(network, DenseNetwork))
            training = Training(network, self._recipe, seed, used)
        if checkpoint:
            training.resume(checkpoint)
        stream = gpu.CudaStream(self._device, self._acceleration) if is_gpu(self._device) else HostStream()
        return training, stream

    def _try_out(self, ticket: Ticket, model: nn.Module, seed: int, checkpoint: Checkpoint | None) -> None:
        try_out(*self._begin(ticket, model, seed, checkpoint), self._train_batches, self._test_batches)

    def _on_device(self) -> contextlib.AbstractContextManager[None]:
        return torch.cuda.device(self._device) if is_gpu(self._device) else contextlib.nullcontext()


_OVER = object()


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
        may_draw: whether the network may draw from the global generators, as dropout does, and they are seeded for
            each epoch; it is alone then.
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
