"""Several tickets on one device: who is trained now, and who waits."""

import contextlib
import copy
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import Protocol

import torch
from torch import nn

from prunecheck.training.acceleration import Acceleration, is_gpu
from prunecheck.training.ticket_training import Record, TicketTraining

MOST_AT_ONCE = 32
"""On a GPU, unless more are asked for: torch has no more streams, and more tickets would share them."""

SHARE_OF_FREE_MEMORY = 0.75
"""That further tickets are given: what they take is measured in an epoch in which not everything is captured yet."""


class Memory(Protocol):
    """Of a device, in bytes."""

    def taken(self) -> int:
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

    def taken(self) -> int:
        """Return the most that torch has held for tensors and graphs, beyond what it held before."""
        return torch.cuda.max_memory_reserved(self._device) - self._before

    def free(self) -> int:
        """Return what no process holds."""
        return torch.cuda.mem_get_info(self._device)[0]


class TicketsAtOnce:
    """How many tickets are trained at the same time.

    Args:
        wanted: at most so many.
        memory: that must hold them: only one is trained until it is known what one takes. None: nothing is in the way.
        device: that it is the memory of.
    """

    def __init__(self, wanted: int, memory: Memory | None = None, device: torch.device | str = "cpu") -> None:
        self._wanted = wanted
        self._memory = memory if wanted > 1 else None
        self._device = device
        self.number = wanted if self._memory is None else 1

    def after_epoch(self) -> None:
        """Find out how many fit, once the first ticket has been trained for an epoch."""
        if self._memory is None:
            return
        further = int(SHARE_OF_FREE_MEMORY * self._memory.free() / max(1, self._memory.taken()))
        self._memory = None
        self.number = min(self._wanted, 1 + further)
        if self.number < self._wanted:
            logging.getLogger(__name__).warning(
                "the memory of %s holds %d of the %d tickets at once: the others wait for their turn.",
                self._device,
                self.number,
                self._wanted,
            )


def tickets_at_once(
    acceleration: Acceleration,
    tickets: int,
    model: nn.Module,
    image_shape: tuple[int, int, int],
    device: torch.device | str,
) -> TicketsAtOnce:
    """Return how many tickets may be trained at once; to be called before the first of them is put on the device.

    Args:
        acceleration: what is asked for.
        tickets: how many there are.
        model: their network. One that draws random numbers while it trains is trained by itself: torch's generator
            is one for all.
        image_shape: channels, height, width.
        device: where they are trained.
    """
    asked = acceleration.tickets_at_once or (MOST_AT_ONCE if is_gpu(device) else 1)
    wanted = min(asked, tickets)
    if wanted > 1 and draws_random_numbers(model, image_shape):
        wanted = 1
    return TicketsAtOnce(wanted, GpuMemory(device) if wanted > 1 and is_gpu(device) else None, device)


def draws_random_numbers(model: nn.Module, image_shape: tuple[int, int, int]) -> bool:
    """Return whether a network draws from torch's generator when it is trained, as dropout does."""
    probed = copy.deepcopy(model).cpu().train()
    before = torch.get_rng_state()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        probed(torch.zeros(2, *image_shape))
        return not torch.equal(torch.get_rng_state(), before)


def train_together(
    begin: Callable[[int], TicketTraining],
    tickets: int,
    at_once: TicketsAtOnce,
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
        while waiting and len(trained) < at_once.number:
            number = waiting.popleft()
            trained[number] = begin(number)
        going_on = {number: training for number, training in trained.items() if not training.ended}
        if going_on:
            train_epoch(going_on.values())
            at_once.after_epoch()
        for number, training in going_on.items():
            after_epoch(number, training)
        for number in [number for number, training in trained.items() if training.ended]:
            records[number] = trained.pop(number).record()
    return [records[number] for number in range(tickets)]


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
