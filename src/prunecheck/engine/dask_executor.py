"""Hands runs to the engine's workers, and tells what becomes of them."""

import contextlib
import logging
import platform
import queue
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import prunecheck
from prunecheck.engine.attempts import Attempt
from prunecheck.engine.bundled_messages import BundledMessages
from prunecheck.engine.dask_cluster import nanny_answers, own_versions, require_same_versions
from prunecheck.engine.events import EpochDone, Event, RunDone
from prunecheck.engine.execution import OnRunEpoch, Stopped
from prunecheck.engine.groups import Group, grouped
from prunecheck.engine.job import Job, find_spec_dataset, require_own_code
from prunecheck.engine.run_lock import command_of, execute_locked
from prunecheck.engine.worker_watch import WorkerWatch
from prunecheck.errors import InputError, field_name
from prunecheck.metrics import ACCURACY
from prunecheck.runs.result import MetricResult, RunResult, Status
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunStore
from prunecheck.training.acceleration import require_available

FEWEST_KNOWN = 200
"""Groups of runs that the engine knows at a time. It keeps some kB of each; a worker needs no more than its next."""

Do = Callable[[Sequence[Job], OnRunEpoch], list[RunResult]]


@dataclass(frozen=True)
class Command:
    """What workers know of the command whose runs they do.

    Attributes:
        token: of this call alone, so that two commands with one scheduler do not meet.
        folder: where it was called, which relative paths start from.
        versions: those that a worker needs to have too.
        is_remote: whether the workers were started by others, and may be left behind.
        processes: how many of this machine were started for it; 0 if they were started by others.
        deaths_allowed: how many processes may end in the middle of a run, one after another, before an epoch
            of it is on disk; after that it has failed.
        machines_allowed: likewise, how many may end together with what would have started them anew.
    """

    token: str
    folder: Path
    versions: Mapping[str, str | None] = field(default_factory=dict)
    is_remote: bool = False
    processes: int = 0
    deaths_allowed: int = 4
    machines_allowed: int = 20

    @property
    def topic(self) -> str:
        """The name under which the engine passes on what is told of epochs."""
        return f"prunecheck epochs {self.token}"


def require_ready_workers(client: Any, jobs: Sequence[Job], command: Command) -> None:
    """Say so if no worker has joined yet, and see that those that have can do such runs.

    Raises:
        InputError: a worker has another version, several threads, or no GPU where the runs need one, does not see
            the folder of the runs, or cannot load users' own code.
    """
    if not client.nthreads():
        logging.getLogger(__name__).warning(
            "no worker has joined the scheduler yet: the runs begin as soon as one does (`dask worker --nthreads 1`)."
        )
    client.run(_require_ready, jobs[0], command)
    client.run(_require_own_code, _of_different_code(jobs))


def _require_ready(job: Job, command: Command, dask_worker: Any) -> None:
    """Raise :class:`InputError` if this worker, which the engine names, cannot do such runs."""
    who = f"the worker {dask_worker.address}"
    require_same_versions(who, own_versions(), command.versions)
    threads = dask_worker.state.nthreads
    if threads != 1:
        raise InputError(f"{who} has {threads} threads: start workers with --nthreads 1, and more of them.")
    if not command.folder.is_dir():
        raise InputError(f"{who} does not see {command.folder}: call the command in a folder that all machines share.")
    root = command.folder / job.root
    if command_of(root) != command.token:
        raise InputError(
            f"{who} does not see what is in {root}: choose for {field_name('out')} a folder that all machines share.",
            field="out",
        )
    if job.device.startswith("cuda"):
        import torch

        if not torch.cuda.is_available():
            raise InputError(
                f"{who} has no GPU: start workers where there is one, or set {field_name('device')} to cpu.",
                field="device",
            )
    try:
        require_available(job.acceleration, job.device)
    except InputError as error:
        raise error.within(f"{who} cannot train as asked") from error.__cause__


def _of_different_code(jobs: Sequence[Job]) -> list[Job]:
    """Return a job for each combination of a method, a network, a data set and checks."""
    by_code = {(job.spec.method, job.spec.setting.model, job.spec.setting.dataset, job.spec.check): job for job in jobs}
    return list(by_code.values())


def _require_own_code(jobs: Sequence[Job], dask_worker: Any) -> None:
    """Raise :class:`InputError` if this worker, which the engine names, cannot load the code of runs."""
    for job in jobs:
        try:
            require_own_code(job)
        except ImportError as error:
            raise InputError(
                f"the worker {dask_worker.address} cannot import what {job.spec.folder_name} needs ({error}): install "
                "it there, too."
            ) from error
        except InputError as error:
            raise error.within(f"the worker {dask_worker.address}") from error.__cause__


