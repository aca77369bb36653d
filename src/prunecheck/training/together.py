"""Several tickets on one device: who is trained now, and who waits."""

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Protocol

import torch
from torch import nn

from prunecheck.pruning.copying import copy_network
from prunecheck.pruning.logits import logits_of
from prunecheck.training.acceleration import Acceleration, is_gpu
from prunecheck.training.ticket_training import Record, TicketTraining

MOST_AT_ONCE = 32
"""On a GPU, unless more are asked for: torch has no more streams, and more tickets would share them."""

SHARE_OF_FREE_MEMORY = 0.9
"""That tickets are given: the rest is for what libraries keep for each stream, and for other processes."""


class Memory(Protocol):
    """Of a device, in bytes."""

    def most_taken(self) -> int:
        """Return how much was taken at most since this object is there."""

    def free(self) -> int:
        """Return how much is left."""


class GpuMemory:
    """The memory of a GPU; to be made before what is measured."""

    def __init__(self, device: torch.device | str) -> None:
        self._device = torch.device(device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self._device)
        self._before = torch.cuda.memory_reserved(self._device)

    def most_taken(self) -> int:
        """Return the most that torch has held for tensors and graphs, beyond what it held before."""
        torch.cuda.synchronize(self._device)
        return torch.cuda.max_memory_reserved(self._device) - self._before

    def free(self) -> int:
        """Return what no process holds, and this one does not need."""
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()
        return torch.cuda.mem_get_info(self._device)[0]


def wanted_at_once(
    acceleration: Acceleration,
    tickets: int,
    model: nn.Module,
    image_shape: tuple[int, int, int],
    device: torch.device | str,
) -> int:
    """Return how many tickets are to be trained at the same time, if memory holds them.

    Args:
        acceleration: what is asked for.
        tickets: how many there are.
        model: their network. One that draws random numbers while it trains is trained by itself: torch's generator
            is one for all.
        image_shape: channels, height, width.
        device: where they are trained.
    """
    wanted = min(acceleration.tickets_at_once or (MOST_AT_ONCE if is_gpu(device) else 1), tickets)
    return 1 if wanted > 1 and draws_random_numbers(model, image_shape) else wanted


def held_by_memory(wanted: int, rehearse: Callable[[], None], memory: Memory, device: torch.device | str) -> int:
    """Return how many of the tickets fit into memory at once, and say so if it is not all of them.

    Args:
        wanted: how many are to be trained at the same time.
        rehearse: trains one for some steps, and leaves nothing.
        memory: made before that.
        device: that it is the memory of.
    """
    rehearse()
    taken = memory.most_taken()
    held = max(1, int(SHARE_OF_FREE_MEMORY * memory.free() / max(1, taken)))
    if held >= wanted:
        return wanted
    logging.getLogger(__name__).warning(
        "the memory of %s holds %d of %d tickets at once: the others wait for their turn.", device, held, wanted
    )
    return held


def draws_random_numbers(model: nn.Module, image_shape: tuple[int, int, int]) -> bool:
    """Return whether a network draws from torch's generator when it is trained, as dropout does."""
    probed = copy_network(model).cpu().train()
    before = torch.get_rng_state()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        logits_of(probed, torch.zeros(2, *image_shape))
        return not torch.equal(torch.get_rng_state(), before)


def train_together(
    begin: Callable[[int], TicketTraining],
    tickets: int,
    at_once: int,
    after_epoch: Callable[[int, TicketTraining], None],
) -> list[Record]:
    """Train tickets to their ends, each epoch of those that are trained now batch by batch in turn.

    Args:
        begin: given a ticket's number, returns its training, which may have been begun or even ended before.
        tickets: how many there are.
        at_once: how many of them are trained at the same time.
        after_epoch: called after each epoch with a ticket's number and training.
    """
    waiting = deque(range(tickets))
    trained: dict[int, TicketTraining] = {}
    records: dict[int, Record] = {}
    while waiting or trained:
        while waiting and len(trained) < at_once:
            number = waiting.popleft()
            trained[number] = begin(number)
        _train_epoch_of_each(trained, after_epoch)
        records |= _taken_out(trained)
    return [records[number] for number in range(tickets)]


def _train_epoch_of_each(
    trained: Mapping[int, TicketTraining], after_epoch: Callable[[int, TicketTraining], None]
) -> None:
    going_on = {number: training for number, training in trained.items() if not training.ended}
    if going_on:
        train_epoch(going_on.values())
    for number, training in going_on.items():
        after_epoch(number, training)


def _taken_out(trained: dict[int, TicketTraining]) -> dict[int, Record]:
    """Return the records of those that have ended; nothing holds their memory any more when the next are begun."""
    ended = [number for number, training in trained.items() if training.ended]
    return {number: trained.pop(number).record() for number in ended}


def train_epoch(trainings: Collection[TicketTraining]) -> None:
    """Do the next epoch of each training; they may be at different epochs."""
    with _generator_of(trainings):
        turns: list[Iterator[None]] = [training.steps() for training in trainings]
        while turns:
            turns = [steps for steps in turns if next(steps, _OVER) is not _OVER]
        for training in trainings:
            training.read_metrics()


_OVER = object()


def _generator_of(trainings: Collection[TicketTraining]) -> contextlib.AbstractContextManager[None]:
    if len(trainings) > 1:
        return contextlib.nullcontext()  # none of them draws from torch's generator
    (training,) = trainings
    return training.own_generator()
