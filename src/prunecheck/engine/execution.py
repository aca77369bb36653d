"""How one run is executed: data, network, ticket, check, training."""

import functools
import itertools
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import nn

from prunecheck.checks import Change, find_check
from prunecheck.data import (
    Batches,
    DataPlaces,
    Dataset,
    NewSamples,
    ScoringData,
    TrainingEpochs,
    blank_batch,
    load_dataset,
    scoring_samples,
)
from prunecheck.engine.training import Execution, Stopwatch, Together, one_thread
from prunecheck.errors import InputError
from prunecheck.models import Model, build_model, find_model, require_input
from prunecheck.observation import Observation
from prunecheck.pruning import DENSE, Collapse, Method, Ticket, Training, dense_ticket, find_method, make_ticket
from prunecheck.pruning.tickets import Weights, copy_weights
from prunecheck.randomness import generator, seeded_global_generator
from prunecheck.runs.dependencies import needed_runs
from prunecheck.runs.own_code import (
    ALL_BUILT_IN,
    OwnCode,
    check_code,
    load_own_code,
    require_same_code,
    require_unchanged,
)
from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunFolder, RunStore
from prunecheck.training import Acceleration, Checkpoint
from prunecheck.training.acceleration import WHERE_IT_PAYS
from prunecheck.user_code import Code, Reference, files_beyond, global_state_kept


@dataclass(frozen=True)
class Job:
    """A run to execute.

    Attributes:
        method: what finds it in any process: its name, with the whole path for one in a user's file, or the user's
            object itself.
        dataset: what finds it, likewise.
        places: where data sets lie.
        needs: the runs whose weights it uses.
        acceleration: what may make its training faster; like the device, no part of the run.
        own: what comes from outside of prunecheck.
        model: what finds the network, likewise; None for the one that the spec names.
    """

    spec: RunSpec
    root: Path
    method: str | Reference
    dataset: str | Reference | Dataset
    places: DataPlaces | None
    device: str
    needs: tuple[RunSpec, ...] = ()
    acceleration: Acceleration = WHERE_IT_PAYS
    own: OwnCode = ALL_BUILT_IN
    model: str | Reference | None = None


def require_portable(jobs: Iterable[Job]) -> None:
    """Raise :class:`InputError` if users' objects that lie in no file cannot be sent to other processes."""
    for job in jobs:
        for given in (job.method, job.model, job.dataset):
            if isinstance(given, Reference):
                _ = given.pickled


OnEpoch = Callable[[int, float], None]
"""Called after each epoch with the number of epochs done and the test accuracy in percent."""

OnRunEpoch = Callable[[RunSpec, int, float], None]
"""Likewise, for one of several runs."""


class Stopped(Exception):  # noqa: N818 - no error
    """A run was asked to stop after an epoch; it goes on from there when it is executed again."""


class _ListenerError(Exception):
    """What was called after an epoch failed, which is no failure of the run."""


def execute(job: Job, on_epoch: OnEpoch) -> RunResult:
    """Do a run, or go on with it where it was interrupted, and leave its folder complete.

    Runs on one thread, so that its result does not depend on the machine's number of cores. A run
    that fails by itself ends with a result that says why.

    Raises:
        Stopped: a stop was requested; what is done is saved.
        InputError: what the run needs is not there, or is another than its spec was made for.
        OSError: the disk is full, or cannot be written to.
    """
    (result,) = execute_together([job], lambda _, epoch, accuracy: on_epoch(epoch, accuracy))
    return result


def execute_together(jobs: Sequence[Job], on_epoch: OnRunEpoch) -> list[RunResult]:
    """Do runs of one setting, each as :func:`execute` does it: all tickets are made, and then trained together.

    Each ends as it would alone, bit for bit on the CPU; one that diverges or fails does not touch the others.

    Raises:
        Stopped: a stop was requested, and every run has stopped or ended since.
        InputError, OSError: see :func:`execute`.
    """
    ended, too_large, stopped = _take_turns(jobs, on_epoch)
    for job in too_large:
        again, _, also_stopped = _take_turns([job], on_epoch)
        ended, stopped = ended | again, stopped + also_stopped
    if stopped:
        raise Stopped(stopped[0].spec.folder_name)
    return [ended[job.spec] for job in jobs]


def _take_turns(jobs: Sequence[Job], on_epoch: OnRunEpoch) -> tuple[dict[RunSpec, RunResult], list[Job], list[Job]]:
    """Return what runs ended with, those for which there was too little memory beside others, and those stopped."""
    ended: dict[RunSpec, RunResult] = {}
    too_large: list[Job] = []
    stopped: list[Job] = []
    together = Together(len(jobs))

    def turns_of(job: Job) -> Iterator[None]:
        try:
            ended[job.spec] = yield from _timed_turns(job, functools.partial(on_epoch, job.spec), together)
        except torch.OutOfMemoryError:
            too_large.append(job)
        except Stopped:
            stopped.append(job)
        except _ListenerError as error:
            if not isinstance(error.__cause__, Stopped):
                raise (error.__cause__ or error) from None
            stopped.append(job)

    with one_thread():
        runs = [turns_of(job) for job in jobs]
        together.take_turns([run for run in runs if next(run, _OVER) is not _OVER])
    return ended, too_large, stopped


