import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prunecheck.engine.execution import execute
from prunecheck.engine.job import Job
from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec
from prunecheck.training.acceleration import EVERY_EPOCH

MakeSpec = Callable[..., RunSpec]
MakeJob = Callable[[RunSpec, Path], Job]
ReadCurves = Callable[[Path], dict[str, list[tuple[int, float]]]]

EPOCHS = 5

KILLED_IN = 2
"""The epoch whose metrics are on disk when the run is killed, at the earliest."""

COMPARED = ["last.safetensors", "metrics.csv", "spec.json", "ticket.safetensors"]

STALLING = """
import sys, time
from pathlib import Path
from prunecheck.runs.spec import RunSpec
from prunecheck.engine.execution import execute
from prunecheck.engine.job import Job
from prunecheck.training.acceleration import EVERY_EPOCH

def after_epoch(epoch, accuracy):
    if epoch == int(sys.argv[3]):
        time.sleep(600)  # so that however late the kill comes, the run is unfinished

spec = RunSpec.from_json(sys.argv[1])
execute(Job(spec, Path(sys.argv[2]), spec.method, "digits", None, "cpu", acceleration=EVERY_EPOCH), after_epoch)
"""

KILLED_AT_EVERY_WRITE = """
import os, signal, sys
from pathlib import Path
# Once, and not in every child.
import safetensors.torch, tensorboard.summary.writer.record_writer, tensorboard.compat.proto.event_pb2
from prunecheck.data import load_dataset
from prunecheck.runs.spec import RunSpec
from prunecheck.engine.execution import execute
from prunecheck.engine.job import Job
from prunecheck.training.acceleration import EVERY_EPOCH

load_dataset("digits")
spec = RunSpec.from_json(sys.argv[1])
sync = os.fsync

def execute_until(write):
    done = 0
    def sync_or_die(descriptor):
        nonlocal done
        done += 1
        if done == write:
            os.kill(os.getpid(), signal.SIGKILL)
        sync(descriptor)
    os.fsync = sync_or_die
    root = Path(sys.argv[2]) / str(write)
    root.mkdir()
    job = Job(spec, root, spec.method, "digits", None, "cpu", acceleration=EVERY_EPOCH)
    execute(job, lambda epoch, accuracy: None)

for write in range(1, 100):
    child = os.fork()
    if child == 0:
        execute_until(write)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        assert status == 0, status
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
    print(write, flush=True)
"""


def unheard(epoch: int, accuracy: float | None) -> None:
    """Take what is told of an epoch."""


def every_epoch(job: Job) -> Job:
    return dataclasses.replace(job, acceleration=EVERY_EPOCH)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in COMPARED}


def but_for_time(result: RunResult) -> RunResult:
    return dataclasses.replace(result, seconds=0.0)


def await_next_second() -> None:
    """TensorBoard orders the files of a run by the second in which they were begun."""
    this = int(time.time())
    while int(time.time()) == this:
        time.sleep(0.05)


def test_a_killed_run_goes_on_and_ends_as_an_uninterrupted_one(
    tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob, read_curves: ReadCurves
) -> None:
    spec = make_spec(epochs=EPOCHS)
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    expected = execute(every_epoch(make_job(spec, tmp_path / "whole")), unheard)
    whole, killed = tmp_path / "whole" / spec.folder_name, tmp_path / "killed" / spec.folder_name
    command = [sys.executable, "-c", STALLING, spec.canonical(), str(tmp_path / "killed"), str(EPOCHS - 1)]
    process = subprocess.Popen(command)
    metrics = killed / "metrics.csv"
    try:
        while not metrics.exists() or metrics.read_text().count("\n") <= KILLED_IN:
            assert process.poll() is None
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (killed / "result.json").exists()
    await_next_second()
    epochs: list[int] = []
    result = execute(every_epoch(make_job(spec, tmp_path / "killed")), lambda done, _: epochs.append(done))
    assert epochs == list(range(EPOCHS + 1))[-len(epochs) :]
    assert len(epochs) <= EPOCHS - KILLED_IN + 1  # metrics are written before their checkpoint
    assert contents(killed) == contents(whole)
    assert but_for_time(result) == but_for_time(expected)
    assert [step for step, _ in read_curves(killed)["train_loss"]] == list(range(EPOCHS))
    assert read_curves(killed) == read_curves(whole)


@pytest.mark.slow
def test_whatever_file_is_being_written_a_kill_loses_nothing(
    tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob, read_curves: ReadCurves
) -> None:
    spec = make_spec(epochs=2)
    (tmp_path / "whole").mkdir()
    expected = execute(every_epoch(make_job(spec, tmp_path / "whole")), unheard)
    whole = tmp_path / "whole" / spec.folder_name
    command = [sys.executable, "-c", KILLED_AT_EVERY_WRITE, spec.canonical(), str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    kills = done.stdout.split()
    # Spec and ticket, each with its folder; twice metrics, checkpoint and their folder; the result with its folder.
    assert len(kills) == 12
    await_next_second()
    for kill in kills:
        folder = tmp_path / kill / spec.folder_name
        assert (folder / "result.json").exists() == (kill == kills[-1])
        if kill == kills[-1]:
            assert contents(folder) == contents(whole)
            assert read_curves(folder) == read_curves(whole)
        result = execute(every_epoch(make_job(spec, tmp_path / kill)), unheard)
        assert but_for_time(result) == but_for_time(expected)
        assert contents(folder) == contents(whole)
        assert read_curves(folder) == read_curves(whole)
