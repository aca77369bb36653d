"""A ticket trained in a run folder, and what its run ended with."""

import contextlib
import platform
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace

import torch
from torch import nn

import prunecheck
from prunecheck.data import Dataset
from prunecheck.pruning import Ticket
from prunecheck.pruning.masks import sparsity_of
from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.store import RunFolder
from prunecheck.runs.tensorboard import Curves
from prunecheck.training import Acceleration, Checkpoint, Recipe, Record, SharedTraining
from prunecheck.training.acceleration import WHERE_IT_PAYS


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, so that results do not depend on the machine's number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Stopwatch:
    """Adds up the time of the turns of a run."""

    def __init__(self) -> None:
        self._before = 0.0
        self._started: float | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Count the time of the block."""
        self._started = time.monotonic()
        try:
            yield
        finally:
            self._before, self._started = self.seconds, None

    @property
    def seconds(self) -> float:
        """All turns so far, the present one among them."""
        return self._before + (0.0 if self._started is None else time.monotonic() - self._started)


class Together:
    """What runs of one setting, trained at the same time, have in common.

    Args:
        count: how many runs there are.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._dataset: Dataset | None = None
        self._shared: SharedTraining | None = None

    def dataset(self, find: Callable[[], Dataset]) -> Dataset:
        """Return the data set, which is read once."""
        if self._dataset is None:
            self._dataset = find()
        return self._dataset

    def shared(
        self, model: nn.Module, dataset: Dataset, recipe: Recipe, device: str, acceleration: Acceleration
    ) -> SharedTraining:
        """Return what their trainings share, made for the first of them; see :class:`SharedTraining`."""
        if self._shared is None:
            self._shared = SharedTraining(model, dataset, recipe, device, acceleration, self.count)
        return self._shared

    def take_turns(self, runs: Sequence[Iterator[None]]) -> None:
        """Train runs that have their tickets and have asked for :meth:`shared`."""
        if self._shared is not None:
            self._shared.take_turns(runs)


def train_in_folder(
    folder: RunFolder,
    dataset: Dataset,
    model: nn.Module,
    ticket: Ticket,
    start: Checkpoint | None,
    device: str,
    after_epoch: Callable[[Checkpoint], None],
    acceleration: Acceleration = WHERE_IT_PAYS,
) -> Record:
    """Train a ticket as its run's spec says, and leave a checkpoint and curves after every epoch.

    Args:
        folder: of the run; it is open.
        dataset: trained and tested on, corrupted as the spec says.
        model: the network, left as it was.
        ticket: what is trained.
        start: where to go on, or None.
        device: where to train.
        after_epoch: called when the epoch is on disk.
        acceleration: what may make it faster.
    """
    records: list[Record] = []
    shared = SharedTraining(model, dataset, folder.spec.setting.recipe, device, acceleration, wanted=1)

    def steps() -> Iterator[None]:
        records.append((yield from steps_in_folder(folder, model, ticket, start, device, after_epoch, shared)))

    shared.take_turns([steps()])
    return records[0]


def steps_in_folder(
    folder: RunFolder,
    model: nn.Module,
    ticket: Ticket,
    start: Checkpoint | None,
    device: str,
    after_epoch: Callable[[Checkpoint], None],
    shared: SharedTraining,
) -> Generator[None, None, Record]:
    """Train a ticket as :func:`train_in_folder` does, in turns with the others of ``shared``."""
    done, spec = start.metrics if start else (), folder.spec
    folder.log(f"training from epoch {len(done) + 1} of {spec.setting.recipe.epochs} on {device}")
    with Curves(folder.path, done) as curves:

        def write(checkpoint: Checkpoint) -> None:
            folder.write_checkpoint(checkpoint)
            curves.add(checkpoint.metrics[-1])
            after_epoch(checkpoint)

        record = yield from shared.steps(ticket, model, spec.seed, start, write)
    if record.acceleration:
        folder.log(f"made faster by {', '.join(record.acceleration)}")
    return record


def run_result(
    dataset: Dataset,
    device: str,
    ticket: Ticket | None,
    record: Record | None,
    seconds: float,
    failure: str | None = None,
) -> RunResult:
    """Say what a run ended with.

    Args:
        dataset: that it was tested on.
        device: where it was trained.
        ticket: None if it could not be made.
        record: None if it was not trained.
        seconds: that it took.
        failure: why the run failed, in one line; None if it did not.
    """
    masks = ticket.masks if ticket else {}
    result = RunResult(
        status=Status.COLLAPSED if failure is None else Status.FAILED,
        accuracy=None,
        best_accuracy=None,
        epochs=0,
        chance=dataset.chance_accuracy,
        test_images=len(dataset.test),
        sparsity=sparsity_of(masks) if masks else 0.0,
        kept={layer: (int(mask.sum()), mask.numel()) for layer, mask in masks.items()},
        collapse=ticket.collapse if ticket else None,
        reason=failure,
        seconds=round(seconds, 3),
        device=device,
        versions={
            "prunecheck": prunecheck.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        share_by_lot=ticket.share_by_lot if ticket else 0.0,
    )
    if record is None:
        return result
    result = replace(result, acceleration=record.acceleration)
    if record.diverged:
        return replace(result, status=Status.DIVERGED, epochs=len(record.metrics))
    return replace(
        result,
        status=Status.TRAINED,
        accuracy=record.metrics[-1].test_accuracy,
        best_accuracy=max(epoch.test_accuracy for epoch in record.metrics),
        epochs=len(record.metrics),
    )
