"""Runs of one setting that are trained at the same time."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from prunecheck.engine.dask_executor import _parts
from prunecheck.engine.execution import Stopped, execute_together
from prunecheck.engine.executors import EpochDone, Event, RunDone, execute_all
from prunecheck.engine.groups import grouped
from prunecheck.engine.job import Job
from prunecheck.engine.training import Stopwatch
from prunecheck.pruning import DENSE
from prunecheck.pruning.tickets import Ticket
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunStore
from prunecheck.training import Acceleration, Record
from prunecheck.training.shared_training import SharedTraining

MakeSpec = Callable[..., RunSpec]
MakeJob = Callable[[RunSpec, Path], Job]

SEES_NOTHING = {"samples_per_class": 0, "scoring_rounds": 0}

FILES = ("ticket.safetensors", "last.safetensors", "metrics.csv", "spec.json")


@pytest.fixture(scope="module")
def specs(make_spec: MakeSpec) -> list[RunSpec]:
    """Four runs of one setting, and one that collapses."""
    few = {"train_images": 200, "test_images": 100, "epochs": 2}
    return [
        make_spec(**few),
        make_spec(**few, seed=1),
        make_spec(**few, method="random-smart"),
        make_spec(**few, method=DENSE, sparsity=0.0, **SEES_NOTHING),
        make_spec(**few, sparsity=0.9999),
    ]


@pytest.fixture(scope="module")
def make(make_job: MakeJob) -> Callable[..., Job]:
    def made(spec: RunSpec, root: Path, at_once: int | None = None) -> Job:
        return replace(make_job(spec, root), acceleration=Acceleration(tickets_at_once=at_once))

    return made


@pytest.fixture(scope="module")
def alone(
    tmp_path_factory: pytest.TempPathFactory, specs: list[RunSpec], make: Callable[..., Job]
) -> dict[str, object]:
    """What the runs leave when they are done one by one."""
    root = tmp_path_factory.mktemp("alone")
    execute_all([make(spec, root, 1) for spec in specs], 1, lambda _: None)
    return left_in(root, specs)


def left_in(root: Path, specs: list[RunSpec]) -> dict[str, object]:
    """Return what is in the folders of runs, without the time that they took."""
    left: dict[str, object] = {}
    for spec in specs:
        folder = root / spec.folder_name
        left |= {f"{spec.hash} {name}": (folder / name).read_bytes() for name in FILES if (folder / name).exists()}
        left[f"{spec.hash} result"] = json.loads((folder / "result.json").read_text()) | {"seconds": 0, "sha256": ""}
        left[f"{spec.hash} files"] = sorted(path.name for path in folder.iterdir() if "tfevents" not in path.name)
        assert len(list(folder.glob("*tfevents*"))) == (1 if (folder / "metrics.csv").exists() else 0)
    return left


def test_runs_end_with_the_same_files_alone_or_together(
    tmp_path: Path, specs: list[RunSpec], make: Callable[..., Job], alone: dict[str, object]
) -> None:
    events: list[Event] = []
    execute_all([make(spec, tmp_path, 5) for spec in specs], 1, events.append)
    assert left_in(tmp_path, specs) == alone
    epochs = [(specs.index(event.spec), event.epoch) for event in events if isinstance(event, EpochDone)]
    assert sorted(epochs[:4]) == [(0, 1), (1, 1), (2, 1), (3, 1)]  # nobody's second epoch is before another's first
    assert len(epochs) == 8
    assert [event.spec for event in events if isinstance(event, RunDone)] == specs


KILLED = """
import os, sys
from pathlib import Path
from dataclasses import replace
from prunecheck.engine.execution import execute_together
from prunecheck.engine.job import Job
from prunecheck.runs.spec import RunSpec
from prunecheck.training import Acceleration, Record

def after_epoch(spec, epoch, accuracy):
    if epoch == 2:
        os.kill(os.getpid(), 9)

