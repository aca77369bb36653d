"""An ordinary run whose ticket or beginning comes from the user's files."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from prunecheck.data import Dataset
from prunecheck.engine.training import one_thread, run_result, train_in_folder
from prunecheck.paper.scripts.epoch_files import EpochFiles
from prunecheck.paper.scripts.setting import Machine
from prunecheck.pruning import Ticket
from prunecheck.runs.result import RunResult
from prunecheck.runs.store import RunFolder
from prunecheck.training import Checkpoint

AfterEpoch = Callable[[Checkpoint], None]


@dataclass(frozen=True)
class Training:
    """A run to execute.

    Attributes:
        folder: its run folder, whose parent exists.
        dataset: trained and tested on, corrupted as the spec says.
        model: the network, left as it is.
        make_ticket: makes the ticket; not called when the run goes on with one.
        start: where it begins, if not at its first epoch.
        device: where to train.
    """

    folder: RunFolder
    dataset: Dataset
    model: nn.Module
    make_ticket: Callable[[], Ticket]
    start: Checkpoint | None
    device: str


def finish(run: Training, files: EpochFiles, machine: Machine, also: AfterEpoch = lambda _: None) -> RunResult:
    """Do a run to its end and say how it ended; of one that is done already, files that are gone are written again.

    Args:
        run: what to do.
        files: what is written after each epoch.
        machine: says each epoch.
        also: what else is done with the state after an epoch, those before an interruption included.
    """
    if result := run.folder.result():
        machine.say(f"done already: {run.folder.path}")
        checkpoint = run.folder.checkpoint()
        if checkpoint:
            also(checkpoint)
            if not (files.folder / files.checkpoint).exists():
                files.write(checkpoint)
    else:

        def after_epoch(checkpoint: Checkpoint) -> None:
            files.write(checkpoint)
            also(checkpoint)
            files.say(checkpoint, machine.say)

        result = execute(run, after_epoch)
    machine.say(_ending(result))
    return result


def _ending(result: RunResult) -> str:
    if result.collapse:
        return f"collapsed, and not trained: {result.collapse}"
    if result.status == "diverged":
        return f"diverged in epoch {result.epochs}: try a smaller --lr"
    return f"Best acc:\n{result.best_accuracy}"


def execute(run: Training, after_epoch: AfterEpoch) -> RunResult:
    """Do a run, or go on with it where it was interrupted, and leave its folder complete.

    Runs on one thread like every run, so that its result is that of the same run through the library.

    Args:
        run: what to do.
        after_epoch: called after each epoch, and first with the epoch that the run goes on from.
    """
    started = time.monotonic()
    with one_thread():
        folder = run.folder
        folder.open()
        ticket = folder.ticket()
        start = folder.checkpoint() if ticket else None
        if ticket is None or start is None:
            ticket, start = run.make_ticket(), run.start
            folder.write_ticket(ticket)
            if start:
                folder.write_checkpoint(start)
        if start and start.metrics:
            after_epoch(start)
        record = None
        if not ticket.collapse:
            record = train_in_folder(folder, run.dataset, run.model, ticket, start, run.device, after_epoch)
        result = run_result(run.dataset, run.device, ticket, record, time.monotonic() - started)
        folder.write_result(result)
    return result
