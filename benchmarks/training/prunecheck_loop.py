"""prunecheck's training, timed through ``train`` and nothing below it."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack

import torch

from benchmarks.training.task import Task
from prunecheck.training import Acceleration, Checkpoint, train


class PrunecheckLoop:
    """Tickets trained by prunecheck, a call of ``train`` at each turn.

    Args:
        task: what to train.
        acceleration: what may make it faster.
        tickets: how many are given to one call.

    Attributes:
        used: the parts of the acceleration that the last training was done with.
    """

    def __init__(self, task: Task, acceleration: Acceleration, tickets: int = 1) -> None:
        self.task, self.acceleration = task, acceleration
        self.model, self.tickets, self.dataset = task.network(), task.tickets(tickets), task.dataset()
        self.used: tuple[str, ...] = ()

    def turn(self, watched: AbstractContextManager[object] | None = None) -> float:
        """Train each ticket for an epoch that does not count and one that does; return the latter's seconds per step.

        Args:
            watched: entered for what counts; for a single ticket.
        """
        with ExitStack() as stack:

            def between(seconds: Sequence[float]) -> None:
                stack.close()
                if watched and not seconds:
                    stack.enter_context(watched)

            clock = self.train(2, between)
        return sum(clock.seconds) / (len(self.tickets) * self.task.batches)

    def train(self, epochs: int, between: Callable[[Sequence[float]], None]) -> "EpochClock":
        """Train all tickets, and return the times of their epochs.

        Args:
            epochs: of each ticket; the first is not timed.
            between: see :class:`EpochClock`.

        Raises:
            RuntimeError: a training diverged, and ended early.
        """
        clock = EpochClock(self.task.device, between)
        records = train(
            self.tickets,
            self.model,
            self.dataset,
            self.task.recipe(epochs),
            range(len(self.tickets)),
            device=self.task.device,
            on_epoch=clock,
            acceleration=self.acceleration,
        )
        if any(record.diverged for record in records):
            raise RuntimeError("a training diverged, so that its time says nothing: take fewer batches.")
        self.used = records[0].acceleration
        return clock


class EpochClock:
    """Times the epochs of each ticket but its first, in which everything is built.

    Tickets that are trained at once end an epoch one right after the other: all of its time is that of the ticket
    which ends it first, and the sum over all tickets is right.

    Args:
        device: waited for at the end of each epoch.
        between: called between epochs, untimed, with the seconds of all that were timed.
    """

    def __init__(self, device: torch.device, between: Callable[[Sequence[float]], None]) -> None:
        self.device, self.between = device, between
        self.seconds: list[float] = []
        self.resumed = 0.0

    def __call__(self, index: int, checkpoint: Checkpoint) -> None:
        """Take note that a ticket has done an epoch."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        if len(checkpoint.metrics) > 1:
            self.seconds.append(time.perf_counter() - self.resumed)
        self.between(self.seconds)
        self.resumed = time.perf_counter()
