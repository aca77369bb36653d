"""An ordinary run whose ticket or beginning comes from the user's files."""

from collections.abc import Callable
from dataclasses import dataclass

from prunecheck.data import Dataset
from prunecheck.engine.training import Execution, one_thread
from prunecheck.paper.scripts.epoch_files import EpochFiles
from prunecheck.paper.scripts.setting import Machine
from prunecheck.pruning import Ticket
from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.store import RunFolder
from prunecheck.training import Checkpoint
from prunecheck.training.acceleration import EVERY_EPOCH

AfterEpoch = Callable[[Checkpoint], None]


@dataclass(frozen=True)
class ScriptRun:
    """A run to do.

    Attributes:
        folder: its run folder, whose parent exists.
        dataset: trained and tested on, corrupted as the spec says.
        ticket: what is trained, unless the run goes on with its own.
        start: where it begins, if not at its first epoch.
        files: what is written after each epoch.
    """

    folder: RunFolder
    dataset: Dataset
    ticket: Ticket
    start: Checkpoint | None
    files: EpochFiles


def finish(run: ScriptRun, machine: Machine, also: AfterEpoch = lambda _: None) -> RunResult:
    """Do a run to its end and say how it ended; of one that is done already, files that are gone are written again.

    Args:
        run: what to do.
        machine: where to train; says each epoch.
        also: what else is done with the state after an epoch, those before an interruption included.
    """

    def after_epoch(checkpoint: Checkpoint) -> None:
        run.files.write(checkpoint)
        also(checkpoint)
        run.files.say(checkpoint, machine.say)

    if result := run.folder.result():
        machine.say(f"done already: {run.folder.path}")
        checkpoint = run.folder.checkpoint()
        if checkpoint:
            also(checkpoint)
            if not (run.files.folder / run.files.checkpoint).exists():
                run.files.write(checkpoint)
    else:
        result = _execute(run, machine.device, after_epoch)
    machine.say(_ending(result))
    return result


def _execute(run: ScriptRun, device: str, after_epoch: AfterEpoch) -> RunResult:
    """Do a run, or go on with it; after the epoch that it goes on from, ``after_epoch`` is called first.

    On one thread like every run, so that its result is that of the same run through the library.
    """
    with one_thread():
        execution = Execution(run.folder, device, EVERY_EPOCH)
        if execution.ticket is None:
            execution.begin(run.ticket, run.start)
        if execution.start and execution.start.metrics:
            after_epoch(execution.start)
        if not execution.has_collapsed:
            execution.train(run.dataset, run.files.model, lambda training: after_epoch(training.checkpoint()))
        return execution.end(run.dataset)


def _ending(result: RunResult) -> str:
    if result.collapse:
        return f"collapsed, and not trained: {result.collapse}"
    if result.status == Status.DIVERGED:
        return f"diverged in epoch {result.epochs}: try a smaller --lr"
    return f"Best acc:\n{result.best_accuracy}"
