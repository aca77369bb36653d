# mypy: allow-untyped-calls
"""What the engine costs on top of training, and how far it scales.

Four figures: the cost of a run that does nothing, and with it the memory of the command for few and
many of them; two processes against one on equal small trainings; how many of a thousand workers that
sleep are kept at work. All through the functions that do the runs of a study.
"""

import argparse
import contextlib
import json
import logging
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from prunecheck.engine.dask_executor import Command, hand_out
from prunecheck.engine.execution import OnRunEpoch
from prunecheck.engine.executors import Event, RunDone, execute_all
from prunecheck.engine.job import Job
from prunecheck.engine.local import local_client
from prunecheck.engine.settings import LOCAL_SETTINGS
from prunecheck.process_limits import LOOPBACK
from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.spec import RunSpec, Setting
from prunecheck.training import Recipe

MEASURES = ("cost", "memory", "speedup", "scale")


def add_command(commands: Any) -> None:
    """Add ``engine`` to the benchmarks' command line."""
    parser = commands.add_parser("engine", help=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("measures", nargs="*", default=MEASURES, help=f"of {', '.join(MEASURES)}; all by default")
    parser.add_argument("--runs", type=int, default=2000, help="that do nothing")
    parser.add_argument("--trainings", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=3, help="of each training")
    parser.add_argument("--repeats", type=int, default=3, help="of the trainings")
    parser.add_argument("--workers", type=int, default=1000, help="that sleep")
    parser.add_argument("--seconds", type=float, default=20.0, help="of sleep in each run")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Take the figures that are asked for, and print them with the machine's load beside them."""
    found: dict[str, Any] = {}
    for measure in arguments.measures:
        load = os.getloadavg()[0]
        match measure:
            case "cost":
                found[measure] = cost(arguments.runs)
            case "memory":
                found[measure] = memory(100, arguments.runs)
            case "speedup":
                found[measure] = speedup(arguments.trainings, arguments.epochs, arguments.repeats)
            case "scale":
                found[measure] = scale(arguments.workers, arguments.seconds)
            case _:
                raise SystemExit(f"{measure}: choose of {', '.join(MEASURES)}.")
        found[measure]["load before"] = round(load, 1)
        if not arguments.json:
            print(f"{measure}: " + ", ".join(f"{name} {value}" for name, value in found[measure].items()))
    if arguments.json:
        print(json.dumps(found, indent=2))


def make_jobs(count: int, root: Path, epochs: int = 1) -> list[Job]:
    """Return runs of one size that differ in their seed."""
    recipe = Recipe(epochs=epochs, batch_size=64, learning_rate=0.1, milestones=())
    return [
        Job(
            RunSpec(
                Setting(dataset="digits", model="resnet8", width=8, recipe=recipe),
                method="random-uniform",
                sparsity=0.9,
                seed=seed,
            ),
            root,
            "random-uniform",
            "digits",
            None,
            "cpu",
        )
        for seed in range(count)
    ]


def do_nothing(jobs: Sequence[Job], on_epoch: OnRunEpoch) -> list[RunResult]:
    """Do one epoch of each run in no time, and end as runs of a small network do."""
    for job in jobs:
        on_epoch(job.spec, 1, 50.0)
    kept = {f"layer{number}": (100, 1000) for number in range(9)}
    versions = {"prunecheck": "", "python": "", "torch": ""}
    result = RunResult(
        status=Status.TRAINED,
        accuracy=50.0,
        best_accuracy=50.0,
        epochs=1,
        chance=10.0,
        sparsity=0.9,
        kept=kept,
        collapse=None,
        reason=None,
        seconds=0.0,
        device="cpu",
        versions=versions,
    )
    return [result for _ in jobs]


def sleep(seconds: float, jobs: Sequence[Job], on_epoch: OnRunEpoch) -> list[RunResult]:
    """Do runs that wait."""
    time.sleep(seconds)
    return do_nothing(jobs, on_epoch)


def cost(runs: int) -> dict[str, Any]:
    """Return what the engine takes per run, in wall and CPU time of all processes, with two processes on loopback."""
    with local_client(2) as client:
        command = Command("warm-up", Path.cwd())
        hand_out(client, make_jobs(20, Path.cwd()), lambda _: None, command, do_nothing)
        processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
        before, started = cpu_seconds(processes), time.perf_counter()
        hand_out(client, make_jobs(runs, Path.cwd()), lambda _: None, Command("timed", Path.cwd()), do_nothing)
        seconds, worked = time.perf_counter() - started, cpu_seconds(processes) - before
    return {
        "runs": runs,
        "wall ms per run": round(1000 * seconds / runs, 2),
        "CPU ms per run, all processes": round(1000 * worked / runs, 2),
    }


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """Return the CPU time that processes have used."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def memory(few: int, many: int) -> dict[str, Any]:
    """Return the memory of the command, MB, once few and once many runs have ended, in one cluster."""
    resident: dict[str, Any] = {}
    with local_client(2) as client:
        for name, runs in (("warm-up", few), ("few", few), ("many", many)):
            jobs = make_jobs(runs, Path.cwd())
            before, peak = psutil.Process().memory_info().rss, 0

            def watch(event: Event) -> None:
                nonlocal peak
                peak = max(peak, psutil.Process().memory_info().rss)

            hand_out(client, jobs, watch, Command(name, Path.cwd()), do_nothing)
            resident[f"MB more for {runs} runs ({name})"] = round((peak - before) / 1e6, 1)
    return resident | {"MB at the end": round(psutil.Process().memory_info().rss / 1e6)}


def speedup(trainings: int, epochs: int, repeats: int) -> dict[str, Any]:
    """Return the time of two processes as a share of that of one, with the start of the engine and without."""
    shares, from_first = [], []
    for _ in range(repeats):
        one, two = time_of_all(trainings, epochs, 1), time_of_all(trainings, epochs, 2)
        shares.append(two[0] / one[0])
        from_first.append(two[1] / one[1])
    return {
        "trainings": trainings,
        "repeats": repeats,
        "seconds of two processes for one of one, median": round(statistics.median(shares), 3),
        "from the first epoch on, median": round(statistics.median(from_first), 3),
        "all": [round(share, 3) for share in shares],
    }


def time_of_all(trainings: int, epochs: int, workers: int) -> tuple[float, float]:
    """Return the seconds that all runs take, and those after the first epoch that is told."""
    told: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        jobs = make_jobs(trainings, Path(folder), epochs)
        started = time.perf_counter()
        execute_all(jobs, workers, lambda _: told.append(time.perf_counter()))
        ended = time.perf_counter()
    return ended - started, ended - told[0]


def scale(workers: int, seconds: float) -> dict[str, Any]:
    """Return how much of their time workers are kept at work, each with three runs that sleep.

    The workers are the engine's own, in this process: each has a connection to the scheduler over
    loopback and a thread for its run.
    """
    runs = 3 * workers
    started = time.perf_counter()
    with sleeping_workers(workers) as client:
        up = time.perf_counter()
        threads = threading.active_count()
        ended: list[float] = []
        hand_out(
            client,
            make_jobs(runs, Path.cwd()),
            lambda event: ended.append(time.perf_counter()) if isinstance(event, RunDone) else None,
            Command("scale", Path.cwd()),
            partial(sleep, seconds),
        )
        took = time.perf_counter() - up
        reached = len(client.nthreads())
    return {
        "workers": reached,
        "threads before the runs": threads,
        "seconds to start": round(up - started, 1),
        "runs": runs,
        "runs told": len(ended),
        "seconds of sleep in each": seconds,
        "seconds": round(took, 1),
        "share of the workers' time slept": round(runs * seconds / workers / took, 3),
    }


ONE_FOR_ALL = {
    "distributed.admin.tick.interval": "1h",
    "distributed.admin.system-monitor.interval": "1h",
}
"""What each worker watches its process with, many times a second: here it is one process for all of them."""


@contextlib.contextmanager
def sleeping_workers(count: int) -> Iterator[Any]:
    """Yield the client of a cluster of in-process workers on loopback."""
    import dask
    from distributed import Client, LocalCluster

    with (
        dask.config.set({**LOCAL_SETTINGS, **ONE_FOR_ALL}),
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=False,
            protocol="tcp://",
            host=LOOPBACK,
            dashboard_address=f"{LOOPBACK}:0",
            scheduler_kwargs={"dashboard": False},
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client