def hand_out(
    client: Any, jobs: Sequence[Job], on_event: Callable[[Event], None], command: Command, do: Do = execute_locked
) -> None:
    """Have the engine's workers do runs, and return once all have ended.

    A run whose worker ends goes on with another worker, from its last epoch. One that ends its
    workers again and again, without getting on, has failed.

    Args:
        client: of the engine.
        jobs: the runs, each after those that it needs.
        on_event: called in this thread for every epoch and run that is done.
        command: what the workers are told.
        do: what a worker does with runs that are trained together.

    Raises:
        Stopped: a stop was requested, and every run has stopped or ended since.
        InputError, OSError: of the first run that could not be done for reasons outside of it; the
            connection to the scheduler was lost; the processes of this machine have ended, and none was started anew.
    """
    news: queue.SimpleQueue[Any] = queue.SimpleQueue()
    client.subscribe_topic(command.topic, lambda event: news.put(event[1]))
    workers = command.processes or sum(client.nthreads().values()) or 1
    left, turn, stopped = grouped(jobs, workers), 0, None
    watch = WorkerWatch(command.processes)
    while left and stopped is None:
        # What the engine gives up was waiting for a worker, or for a run that was, when that ended.
        left, stopped = _Turn(client, turn, on_event, command, do, news, watch).hand_out(left)
        turn += 1
    if stopped:
        raise stopped


class _Turn:
    """One handing out of runs, each to end once."""

    def __init__(
        self,
        client: Any,
        number: int,
        on_event: Callable[[Event], None],
        command: Command,
        do: Do,
        news: "queue.SimpleQueue[Any]",
        watch: WorkerWatch,
    ) -> None:
        self._client = client
        self._number = number
        self._on_event = on_event
        self._command = command
        self._do = do
        self._news = news
        self._watch = watch
        self._keys: dict[RunSpec, str] = {}
        self._known: dict[str, tuple[Group, Any]] = {}
        self._most_known = 0
        self._again: set[str] = set()
        self._stopped: Stopped | None = None

    def hand_out(self, groups: Sequence[Group]) -> tuple[list[Group], Stopped | None]:
        """Return the groups that are to be handed out again, and whether a run was stopped."""
        self._keys = {job.spec: self._key(group) for group in groups for job in group}
        waiting = deque(groups)
        while waiting or self._known:
            if waiting and len(self._known) <= self._most_known // 2:
                self._tell_of(waiting)
            with contextlib.suppress(queue.Empty):
                self._take(self._news.get(timeout=self._watch.seconds_to_next_look()))
            if not self._watch.seconds_to_next_look():
                with self._connection():
                    count = len(self._client.nthreads())
                self._watch.see(count)
        return [group for group in groups if self._key(group) in self._again], self._stopped

    def _tell_of(self, waiting: deque[Group]) -> None:
        """Let the engine know more groups; it gives them to workers when and where it likes."""
        with self._connection():
            self._most_known = max(FEWEST_KNOWN, 4 * sum(self._client.nthreads().values()))
            groups = [waiting.popleft() for _ in range(min(len(waiting), self._most_known - len(self._known)))]
            self._submit({self._key(group): group for group in groups})

    def _submit(self, groups: Mapping[str, Group]) -> None:
        # All in one graph: of what it sees to be many, the engine gives each worker one at a time.
        graph = {
            # A list, for the engine takes a tuple for a task.
            key: (_execute_on_worker, list(group), self._dependencies(group, groups), self._command, self._do)
            for key, group in groups.items()
        }
        for future in self._client.get(graph, list(graph), sync=False):
            self._known[future.key] = groups[future.key], future
            future.add_done_callback(self._news.put)

    def _dependencies(self, group: Group, beside: Mapping[str, Group]) -> list[Any]:
        """Return what runs wait for. What is over is on disk, and is not waited for."""
        keys = dict.fromkeys(self._keys[spec] for job in group for spec in job.dependencies if spec in self._keys)
        return [key if key in beside else self._known[key][1] for key in keys if key in beside or key in self._known]

    def _key(self, group: Group) -> str:
        """Name runs to the engine, which takes what has the same first word for one of its groups."""
        return f"run-{group[0].spec.hash}-{self._number}-{self._command.token}"

    def _take(self, item: Any) -> None:
        if isinstance(item, tuple):
            key, epochs = item
            for number, epoch, accuracy in epochs if key in self._known else ():
                self._on_event(EpochDone(self._known[key][0][number].spec, epoch, accuracy))
            return
        group, _ = self._known.pop(item.key)
        try:
            with self._connection():
                results = self._results(item)
        except Stopped as error:
            self._stopped = error
            return
        for job, result in zip(group, results, strict=False):
            self._on_event(RunDone(job.spec, result))

    def _results(self, future: Any) -> list[RunResult]:
        """Return what runs ended with, none if they are to be handed out again."""
        from distributed import KilledWorker
        from distributed.scheduler import NoValidWorkerError

        try:
            results: list[RunResult] = future.result()
        except KilledWorker:
            # Whether the runs were being done is not said: the death is counted against all that waited there, too.
            self._again.add(future.key)
            return []
        except NoValidWorkerError as error:
            raise InputError(
                f"the scheduler gave up waiting for workers ({error}): start some, or raise its "
                "distributed.scheduler.no-workers-timeout, and call the command again."
            ) from error
        except ImportError as error:
            raise InputError(f"a worker cannot import what it needs ({error}): install it on all machines.") from error
        return results

    @contextlib.contextmanager
    def _connection(self) -> Any:
        """Turn what the engine says once its scheduler is gone into an error of the system's."""
        from distributed import CancelledError
        from distributed.comm.core import CommClosedError

        try:
            yield
        except (CancelledError, CommClosedError) as error:
            raise ConnectionError("the connection to the scheduler was lost") from error