_OVER = object()


def _timed_turns(job: Job, on_epoch: OnEpoch, together: Together) -> Generator[None, None, RunResult]:
    store = RunStore(job.root)
    folder = store.folder(job.spec)
    if result := folder.result():
        return result

    def require_no_stop() -> None:
        if store.stop_requested():
            raise Stopped(job.spec.folder_name)

    def after_epoch(epoch: int, accuracy: float) -> None:
        try:
            on_epoch(epoch, accuracy)
        except Exception as error:
            raise _ListenerError from error
        if epoch < job.spec.setting.recipe.epochs:
            require_no_stop()

    stopwatch = Stopwatch()
    require_no_stop()
    turns = _turns(job, folder, after_epoch, together, stopwatch)
    for number in itertools.count():
        try:
            next(turns)
        except StopIteration as end:
            return cast(RunResult, end.value)
        with stopwatch.paused():
            yield
        if not number:  # it may have waited long
            require_no_stop()
    raise AssertionError


def _turns(
    job: Job, folder: RunFolder, on_epoch: OnEpoch, together: Together, stopwatch: Stopwatch
) -> Generator[None, None, RunResult]:
    """Make a run's ticket, yield, train it in turns, and leave its folder complete."""
    spec, execution = job.spec, Execution(folder, job.device, job.acceleration, stopwatch)

    def after_epoch(checkpoint: Checkpoint) -> None:
        on_epoch(len(checkpoint.metrics), checkpoint.metrics[-1].test_accuracy)

    load_own_code(job.own)
    dataset = together.dataset(lambda: find_spec_dataset(job))
    method, network = find_spec_method(job), find_spec_network(job)
    given = {} if execution.ticket else _trained_weights(job, method)
    failure = None
    try:
        with Observation() as seen:
            model = build_network(spec, dataset, network)
            if execution.ticket is None:
                made = (
                    given
                    if isinstance(given, Ticket)
                    else build_ticket(spec, dataset, model, method, given, job.device, builder=network)
                )
        if execution.ticket is None:
            require_unchanged(spec.method, method.code if method else None)
            require_unchanged(f"the network {spec.setting.model}", network.code)
            folder.write_inputs(_inputs_beyond(seen, method, network.code, spec))
            execution.begin(made)
        if not execution.has_collapsed:
            data = corrupted(dataset, find_check(spec.trained_on), spec.seed)
            shared = together.shared(model, data, spec.setting.recipe, job.device, job.acceleration)
            yield  # until the others have their tickets, which are made with all of the memory
            yield from execution.steps(model, after_epoch, shared)
    except (Stopped, _ListenerError, OSError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, torch.OutOfMemoryError) and together.count > 1:
            folder.log("there was too little memory beside other runs: done again alone")
            raise
        folder.log(traceback.format_exc())
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        failure = " ".join(f"{kind}{error}".split())
    return execution.end(dataset, failure)


def _trained_weights(job: Job, method: Method | None) -> dict[Training, Weights] | Ticket:
    """Return the weights of the runs that a run needs; a collapsed ticket if one of these has none."""
    store = RunStore(job.root)
    given: dict[Training, Weights] = {}
    for training, needed in needed_runs(job.spec, method).items():
        result, checkpoint = store.result(needed), store.folder(needed).checkpoint()
        if result and result.status != "trained":
            layer = result.collapse.layer if result.collapse else "all layers"
            reason = f"the {training.method} run whose weights it needs {result.status}"
            return Ticket({}, {}, collapse=Collapse(layer, reason))
        if result is None or checkpoint is None:
            folder = store.folder(needed).path
            raise InputError(
                f"{job.spec.folder_name} needs the trained weights of {folder}, and they are not there: remove that "
                "folder and call the command again."
            )
        given[training] = checkpoint.weights
    return given


def find_spec_dataset(job: Job) -> Dataset:
    """Return the data set of a job, shortened as its spec says.

    Raises:
        InputError: it is not to be found, or another than the one that the spec was made for.
    """
    dataset = load_dataset(job.dataset, job.places)
    if dataset.fingerprint != job.spec.setting.dataset_hash:
        raise InputError(
            f"{job.spec.setting.dataset} was changed while its runs were going on: call the command again."
        )
    return dataset.shortened(job.spec.setting.train_images, job.spec.setting.test_images)


def find_spec_method(job: Job) -> Method | None:
    """Return the method of a job, None for a dense network.

    Raises:
        InputError: the user's file is another than the one that the spec was made for.
    """
    if job.spec.method == DENSE:
        return None
    method = find_method(job.method)
    require_same_code(method.argument, method.code, job.own.seen_by_method, job.spec.method_hash)
    return method


