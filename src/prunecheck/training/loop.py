"""The training loop."""

import contextlib
from collections.abc import Callable, Sequence

import torch
from torch import nn

from prunecheck.data.batches import EVALUATION_BATCH_SIZE, Batches
from prunecheck.data.datasets import Dataset
from prunecheck.pruning.tickets import Ticket
from prunecheck.training.acceleration import WHERE_IT_PAYS, Acceleration, is_gpu
from prunecheck.training.checkpoint import Checkpoint
from prunecheck.training.fitting import require_fitting
from prunecheck.training.network import DenseNetwork, TrainableNetwork
from prunecheck.training.recipe import Recipe
from prunecheck.training.sparse import sparse_network
from prunecheck.training.streams import new_stream
from prunecheck.training.ticket_training import Record, TicketTraining
from prunecheck.training.together import GpuMemory, held_by_memory, train_together, wanted_at_once

OnEpoch = Callable[[int, Checkpoint], None]


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
    numbered = list(zip(tickets, seeds, strict=True))
    acceleration = acceleration.settled(model, device)
    require_fitting(tickets, model)
    with torch.cuda.device(device) if is_gpu(device) else contextlib.nullcontext():
        channels_last = bool(acceleration.channels_last)
        train_batches = Batches(dataset.train, dataset, recipe.batch_size, device, channels_last)
        test_batches = Batches(dataset.test, dataset, EVALUATION_BATCH_SIZE, device, channels_last)

        def begin(index: int) -> TicketTraining:
            ticket, seed = numbered[index]
            network = _network(ticket, model, recipe, dataset.image_shape, device, acceleration)
            stream = new_stream(device, acceleration)
            used = acceleration.used(not isinstance(network, DenseNetwork))
            training = TicketTraining(network, recipe, seed, train_batches, test_batches, stream, used)
            if checkpoints and (checkpoint := checkpoints[index]):
                training.go_on_from(checkpoint)
            return training

        def after_epoch(index: int, training: TicketTraining) -> None:
            if on_epoch:
                on_epoch(index, training.checkpoint())

        at_once = wanted_at_once(acceleration, len(numbered), model, dataset.image_shape, device)
        if at_once > 1 and is_gpu(device):
            at_once = held_by_memory(at_once, lambda: begin(0).rehearse(), GpuMemory(device), device)
        return train_together(begin, len(numbered), at_once, after_epoch)


def _network(
    ticket: Ticket,
    model: nn.Module,
    recipe: Recipe,
    image_shape: tuple[int, int, int],
    device: torch.device | str,
    acceleration: Acceleration,
) -> TrainableNetwork:
    """Return the network that computes fastest, given settled acceleration."""
    if not is_gpu(device):
        network = sparse_network(ticket, model, recipe, image_shape, acceleration.sparse_convolutions)
        if network:
            return network
    memory_format = torch.channels_last if acceleration.channels_last else torch.contiguous_format
    return DenseNetwork(ticket, model, recipe, device, memory_format)
