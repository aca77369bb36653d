"""How one run is executed: data, network, ticket, check, training."""

import functools
import itertools
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import cast

import torch

from prunecheck.checks import find_check
from prunecheck.engine.job import Job, find_spec_dataset, find_spec_method, find_spec_metric, find_spec_network
from prunecheck.engine.shared_tickets import unchanged_ticket
from prunecheck.engine.tickets import build_network, build_ticket, check_ticket, corrupted, images_that_grow
from prunecheck.engine.training import Execution, Stopwatch, Together, one_thread
from prunecheck.errors import InputError, field_name
from prunecheck.observation import Observation
from prunecheck.pruning import Collapse, Method, Ticket, Training
from prunecheck.pruning.tickets import Weights
from prunecheck.runs.dependencies import dependencies_of
from prunecheck.runs.own_code import (
    check_code,
    load_own_code,
    require_unchanged,
)
from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunFolder, RunStore
from prunecheck.training import Checkpoint
from prunecheck.training.loop import Training as TrainingSoFar
from prunecheck.user_code import Code, files_beyond

OnEpoch = Callable[[int, float | None], None]
"""Called after each epoch with the number of epochs done and the test accuracy in percent, None without a test."""

OnRunEpoch = Callable[[RunSpec, int, float | None], None]
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

    def after_epoch(epoch: int, accuracy: float | None) -> None:
        try:
            on_epoch(epoch, accuracy)
        except BaseException as error:
            raise _ListenerError from error
        if epoch < job.spec.epochs:
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
    load_own_code(job.own)
    metric = find_spec_metric(job)
    spec, execution = job.spec, Execution(folder, job.device, job.acceleration, stopwatch, metric)

    def after_epoch(training: TrainingSoFar) -> None:
        on_epoch(len(training.metrics), training.metrics[-1].test_accuracy)

    dataset = together.dataset(lambda: find_spec_dataset(job))
    method, network = find_spec_method(job), find_spec_network(job)
    if execution.ticket is None and (unmet := _failed_dependency(job, method)):
        folder.log(f"failed: {unmet}")
        return execution.end(dataset, unmet)
    given = {} if execution.ticket else _trained_weights(job, method)
    failure = None
    try:
        with Observation() as seen:
            model = build_network(spec, dataset, network)
            if execution.ticket is None:
                if isinstance(given, Ticket):
                    made = given
                elif before := unchanged_ticket(RunStore(job.root), spec, method, given):
                    made = check_ticket(spec, dataset, model, before)
                else:
                    made = build_ticket(spec, dataset, model, method, given, job.device, builder=network)
        if execution.ticket is None:
            require_unchanged(spec.method, method.code if method else None)
            require_unchanged(f"the network {spec.setting.model}", network.code)
            require_unchanged(f"the metric {spec.setting.metric}", metric.code if metric else None)
            folder.write_inputs(_inputs_beyond(seen, method, network.code, spec))
            execution.begin(made)
        if spec.is_evaluated_only and not execution.has_collapsed:
            execution.evaluate(model, dataset)
        elif not execution.has_collapsed:
            data = corrupted(dataset, find_check(spec.trained_on), spec.seed)
            execution.growth_images = images_that_grow(spec, dataset, execution.ticket)
            shared = together.shared(model, data, spec.setting.recipe, job.device, job.acceleration)
            yield  # until the others have their tickets, which are made with all of the memory
            yield from execution.steps(model, after_epoch, shared)
    except (Stopped, _ListenerError, OSError, MemoryError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # a network of a user's may call sys.exit
        if isinstance(error, torch.OutOfMemoryError) and together.count > 1:
            folder.log("there was too little memory beside other runs: done again alone")
            raise
        folder.log(traceback.format_exc())
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        failure = " ".join(f"{kind}{error}".split())
    return execution.end(dataset, failure)


def _failed_dependency(job: Job, method: Method | None) -> str | None:
    """Say which of the runs that a run needs failed, so that it fails, too; None if none did."""
    store = RunStore(job.root)
    for training, needed in dependencies_of(job.spec, method).items():
        result = store.result(needed)
        if result and result.status is Status.FAILED:
            return f"the {training.method} run whose weights it needs failed: {result.reason}"
    return None


def _trained_weights(job: Job, method: Method | None) -> dict[Training, Weights] | Ticket:
    """Return the weights of the runs that a run needs; a collapsed ticket if one of these has none."""
    store = RunStore(job.root)
    given: dict[Training, Weights] = {}
    for training, needed in dependencies_of(job.spec, method).items():
        result, checkpoint = store.result(needed), _checkpoint_of(store.folder(needed))
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
        given[training] = checkpoint.masks if training.part == "masks" else checkpoint.weights
    return given


def _checkpoint_of(folder: RunFolder) -> Checkpoint | None:
    """Return where a run that is needed ended; one whose weights are damaged is to be done anew."""
    try:
        return folder.checkpoint()
    except InputError as error:
        folder.log(str(error))
        folder.forget()
        raise InputError(
            f"the trained weights in {folder.path} are damaged, and that run is to be done anew: call the command "
            f"again with {field_name('retry_failed')}."
        ) from error


def _inputs_beyond(seen: Observation, method: Method | None, network: Code | None, spec: RunSpec) -> dict[str, str]:
    """Return the files that the code of a run used and that its spec does not cover, with their hashes."""
    of_method = method.code if method else None
    codes = [code for code in (of_method, network, check_code(spec.check, spec.trained_on)) if code]
    return files_beyond(seen, codes) if codes else {}