def find_spec_network(job: Job) -> Model:
    """Return a job's network, and see that its checks are what the spec was made for.

    Raises:
        InputError: one of them is not.
    """
    checks = " and ".join(dict.fromkeys(check for check in (job.spec.check, job.spec.trained_on) if check))
    code = check_code(job.spec.check, job.spec.trained_on)
    require_same_code(f"the check {checks}", code, (), job.spec.check_hash)
    setting = job.spec.setting
    model = find_model(job.model or setting.model)
    require_same_code(f"the network {setting.model}", model.code, job.own.seen_by_model, setting.model_hash)
    return model


def _inputs_beyond(seen: Observation, method: Method | None, network: Code | None, spec: RunSpec) -> dict[str, str]:
    """Return the files that the code of a run used and that its spec does not cover, with their hashes."""
    of_method = method.code if method else None
    codes = [code for code in (of_method, network, check_code(spec.check, spec.trained_on)) if code]
    return files_beyond(seen, codes) if codes else {}


def build_network(spec: RunSpec, dataset: Dataset, builder: Model | None = None) -> nn.Module:
    """Return the run's network with its initial weights.

    Args:
        spec: the run.
        dataset: the one that the spec names.
        builder: what builds it; None for the network that is registered under the name in the spec.
    """
    return _build(spec, dataset, spec.seed, builder)


def _build(spec: RunSpec, dataset: Dataset, seed: int, builder: Model | None) -> nn.Module:
    channels, height, width = dataset.image_shape
    options = {} if spec.setting.width is None else {"width": spec.setting.width}
    with global_state_kept():
        model = build_model(
            builder or spec.setting.model,
            dataset.num_classes,
            seed,
            image_size=(height, width),
            input_channels=channels,
            **options,
        )
    require_input(spec.setting.model, model, height, width)
    return model


def build_ticket(
    spec: RunSpec,
    dataset: Dataset,
    model: nn.Module,
    method: Method | None,
    given: Mapping[Training, Weights] | None = None,
    device: torch.device | str = "cpu",
    samples_seed: int | None = None,
    builder: Model | None = None,
) -> Ticket:
    """Make the run's ticket, with its check done to the data, the scores or the ticket.

    Args:
        spec: the run.
        dataset: the one that the spec names.
        model: the run's network, see :func:`build_network`.
        method: None for a dense network.
        given: the weights of the runs that it needs; see :func:`prunecheck.runs.dependencies.needed_runs`.
        device: where criteria score.
        samples_seed: another seed whose samples criteria are to see.
        builder: what builds the network; see :func:`build_network`.
    """
    if method is None:
        return dense_ticket(model)
    change, seed = find_check(spec.check), spec.seed

    def draw_weights(seed: int) -> Weights:
        return copy_weights(_build(spec, dataset, seed, builder))

    with global_state_kept(), seeded_global_generator(seed, "criterion", device=device):
        ticket = make_ticket(
            method,
            model.to(device),
            _scoring_data(
                spec if samples_seed is None else replace(spec, seed=samples_seed),
                dataset,
                method,
                change.of_data,
                device,
            ),
            spec.sparsity,
            generator(seed, "mask placement"),
            draw_weights,
            given=given,
            change_scores=lambda scores: change.change_scores(scores, seed),
        ).on_cpu()
    model.cpu()
    return check_ticket(spec, dataset, model, ticket)


def check_ticket(spec: RunSpec, dataset: Dataset, model: nn.Module, ticket: Ticket) -> Ticket:
    """Return a ticket of the run's network with its check done to it, and its collapse found."""
    return find_check(spec.check).change_ticket(ticket, spec.seed).checked(model, dataset.image_shape)


def _scoring_data(
    spec: RunSpec, dataset: Dataset, method: Method, change: Change, device: torch.device | str
) -> ScoringData:
    classes, seed = dataset.num_classes, spec.seed
    x, y = blank_batch(dataset.image_shape)
    data = ScoringData(shape_only=[(x.to(device), y.to(device))])
    if method.sees("samples"):
        amount = (spec.samples_per_class, spec.scoring_rounds, seed)
        samples = scoring_samples(
            change.select(dataset.train, classes, seed),
            dataset,
            *amount,
            lambda images: change.corrupt(images, classes, seed),
        )
        data = replace(
            data,
            samples=[(x.to(device), y.to(device)) for x, y in samples],
            new_samples=NewSamples(lambda: corrupted(dataset, change, seed).train, dataset, *amount, device),
        )
    if method.sees("training set"):
        images = corrupted(dataset, change, seed).train
        batches = Batches(images, dataset, spec.setting.recipe.batch_size, device)
        data = replace(data, training_set=TrainingEpochs(batches, seed))
    return data


def corrupted(dataset: Dataset, change: Change, seed: int) -> Dataset:
    """Return the data set with its training images selected and corrupted."""
    images = change.select(dataset.train, dataset.num_classes, seed)
    return replace(dataset, train=change.corrupt(images, dataset.num_classes, seed))
