import functools
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from prunecheck.engine.execution import Stopped
from prunecheck.engine.executors import EpochDone, Event, RunDone, execute_all
from prunecheck.engine.job import Job
from prunecheck.errors import InputError
from prunecheck.pruning import DENSE, find_method
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunStore

MakeSpec = Callable[..., RunSpec]
MakeJob = Callable[[RunSpec, Path], Job]

EPOCHS = 3

SEES_NOTHING = {"samples_per_class": 0, "scoring_rounds": 0}


@pytest.fixture(scope="module")
def make_few(make_spec: MakeSpec) -> MakeSpec:
    """Return a function that makes specs of runs on few images."""
    return functools.partial(make_spec, train_images=200, test_images=100)


@pytest.fixture(scope="module")
def specs(make_few: MakeSpec) -> list[RunSpec]:
    """One that is made of the weights of the one before it, and at last one that collapses."""
    return [
        make_few(epochs=EPOCHS),
        make_few(epochs=EPOCHS, seed=1),
        make_few(epochs=EPOCHS, method="random-smart"),
        make_few(epochs=EPOCHS, method=DENSE, sparsity=0.0, **SEES_NOTHING),
        make_few(epochs=EPOCHS, method="lt", **SEES_NOTHING),
        make_few(sparsity=0.9999),
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


def epochs_of(events: list[Event], spec: RunSpec) -> list[tuple[int, float | None]]:
    return [(e.epoch, e.accuracy) for e in events if isinstance(e, EpochDone) and e.spec == spec]


def test_in_one_process_events_come_run_by_run(
    specs: list[RunSpec], here: tuple[dict[str, bytes], list[Event]]
) -> None:
    files, events = here
    trained = [(spec, what) for spec in specs[:-1] for what in (1, 2, 3, "done")]
    told = [(e.spec, e.epoch if isinstance(e, EpochDone) else "done") for e in events]
    assert told == [*trained, (specs[-1], "done")]
    assert len(files) == 11


CHANGED = """
import os, time
for _ in range(1200):
    if os.path.exists(r"{gate}"):
        break
    time.sleep(0.1)

def score(model, batches):
    return {{}}
"""
"""A method's file that is another than the one that its run was made for, which shows once a file exists."""

WAITING = """
import os, time
from prunecheck.pruning import snip

def score(model, batches):
    for _ in range(6000):
        if os.path.exists(r"{gate}"):
            break
        time.sleep(0.02)
    return snip(model, batches)
"""
"""A criterion that takes until a file exists."""

FAILING = """
def score(model, batches):
    raise ValueError("out of order")
"""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def users_job(file: Path, root: Path, spec: RunSpec) -> Job:
    return Job(spec, root, f"{file}:score", "digits", None, "cpu")


@pytest.fixture
def changed_job(tmp_path: Path, gate: Path, make_spec: MakeSpec) -> Job:
    """The job of a method whose file was changed meanwhile."""
    file = tmp_path / "changed.py"
    file.write_text(CHANGED.format(gate=gate))
    return users_job(file, tmp_path, make_spec(method="changed.py:score", method_hash="0" * 64))


@pytest.fixture
def failing_job(tmp_path: Path, make_spec: MakeSpec) -> Job:
    """The job of a criterion that fails."""
    folder = tmp_path / "of a user"
    folder.mkdir()
    (folder / "mine.py").write_text(FAILING)
    method = find_method(f"{folder / 'mine.py'}:score")
    return users_job(folder / "mine.py", tmp_path, make_spec(method=method.name, method_hash=method.source_hash))


def test_processes_give_the_same_bits_and_events_and_raise_what_stops_a_run(
    tmp_path: Path,
    specs: list[RunSpec],
    make_job: MakeJob,
    here: tuple[dict[str, bytes], list[Event]],
    gate: Path,
    failing_job: Job,
    changed_job: Job,
) -> None:
    events: list[Event] = []

    def open_once_the_others_are_done(event: Event) -> None:
        events.append(event)
        if sum(isinstance(e, RunDone) for e in events) == len(specs) + 1:
            gate.touch()

    jobs = [*(make_job(spec, tmp_path) for spec in specs), failing_job, changed_job]
    with pytest.raises(InputError, match=r"changed\.py:score was changed while its runs were going on"):
        execute_all(jobs, 2, open_once_the_others_are_done)
    assert left_in(tmp_path, specs) == here[0]
    for spec in specs:
        assert epochs_of(events, spec) == epochs_of(here[1], spec)
    ended = {e.spec: e.result.status for e in events if isinstance(e, RunDone)}
    assert ended.pop(failing_job.spec) == "failed"
    assert ended == {e.spec: e.result.status for e in here[1] if isinstance(e, RunDone)}
    # What is made of another run's weights is begun after the end of that run.
    *_, dense, lottery, _ = specs
    assert make_job(lottery, tmp_path).dependencies == (dense,)
    order = [(type(event), event.spec) for event in events]
    assert order.index((RunDone, dense)) < order.index((EpochDone, lottery))
    assert RunStore(tmp_path).result(changed_job.spec) is None


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


def test_a_run_that_fails_by_itself_leaves_the_others_alone(
    tmp_path: Path, specs: list[RunSpec], make_job: MakeJob, failing_job: Job
) -> None:
    jobs = [failing_job, make_job(specs[0], tmp_path)]
    events: list[Event] = []
    execute_all(jobs, 1, events.append)
    assert [(e.spec, e.result.status) for e in events if isinstance(e, RunDone)] == [
        (failing_job.spec, "failed"),
        (specs[0], "trained"),
    ]


def test_what_stops_a_run_is_raised_and_the_same_call_completes_once_it_is_mended(
    tmp_path: Path, specs: list[RunSpec], make_job: MakeJob, make_spec: MakeSpec
) -> None:
    file = tmp_path / "mine.py"
    text = "from prunecheck.pruning import magnitude\n\ndef score(model, batches):\n    return magnitude(model)\n"
    file.write_text(text)
    spec = make_spec(method="mine.py:score", method_hash=find_method(f"{file}:score").source_hash)
    finished, stopping, later = (
        make_job(specs[0], tmp_path),
        users_job(file, tmp_path, spec),
        make_job(specs[1], tmp_path),
    )
    file.write_text(text + "# another version\n")
    events: list[Event] = []
    with pytest.raises(InputError, match=r"mine\.py:score was changed"):
        execute_all([finished, stopping, later], 1, events.append)
    before = left_in(tmp_path, [finished.spec])
    assert [event.spec for event in events if isinstance(event, RunDone)] == [finished.spec]
    assert RunStore(tmp_path).result(spec) is None
    file.write_text(text)
    execute_all([finished, stopping, later], 1, events.append)
    assert [event.spec for event in events if isinstance(event, RunDone)][1:] == [
        finished.spec,
        stopping.spec,
        later.spec,
    ]
    assert left_in(tmp_path, [finished.spec]) == before


@pytest.mark.parametrize("workers", [1, 2])
def test_runs_that_are_asked_to_stop_do_and_the_next_call_ends_as_an_uninterrupted_one(
    tmp_path: Path,
    specs: list[RunSpec],
    make_job: MakeJob,
    make_few: MakeSpec,
    here: tuple[dict[str, bytes], list[Event]],
    gate: Path,
    workers: int,
) -> None:
    (tmp_path / "waiting.py").write_text(WAITING.format(gate=gate))
    method = find_method(f"{tmp_path / 'waiting.py'}:score")
    spec = make_few(method=method.name, method_hash=method.source_hash, epochs=EPOCHS)
    waiting = users_job(tmp_path / "waiting.py", tmp_path, spec)
    jobs = [*(make_job(spec, tmp_path) for spec in specs), waiting]
    store, events = RunStore(tmp_path), list[Event]()

    def stop(event: Event) -> None:
        events.append(event)
        store.request_stop()
        gate.touch()  # so that one run at least is not over before the stop, however slow this process is

    with store.locked(), pytest.raises(Stopped):
        execute_all(jobs, workers, stop)
    assert events
    assert store.result(waiting.spec) is None
    assert sum(isinstance(e, EpochDone) and e.spec == waiting.spec for e in events) <= 1
    with store.locked():
        execute_all(jobs, 1, events.append)
    assert left_in(tmp_path, specs) == here[0]
    assert {e.spec for e in events if isinstance(e, RunDone)} == {*specs, waiting.spec}
