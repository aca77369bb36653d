"""Many runs at once: in this process, in processes of this machine, or on a cluster."""

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from prunecheck.engine.events import EpochDone, Event, RunDone
from prunecheck.engine.groups import grouped
from prunecheck.engine.job import Job, require_portable
from prunecheck.engine.run_lock import commanded_by, execute_locked, forget_command
from prunecheck.runs.spec import RunSpec

__all__ = ["EpochDone", "Event", "RunDone", "execute_all"]


def execute_all(
    jobs: Sequence[Job],
    workers: int,
    on_event: Callable[[Event], None],
    *,
    scheduler: str | None = None,
    dashboard: str | None = None,
    gpus: Sequence[str] = (),
) -> None:
    """Do all runs, those that are complete already excepted.

    Args:
        jobs: the runs, each after those that it needs; they are begun in about this order. All have
            one root, one device and one acceleration, which says how many of one setting are trained together.
        workers: how many processes of this machine; with 1 everything happens in this one. A scheduler
            has its own workers.
        on_event: called in this process and thread for every epoch and run that is done.
        scheduler: ``tcp://HOST:PORT``, ``tls://HOST:PORT`` (with the certificates that dask's own
            configuration names) or the file that ``dask scheduler --scheduler-file`` writes; None
            for this machine alone.
        dashboard: ``HOST:PORT`` where the engine's dashboard is shown while the runs are going on;
            None for nowhere.
        gpus: those that several processes share out; see :func:`prunecheck.engine.dask_cluster.visible_gpus`.
            None for each to see what this one sees.

    Raises:
        Stopped: a stop was requested, and every run has stopped or ended since.
        InputError: the scheduler cannot be reached, or has other versions than this process, or
            workers that have, that do not see the root, or that have several threads.
        InputError, OSError: of the first run that could not be done for reasons outside of it; the
            scheduler ended; the processes of this machine could not be started, or ended and could not be
            started anew. What others have finished stays.
    """
    if not jobs:
        return
    if scheduler is not None:
        _execute_on_cluster(jobs, scheduler, on_event)
        return
    forget_command(jobs[0].root)
    processes = min(workers, len(jobs))
    if processes == 1 and dashboard is None:
        _execute_here(jobs, on_event)
    else:
        _execute_in_processes(jobs, processes, on_event, dashboard, gpus)


def _execute_here(jobs: Sequence[Job], on_event: Callable[[Event], None]) -> None:
    def after_epoch(spec: RunSpec, epoch: int, accuracy: float | None) -> None:
        on_event(EpochDone(spec, epoch, accuracy))

    for group in grouped(jobs, workers=1):
        for job, result in zip(group, execute_locked(group, after_epoch), strict=True):
            on_event(RunDone(job.spec, result))


def _execute_in_processes(
    jobs: Sequence[Job],
    processes: int,
    on_event: Callable[[Event], None],
    dashboard: str | None,
    gpus: Sequence[str],
) -> None:
    from prunecheck.engine.dask_executor import Command, hand_out
    from prunecheck.engine.local import kept_client

    require_portable(jobs)
    with kept_client(processes, gpus, dashboard) as (client, count):
        hand_out(client, jobs, on_event, Command(uuid.uuid4().hex, Path.cwd(), processes=count))


def _execute_on_cluster(jobs: Sequence[Job], scheduler: str, on_event: Callable[[Event], None]) -> None:
    from prunecheck.engine.dask_cluster import own_versions, remote_client
    from prunecheck.engine.dask_executor import Command, hand_out, require_ready_workers

    require_portable(jobs)
    command = Command(uuid.uuid4().hex, Path.cwd(), own_versions(), is_remote=True)
    with remote_client(scheduler) as client, commanded_by(command.token, jobs[0].root):
        require_ready_workers(client, jobs, command)
        hand_out(client, jobs, on_event, command)
