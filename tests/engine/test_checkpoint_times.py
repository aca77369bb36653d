"""When a run leaves checkpoints, and what a run that was left without one goes on from."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prunecheck.engine.attempts import BEGUN
from prunecheck.engine.execution import Stopped, execute
from prunecheck.engine.job import Job
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunFolder, RunStore
from prunecheck.training import Acceleration, Checkpoint

MakeSpec = Callable[..., RunSpec]
MakeJob = Callable[[RunSpec, Path], Job]

EPOCHS = 5


@pytest.fixture
def job(tmp_path: Path, spec: MakeSpec, make_job: MakeJob) -> Job:
    (tmp_path / "runs").mkdir()
    return make_job(spec(method="random-uniform", sparsity=0.5, epochs=EPOCHS), tmp_path / "runs")


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epochs whose checkpoints were written."""
    epochs: list[int] = []
    write = RunFolder.write_checkpoint

    def noted(folder: RunFolder, checkpoint: Checkpoint) -> None:
        epochs.append(len(checkpoint.metrics))
        write(folder, checkpoint)

    monkeypatch.setattr(RunFolder, "write_checkpoint", noted)
    return epochs


def test_a_short_run_leaves_one_checkpoint_at_its_end(job: Job, saved: list[int]) -> None:
    result = execute(job, lambda epoch, accuracy: None)
    assert (result.status, result.collapse) == ("trained", None)
    assert saved == [EPOCHS]


def test_a_checkpoint_is_left_by_the_first_epoch_that_ends_late_enough(
    job: Job, saved: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def four_seconds(epoch: int, accuracy: float | None) -> None:
        clock[0] += 4

    execute(replace(job, acceleration=Acceleration(checkpoint_seconds=8)), four_seconds)
    assert saved == [3, 5]  # after 8 and 16 seconds


@pytest.mark.parametrize("raised", [Stopped("asked to"), KeyboardInterrupt(), ValueError("of the listener")])
def test_a_run_that_is_left_after_an_epoch_goes_on_from_it(job: Job, saved: list[int], raised: BaseException) -> None:
    def leave(epoch: int, accuracy: float | None) -> None:
        if epoch == 2:
            raise raised

    with pytest.raises(type(raised)):
        execute(job, leave)
    assert saved == [2]
    told: list[int] = []
    execute(job, lambda epoch, accuracy: told.append(epoch))
    assert told == [3, 4, 5]


def test_a_run_that_is_stopped_leaves_what_is_done(job: Job, saved: list[int]) -> None:
    store = RunStore(job.root)
    with pytest.raises(Stopped):
        execute(job, lambda epoch, accuracy: store.request_stop())
    assert saved == [1]


def test_deaths_are_forgotten_with_a_checkpoint_and_not_with_an_epoch(job: Job) -> None:
    folder = RunStore(job.root).folder(job.spec).path
    folder.mkdir()
    (folder / BEGUN).write_text("a command\n")
    there: list[bool] = []

    def look(epoch: int, accuracy: float | None) -> None:
        there.append((folder / BEGUN).exists())

    execute(job, look)
    assert there == [True] * (EPOCHS - 1) + [False]


def test_a_run_flushes_few_files(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[Any] = []
    monkeypatch.setattr("prunecheck.io.os.fsync", flushed.append)
    execute(job, lambda epoch, accuracy: None)
    # Spec, ticket and result, each with its folder; metrics, checkpoint and their folder.
    assert len(flushed) == 9
