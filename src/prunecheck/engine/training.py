"""A run done in its folder: its ticket written, trained, and what it ended with."""

import contextlib
import platform
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace

import torch
from torch import nn

import prunecheck
from prunecheck.data import Dataset, Images
from prunecheck.engine.attempts import forget_attempts
from prunecheck.errors import InputError
from prunecheck.metrics import LARGEST, Metric, is_value
from prunecheck.pruning import DENSE, Ticket
from prunecheck.pruning.dense_parameters import DenseParameter, left_dense
from prunecheck.pruning.masks import sparsity_of
from prunecheck.runs.result import MetricResult, RunResult, Status
from prunecheck.runs.store import RunFolder
from prunecheck.runs.tensorboard import Curves
from prunecheck.training import Acceleration, Checkpoint, Recipe, Record, SharedTraining
from prunecheck.training.acceleration import WHERE_IT_PAYS
from prunecheck.training.evaluation import evaluate_ticket
from prunecheck.training.loop import Training

AfterEpoch = Callable[[Training], None]


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
    """Counts the seconds since it was made, without those of pauses."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time of the block out."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._started += time.monotonic() - began

    @property
    def seconds(self) -> float:
        """So far."""
        return time.monotonic() - self._started


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


class Saving:
    """Leaves a training's checkpoints in its folder: when the last one is old, at the end, and before it is left.

    Args:
        folder: of the run.
        seconds: how old a checkpoint is to be before the next one is written.
    """

    def __init__(self, folder: RunFolder, seconds: float) -> None:
        self._folder = folder
        self._seconds = seconds
        self._saved = time.monotonic()

    @contextlib.contextmanager
    def after(self, training: Training) -> Iterator[None]:
        """Write a checkpoint if it is due; if not, and the block raises, write it then: the training stops there."""
        is_due = training.ended or time.monotonic() - self._saved >= self._seconds
        if is_due:
            self._save(training)
        try:
            yield
        except BaseException:
            if not is_due:
                self._save(training)
            raise

    def _save(self, training: Training) -> None:
        self._folder.write_checkpoint(training.checkpoint())
        forget_attempts(self._folder.path)
        self._saved = time.monotonic()


class Execution:
    """A run that is being done in its folder: begun, or gone on with where it was interrupted, then trained and ended.

    Args:
        folder: of the run; its parent exists.
        device: where to train.
        acceleration: what may make the training faster.
        stopwatch: counts the seconds that the run takes; None to begin now.
        metric: what it is judged by; None for accuracy.

    Attributes:
        ticket: what is trained; None until the run has begun.
        start: where training goes on; None for its first epoch.
        growth_images: images in whose gradients a moving mask grows; None for those that are trained on.

    Raises:
        InputError: the folder holds another run, or one that cannot be gone on with.
    """

    def __init__(
        self,
        folder: RunFolder,
        device: str,
        acceleration: Acceleration = WHERE_IT_PAYS,
        stopwatch: Stopwatch | None = None,
        metric: Metric | None = None,
    ) -> None:
        self._folder = folder
        self._device = device
        self._acceleration = acceleration
        self._stopwatch = stopwatch or Stopwatch()
        self._metric = metric
        self._record: Record | None = None
        self._left_dense: tuple[DenseParameter, ...] = ()
        self.growth_images: Images | None = None
        folder.open()
        self.start, self.ticket = _interrupted(folder)

    def begin(self, ticket: Ticket, start: Checkpoint | None = None) -> None:
        """Write what is trained and, if training begins later than with its first epoch, from where."""
        self.ticket, self.start = ticket, start
        self._folder.write_ticket(ticket)
        for remark in ticket.remarks:
            self._folder.log(remark)
        if ticket.collapse:
            self._folder.log(f"collapsed: {ticket.collapse}")
        if start:
            self._folder.write_checkpoint(start)

    @property
    def has_collapsed(self) -> bool:
        """Whether the ticket is degenerate: then it is not trained."""
        return self.ticket is not None and self.ticket.collapse is not None

    def train(self, dataset: Dataset, model: nn.Module, after_epoch: AfterEpoch) -> None:
        """Train the ticket as the spec says, and leave checkpoints and curves.

        Args:
            dataset: trained and tested on, corrupted as the spec says.
            model: the network, left as it was.
            after_epoch: called after each epoch, once it is on disk if a checkpoint is due. What it raises ends the
                training, and the epoch is on disk then.
        """
        recipe = self._folder.spec.setting.recipe
        shared = SharedTraining(model, dataset, recipe, self._device, self._acceleration, wanted=1)
        shared.take_turns([self.steps(model, after_epoch, shared)])

    def steps(self, model: nn.Module, after_epoch: AfterEpoch, shared: SharedTraining) -> Generator[None, None, None]:
        """Train the ticket as :meth:`train` does, in turns with the others of ``shared``."""
        folder, ticket, start, spec = self._folder, self.ticket, self.start, self._folder.spec
        if ticket is None:
            raise ValueError("a run is trained once it has begun")
        done = start.metrics if start else ()
        self._left_dense = left_dense(model)
        folder.log(f"training from epoch {len(done) + 1} of {spec.setting.recipe.epochs} on {self._device}")
        with Curves(folder.path, done) as curves:
            saving = Saving(folder, self._acceleration.checkpoint_seconds)

            def write(training: Training) -> None:
                curves.add(training.metrics[-1])
                with saving.after(training):
                    after_epoch(training)

            measure = self._metric.value if self._metric and self._metric.column is None else None
            self._record = yield from shared.steps(ticket, model, spec.seed, start, write, measure, self.growth_images)
            if self._metric and self._record.value is not None:
                curves.add_metric(self._metric.name, self._record.value, spec.setting.recipe.epochs)
        if self._record.acceleration:
            folder.log(f"made faster by {', '.join(self._record.acceleration)}")

    def evaluate(self, model: nn.Module, dataset: Dataset) -> None:
        """Test the ticket as it is."""
        if self.ticket is None:
            raise ValueError("a run is tested once it has begun")
        self._left_dense = left_dense(model)
        measure = self._metric.value if self._metric and self._metric.column is None else None
        self._record = evaluate_ticket(self.ticket, model, dataset, self._device, measure)
        if self._folder.spec.method == DENSE:  # what tickets are made of
            self._folder.write_checkpoint(Checkpoint(self._record.weights, {}, ()))

    def end(self, dataset: Dataset, failure: str | None = None) -> RunResult:
        """Write what the run ended with, the sign that it is complete, and return it.

        Args:
            dataset: that it was tested on.
            failure: why the run failed, in one line; None if it did not.
        """
        seconds = self._stopwatch.seconds
        result = run_result(dataset, self._device, self.ticket, self._record, seconds, failure)
        result = replace(result, left_dense=self._left_dense)
        if self._metric:
            result = replace(result, metric=_metric_result(self._metric, dataset, result.status, self._record))
        self._folder.write_result(result)
        return result


def _interrupted(folder: RunFolder) -> tuple[Checkpoint | None, Ticket | None]:
    """Return where a run was interrupted, and its ticket, whatever another version would make today.

    What is damaged is no loss but of time: the run begins anew.
    """
    folder.require_same_inputs()
    try:
        start = folder.checkpoint()
        ticket = folder.ticket() if start else None
    except InputError as error:
        folder.log(f"begun anew: {error}")
        folder.forget()
        return None, None
    return (start, ticket) if ticket else (None, None)


def _metric_result(metric: Metric, dataset: Dataset, status: Status, record: Record | None) -> MetricResult:
    """Return what a metric makes of a run."""
    value = None
    if record and status is Status.TRAINED:
        value = metric.of_column(getattr(record, metric.column)) if metric.column else record.value
        if value is not None and not is_value(value):
            raise InputError(
                f"the loss of the network is so large that its {metric.name} is beyond {LARGEST:g}: "
                "choose another metric."
            )
    labels = torch.from_numpy(dataset.test.labels.astype("int64").ravel())
    return MetricResult(value, metric.chance_level(labels, dataset.num_classes), metric.counts_images)


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
    masks = (record.masks if record else {}) or (ticket.masks if ticket else {})
    result = RunResult(
        status=Status.COLLAPSED if failure is None else Status.FAILED,
        accuracy=None,
        best_accuracy=None,
        epochs=0,
        chance=dataset.chance_accuracy,
        test_images=dataset.test.labels.size,
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
        accuracy=record.test_accuracy,
        best_accuracy=max(_accuracies(record)),
        sequence_losses=record.tested.sequence_losses if record.tested else (),
        epochs=len(record.metrics),
    )


def _accuracies(record: Record) -> list[float]:
    """Return the accuracies of all epochs that were tested after, or of the only test."""
    tested = [record.tested.accuracy] if record.tested else [epoch.test_accuracy for epoch in record.metrics]
    return [accuracy for accuracy in tested if accuracy is not None]
