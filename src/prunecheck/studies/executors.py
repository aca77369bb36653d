"""Many runs at once: in this process, or in single-thread processes of dask.distributed on loopback."""

import contextlib
import logging
import queue
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from prunecheck.studies.execution import Job, execute
from prunecheck.studies.results import RunResult
from prunecheck.studies.specs import RunSpec

EPOCHS_TOPIC = "prunecheck epochs"

LOOPBACK = "127.0.0.1"

WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""One thread each. The engine's own default also has freed memory handed back at once, which costs
a training step that frees and takes the same buffers a third of its speed."""


@dataclass(frozen=True)
class EpochDone:
    """A run has done an epoch.

    Attributes:
        epoch: counted from 1.
        accuracy: test accuracy, percent.
    """

    spec: RunSpec
    epoch: int
    accuracy: float


@dataclass(frozen=True)
class RunDone:
    """A run is complete."""

    spec: RunSpec
    result: RunResult


Event = EpochDone | RunDone


def execute_all(jobs: Sequence[Job], workers: int, on_event: Callable[[Event], None]) -> None:
    """Do all runs, those that are complete already excepted.

    Args:
        jobs: the runs; they are begun in about this order.
        workers: how many processes; with 1 everything happens in this one.
        on_event: called in this process and thread for every epoch and run that is done.

    Raises:
        Exception: what the first run that failed raised; what others have finished stays.
    """
    if not jobs:
        return
    processes = min(workers, len(jobs))
    if processes == 1:
        _execute_here(jobs, on_event)
    else:
        _execute_on_dask(jobs, processes, on_event)


def _execute_here(jobs: Sequence[Job], on_event: Callable[[Event], None]) -> None:
    for job in jobs:

        def after_epoch(epoch: int, accuracy: float, spec: RunSpec = job.spec) -> None:
            on_event(EpochDone(spec, epoch, accuracy))

        on_event(RunDone(job.spec, execute(job, after_epoch)))


def _execute_on_dask(jobs: Sequence[Job], workers: int, on_event: Callable[[Event], None]) -> None:
    specs = {_key(job): job.spec for job in jobs}
    news: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with _local_cluster(workers) as client:
        client.subscribe_topic(EPOCHS_TOPIC, lambda event: news.put(event[1]))
        # All at once, so that the scheduler hands them out one by one to whoever is idle.
        for future in client.map(_execute_on_worker, jobs, key=list(specs), pure=False):
            future.add_done_callback(news.put)
        unfinished = len(jobs)
        while unfinished:
            item = news.get()
            if isinstance(item, tuple):
                key, epoch, accuracy = item
                on_event(EpochDone(specs[key], epoch, accuracy))
            else:
                on_event(RunDone(specs[item.key], item.result()))
                unfinished -= 1


def _key(job: Job) -> str:
    """Name a job to the engine, which takes what has the same name up to the hash for one group."""
    return f"run-{job.spec.hash}"


def _execute_on_worker(job: Job) -> RunResult:
    from distributed import get_worker

    worker = get_worker()

    def after_epoch(epoch: int, accuracy: float) -> None:
        worker.log_event(EPOCHS_TOPIC, (_key(job), epoch, accuracy))

    return execute(job, after_epoch)


@contextlib.contextmanager
def _local_cluster(workers: int) -> Iterator[Any]:
    import dask
    from distributed import Client, LocalCluster

    settings = {
        "distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT,
        "distributed.worker.preload": ["prunecheck.studies.worker"],
        "distributed.scheduler.worker-saturation": 1.0,
    }
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host=LOOPBACK,
            dashboard_address=f"{LOOPBACK}:0",
            scheduler_kwargs={"dashboard": False},
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