specs = [RunSpec.from_json(text) for text in sys.argv[2:]]
root = Path(sys.argv[1])
together = Acceleration(tickets_at_once=5, checkpoint_seconds=0)
jobs = [Job(s, root, s.method, "digits", None, "cpu", acceleration=together) for s in specs]
execute_together(jobs, after_epoch)
"""


def test_runs_go_on_after_a_kill_in_the_middle_and_end_the_same(
    tmp_path: Path, specs: list[RunSpec], make: Callable[..., Job], alone: dict[str, object]
) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), *(spec.canonical() for spec in specs)]
    assert subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False).returncode == -9
    store = RunStore(tmp_path)
    assert [spec for spec in specs if store.result(spec)] == specs[4:]
    done = [store.folder(spec).checkpoint() for spec in specs[:4]]
    assert sorted(len(start.metrics) for start in done if start) == [1, 1, 1, 2]
    epochs: list[int] = []
    execute_together([make(spec, tmp_path, 5) for spec in specs], lambda _, epoch, __: epochs.append(epoch))
    assert epochs == [2, 2, 2]
    assert left_in(tmp_path, specs) == alone


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch, specs: list[RunSpec]) -> Callable[[type[Exception], int], None]:
    """Return a function that makes the training of a seed end with an error, a number of times."""

    def break_(error: type[Exception], times: int) -> None:
        steps, left = SharedTraining.steps, [times]

        def broken(
            self: SharedTraining, ticket: Ticket, model: nn.Module, seed: int, *rest: Any
        ) -> Generator[None, None, Record]:
            training = steps(self, ticket, model, seed, *rest)
            if seed == 1 and left[0]:
                left[0] -= 1
                next(training)
                raise error("broken")
            return (yield from training)

        monkeypatch.setattr(SharedTraining, "steps", broken)

    return break_


def test_one_that_fails_or_diverges_does_not_touch_the_others(
    tmp_path: Path,
    specs: list[RunSpec],
    make: Callable[..., Job],
    alone: dict[str, object],
    breaking: Callable[[type[Exception], int], None],
) -> None:
    breaking(ValueError, 1)
    results = execute_together([make(spec, tmp_path, 5) for spec in specs], lambda *_: None)
    assert [result.status for result in results] == ["trained", "failed", "trained", "trained", "collapsed"]
    assert results[1].reason == "ValueError: broken"
    others = [spec for spec in specs if spec is not specs[1]]
    assert left_in(tmp_path, others).items() <= alone.items()


def test_one_that_needs_more_memory_than_is_left_beside_others_is_done_again_alone(
    tmp_path: Path,
    specs: list[RunSpec],
    make: Callable[..., Job],
    alone: dict[str, object],
    breaking: Callable[[type[Exception], int], None],
) -> None:
    breaking(torch.OutOfMemoryError, 1)
    execute_together([make(spec, tmp_path, 5) for spec in specs], lambda *_: None)
    assert left_in(tmp_path, specs) == alone


def test_one_that_needs_more_memory_than_there_is_has_failed(
    tmp_path: Path,
    specs: list[RunSpec],
    make: Callable[..., Job],
    breaking: Callable[[type[Exception], int], None],
) -> None:
    breaking(torch.OutOfMemoryError, 2)
    results = execute_together([make(spec, tmp_path, 5) for spec in specs[:2]], lambda *_: None)
    assert [result.status for result in results] == ["trained", "failed"]


def test_all_stop_after_their_epoch_and_those_that_wait_do_not_begin(
    tmp_path: Path, specs: list[RunSpec], make: Callable[..., Job], alone: dict[str, object]
) -> None:
    store, epochs = RunStore(tmp_path), list[RunSpec]()

    def stop(spec: RunSpec, epoch: int, accuracy: float | None) -> None:
        epochs.append(spec)
        store.request_stop()

    jobs = [make(spec, tmp_path, 2) for spec in specs]
    with store.locked(), pytest.raises(Stopped):
        execute_together(jobs, stop)
    assert epochs == specs[:2]
    with store.locked():
        execute_together(jobs, lambda *_: None)
    assert left_in(tmp_path, specs) == alone


# Which runs are trained together


def test_on_the_cpu_each_run_is_alone_in_the_jobs_order(
    tmp_path: Path, specs: list[RunSpec], make: Callable[..., Job]
) -> None:
    jobs = [make(spec, tmp_path) for spec in specs]
    assert grouped(jobs, 1) == [(job,) for job in jobs]
    assert grouped([], 1) == []


def test_groups_are_of_one_setting_after_those_that_they_depend_on_and_leave_no_worker_idle(
    tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob
) -> None:
    dense = [make_spec(method=DENSE, sparsity=0.0, seed=seed, **SEES_NOTHING) for seed in range(4)]
    tickets = [make_spec(method="lt", seed=seed, **SEES_NOTHING) for seed in range(4)]
    wider = [make_spec(seed=seed, width=4) for seed in range(2)]
    corrupted = [make_spec(seed=seed, trained_on="random-labels") for seed in range(2)]
    specs = [*(spec for pair in zip(dense, tickets, strict=True) for spec in pair), *wider, *corrupted]

    def groups(at_once: int | None, workers: int, device: str = "cpu") -> list[list[RunSpec]]:
        acceleration = Acceleration(tickets_at_once=at_once)
        jobs = [replace(make_job(spec, tmp_path), acceleration=acceleration, device=device) for spec in specs]
        return [[job.spec for job in group] for group in grouped(jobs, workers)]

    assert groups(4, 1) == [dense, wider, *([spec] for spec in corrupted), tickets]
    assert groups(None, 1, "cuda") == groups(4, 1)
    assert groups(3, 1)[:2] == [dense[:2], dense[2:]]
    assert groups(4, 2)[:4] == [dense[:2], dense[2:], wider[:1], wider[1:]]
    assert groups(1, 1) == [[spec] for spec in specs]


def test_those_in_whose_middle_a_process_ended_are_done_alone_and_last(
    tmp_path: Path, specs: list[RunSpec], make: Callable[..., Job]
) -> None:
    a, b, c, d = (make(spec, tmp_path, 4) for spec in specs[:4])
    assert _parts([a, b, c, d], [0, 1, 0, 4]) == [[a, c], [b], [d]]
    assert _parts([a, b], [1, 1]) == [[a], [b]]


def test_a_stopwatch_counts_turns_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("prunecheck.engine.training.time.monotonic", lambda: now[0])
    watch = Stopwatch()
    now[0] = 3.0
    with watch.paused():
        now[0] = 10.0
    now[0] = 11.0
    assert watch.seconds == 4.0
