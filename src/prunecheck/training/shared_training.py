"""Tickets trained on one device: what they have in common, and how they take turns."""

import contextlib
import functools
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from prunecheck.data.batches import Batches, evaluation_batch_size
from prunecheck.data.datasets import Dataset, Images
from prunecheck.pruning.tickets import Ticket
from prunecheck.training import gpu
from prunecheck.training.acceleration import WHERE_IT_PAYS, Acceleration, is_gpu, most_at_once
from prunecheck.training.checkpoint import Checkpoint
from prunecheck.training.curves import epochs_to_test
from prunecheck.training.loop import Training, train_epochs, try_out
from prunecheck.training.metrics import all_logits
from prunecheck.training.network import DenseNetwork, draws_random_numbers, may_draw_random_numbers
from prunecheck.training.network_builder import NetworkBuilder
from prunecheck.training.recipe import Recipe
from prunecheck.training.record import Record
from prunecheck.training.stream import HostStream, Stream
from prunecheck.training.topology import as_it_stands, mask_updates
from prunecheck.training.validate import require_images_for, require_tickets_of

OnEpoch = Callable[[int, Checkpoint], None]

Measure = Callable[[Tensor, Tensor], float]
"""From the logits (images, classes) and labels (images,) of the whole test part to what a run is judged by."""


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
        # Global generators are one for all: networks that draw from them are trained one after the other.
        self._alone = self._wanted <= 1 or draws_random_numbers(model, dataset.image_shape)
        self._may_draw = self._alone and may_draw_random_numbers(model, dataset.image_shape)
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