def _record_killed(job: Job, deaths: int) -> RunResult:
    """Record that a run ends whatever process does it, so that the others go on."""
    folder = RunStore(job.root).folder(job.spec)
    folder.open()
    reason = f"{deaths} worker processes ended while doing it; the machine may have had too little memory"
    folder.log(f"failed: {reason}")
    result = RunResult(
        status=Status.FAILED,
        accuracy=None,
        best_accuracy=None,
        epochs=0,
        chance=find_spec_dataset(job).chance_accuracy,
        sparsity=0.0,
        kept={},
        collapse=None,
        reason=reason,
        seconds=0.0,
        device=job.device,
        versions={"prunecheck": prunecheck.__version__, "python": platform.python_version()},
        metric=None if job.spec.setting.quantity == ACCURACY else MetricResult(None),
    )
    folder.write_result(result)
    return result


def _execute_on_worker(
    jobs: Sequence[Job], dependencies: Sequence[list[RunResult]], command: Command, do: Do
) -> list[RunResult]:
    """Do runs; the results of those that they depend on only say that they are on disk."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    if command.is_remote:
        _require_current(jobs[0], command)
        _require_ready(jobs[0], command, worker)
        _require_own_code(jobs[:1], worker)

    numbers = {job.spec: number for number, job in enumerate(jobs)}
    store = RunStore(command.folder / jobs[0].root)
    attempts = [
        Attempt(store.folder(job.spec).path, command.token, str(worker.nanny or ""), nanny_answers) for job in jobs
    ]

    epochs = BundledMessages(lambda bundle: worker.log_event(command.topic, (key, bundle)))

    def after_epoch(spec: RunSpec, epoch: int, accuracy: float | None) -> None:
        epochs.add((numbers[spec], epoch, accuracy))
        if command.is_remote and epoch < spec.epochs:
            _require_current(jobs[numbers[spec]], command)

    results: dict[RunSpec, RunResult] = {}
    try:
        with contextlib.chdir(command.folder):
            for part in _parts(jobs, [attempt.deaths + attempt.machines_lost for attempt in attempts]):
                before = attempts[numbers[part[0].spec]]
                if before.deaths >= command.deaths_allowed or before.machines_lost >= command.machines_allowed:
                    results[part[0].spec] = _record_killed(part[0], before.deaths + before.machines_lost)
                    continue
                with contextlib.ExitStack() as begun:
                    for job in part:
                        begun.enter_context(attempts[numbers[job.spec]].begun())
                    results |= zip([job.spec for job in part], do(part, after_epoch), strict=True)
            return [results[job.spec] for job in jobs]
    except Exception as error:
        # The engine sends that along too, and cannot if it leads back to the error.
        error.__context__ = None
        raise
    finally:
        epochs.send()


def _parts(jobs: Sequence[Job], deaths: Sequence[int]) -> list[list[Job]]:
    """Return which runs are done together: those in whose middle a process has ended are done alone, after the others.

    Which of a group ends its processes shows when each is alone.
    """
    untouched = [job for job, count in zip(jobs, deaths, strict=True) if not count]
    suspected = [[job] for job, count in zip(jobs, deaths, strict=True) if count]
    return [*([untouched] if untouched else []), *suspected]


def _require_current(job: Job, command: Command) -> None:
    """Raise :class:`Stopped` if another command, or none, is at work in the root."""
    if command_of(command.folder / job.root) != command.token:
        raise Stopped(job.spec.folder_name)
