import hashlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from prunecheck.errors import InputError
from prunecheck.studies import EpochDone, Event, RunDone, RunSpec, RunStore, execute_all
from prunecheck.studies.execution import Job

MakeSpec = Callable[..., RunSpec]
MakeJob = Callable[[RunSpec, Path], Job]

EPOCHS = 3


@pytest.fixture(scope="module")
def specs(make_spec: MakeSpec) -> list[RunSpec]:
    return [
        make_spec(epochs=EPOCHS),
        make_spec(epochs=EPOCHS, seed=1),
        make_spec(epochs=EPOCHS, method="random-smart"),
        make_spec(sparsity=0.9999),
    ]


@pytest.fixture(scope="module")
def here(
    tmp_path_factory: pytest.TempPathFactory, specs: list[RunSpec], make_job: MakeJob
) -> tuple[dict[str, bytes], list[Event]]:
    """What the runs leave, and the events, when all happens in this process."""
    root = tmp_path_factory.mktemp("here")
    events: list[Event] = []
    execute_all([make_job(spec, root) for spec in specs], 1, events.append)
    return left_in(root, specs), events


def left_in(root: Path, specs: list[RunSpec]) -> dict[str, bytes]:
    names = [f"{spec.folder_name}/{name}" for spec in specs for name in ("ticket.safetensors", "last.safetensors")]
    assert all(RunStore(root).result(spec) for spec in specs)
    return {name: (root / name).read_bytes() for name in names if (root / name).exists()}


def epochs_of(events: list[Event], spec: RunSpec) -> list[tuple[int, float]]:
    return [(e.epoch, e.accuracy) for e in events if isinstance(e, EpochDone) and e.spec == spec]


def test_in_one_process_events_come_run_by_run(
    specs: list[RunSpec], here: tuple[dict[str, bytes], list[Event]]
) -> None:
    files, events = here
    trained = [(spec, what) for spec in specs[:3] for what in (1, 2, 3, "done")]
    told = [(e.spec, e.epoch if isinstance(e, EpochDone) else "done") for e in events]
    assert told == [*trained, (specs[3], "done")]
    assert len(files) == 7


FAILING = """
import os, time
from prunecheck.errors import InputError

def score(model, batches):
    for _ in range(1200):
        if os.path.exists(r"{gate}"):
            raise InputError("out of order")
        time.sleep({pause})
    return {{name: module.weight.abs() for name, module in model.named_modules() if hasattr(module, "stride")
            or name == "fc"}}
"""
"""A criterion that fails as soon as a file exists, and does well if there is none for a while."""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


@pytest.fixture
def failing_job(tmp_path: Path, gate: Path, make_spec: MakeSpec) -> Callable[[float], Job]:
    """Return a function that makes a job of a criterion that looks for the gate at every so many seconds."""

    def make(pause: float) -> Job:
        file = tmp_path / "mine.py"
        file.write_text(FAILING.format(gate=gate, pause=pause))
        spec = make_spec(method="mine.py:score", method_hash=hashlib.sha256(file.read_bytes()).hexdigest())
        return Job(spec, tmp_path, f"{file}:score", "cpu")

    return make


def test_processes_give_the_same_bits_and_events_and_raise_what_a_run_raises(
    tmp_path: Path,
    specs: list[RunSpec],
    make_job: MakeJob,
    here: tuple[dict[str, bytes], list[Event]],
    gate: Path,
    failing_job: Callable[[float], Job],
) -> None:
    events: list[Event] = []

    def fail_once_the_others_are_done(event: Event) -> None:
        events.append(event)
        if sum(isinstance(e, RunDone) for e in events) == len(specs):
            gate.touch()

    failing = failing_job(0.1)
    with pytest.raises(InputError, match="out of order"):
        execute_all([*(make_job(spec, tmp_path) for spec in specs), failing], 2, fail_once_the_others_are_done)
    assert left_in(tmp_path, specs) == here[0]
    for spec in specs:
        assert epochs_of(events, spec) == epochs_of(here[1], spec)
    ended = {e.spec: e.result.status for e in events if isinstance(e, RunDone)}
    assert ended == {e.spec: e.result.status for e in here[1] if isinstance(e, RunDone)}
    assert RunStore(tmp_path).result(failing.spec) is None


def test_complete_runs_are_told_and_not_done_again(tmp_path: Path, specs: list[RunSpec], make_job: MakeJob) -> None:
    jobs = [make_job(spec, tmp_path) for spec in specs[:2]]
    execute_all(jobs, 1, lambda _: None)
    before = left_in(tmp_path, specs[:2])
    events: list[Event] = []
    execute_all(jobs, 1, events.append)
    assert [type(event) for event in events] == [RunDone, RunDone]
    assert left_in(tmp_path, specs[:2]) == before


def test_no_jobs_are_done_at_once() -> None:
    execute_all([], 4, lambda _: None)


def test_a_killed_worker_changes_no_result(
    tmp_path: Path, specs: list[RunSpec], make_job: MakeJob, here: tuple[dict[str, bytes], list[Event]]
) -> None:
    killed: list[int] = []
    events: list[Event] = []

    def kill_one_worker(event: Event) -> None:
        events.append(event)
        if isinstance(event, EpochDone) and not killed:
            worker = multiprocessing.active_children()[0]
            assert worker.pid is not None
            killed.append(worker.pid)
            os.kill(worker.pid, signal.SIGKILL)

    execute_all([make_job(spec, tmp_path) for spec in specs], 2, kill_one_worker)
    assert killed
    assert left_in(tmp_path, specs) == here[0]
    assert {e.spec for e in events if isinstance(e, RunDone)} == set(specs)


def test_a_run_that_fails_is_raised_and_the_same_call_completes_once_it_does_not(
    tmp_path: Path, specs: list[RunSpec], make_job: MakeJob, gate: Path, failing_job: Callable[[float], Job]
) -> None:
    finished, failing, later = make_job(specs[0], tmp_path), failing_job(0), make_job(specs[1], tmp_path)
    gate.touch()
    events: list[Event] = []
    with pytest.raises(InputError, match="out of order"):
        execute_all([finished, failing, later], 1, events.append)
    before = left_in(tmp_path, [finished.spec])
    assert [event.spec for event in events if isinstance(event, RunDone)] == [finished.spec]
    assert RunStore(tmp_path).result(failing.spec) is None
    gate.unlink()
    execute_all([finished, failing, later], 1, events.append)
    assert [event.spec for event in events if isinstance(event, RunDone)][1:] == [
        finished.spec,
        failing.spec,
        later.spec,
    ]
    assert left_in(tmp_path, [finished.spec]) == before
