# mypy: allow-untyped-calls
"""The engine's processes, and what is handed to them."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from prunecheck.engine import dask_cluster as engine
from prunecheck.engine.dask_cluster import remote_client, visible_gpus
from prunecheck.engine.dask_executor import FEWEST_KNOWN, Command, hand_out
from prunecheck.engine.execution import OnRunEpoch, Stopped
from prunecheck.engine.executors import EpochDone, Event, RunDone, execute_all
from prunecheck.engine.job import Job
from prunecheck.engine.local import local_client
from prunecheck.engine.run_lock import command_of, commanded_by, execute_locked, forget_command
from prunecheck.errors import InputError
from prunecheck.pruning import DENSE
from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunStore
from prunecheck.training.acceleration import EVERY_EPOCH

MakeSpec = Callable[..., RunSpec]
MakeJob = Callable[[RunSpec, Path], Job]

SEES_NOTHING = {"samples_per_class": 0, "scoring_rounds": 0}


def alive_children() -> list[psutil.Process]:
    """Return the processes that this one has started, but for what multiprocessing keeps until its end."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "resource_tracker" not in " ".join(child.cmdline())]


# Processes on this machine


def listening_addresses(process: psutil.Process) -> set[str]:
    return {c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell everyone who listens where")
def test_workers_share_out_the_gpus_listen_on_loopback_alone_and_are_gone_at_the_end() -> None:
    def environment() -> tuple[str | None, str | None]:
        return os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("OMP_NUM_THREADS")

    before, own = alive_children(), environment()
    with local_client(3, ["1", "GPU-b"]) as client:
        assert sorted(client.run(environment).values()) == [("1", "1"), ("1", "1"), ("GPU-b", "1")]
        assert set(client.nthreads().values()) == {1}
        started = [child for child in alive_children() if "forkserver" in " ".join(child.parent().cmdline())]
        assert len(started) == 3
        listening = [listening_addresses(process) for process in (psutil.Process(), *started)]
        assert all(listening)
        assert set().union(*listening) == {"127.0.0.1"}
    assert environment() == own
    assert alive_children() == before


@pytest.mark.parametrize(
    ("variable", "gpus"),
    [("0,1", ["0", "1"]), (" 3 , GPU-4f , MIG-a/1/0", ["3", "GPU-4f", "MIG-a/1/0"]), ("", [])],
)
def test_only_the_gpus_that_the_command_may_use_are_shared_out(variable: str, gpus: list[str]) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": variable}) == gpus


@pytest.mark.parametrize("address", ["8787", "localhost:", "127.0.0.1:http", "there:99999999"])
def test_a_dashboard_without_an_address_is_refused(
    tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob, address: str
) -> None:
    with pytest.raises(InputError, match="dashboard"):
        execute_all([make_job(make_spec(), tmp_path)], 1, lambda _: None, dashboard=address)
    assert list(tmp_path.iterdir()) == []


# Handing out


def test_a_run_that_kills_its_workers_has_failed_and_the_others_go_on(
    tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob
) -> None:
    def die_of_dense_runs(jobs: Sequence[Job], on_epoch: OnRunEpoch) -> list[RunResult]:
        if any(job.spec.method == "dense" for job in jobs):
            os.kill(os.getpid(), 9)
        return execute_locked(jobs, on_epoch)

    deadly = make_spec(method=DENSE, sparsity=0.0, **SEES_NOTHING)
    needing = make_spec(method="lt", **SEES_NOTHING)
    other = make_spec()
    jobs = [make_job(spec, tmp_path) for spec in (deadly, needing, other)]
    assert jobs[1].dependencies == (deadly,)
    ended: dict[RunSpec, RunResult] = {}

    def note(event: Event) -> None:
        if isinstance(event, RunDone):
            assert event.spec not in ended
            ended[event.spec] = event.result

    with local_client(2) as client:
        hand_out(client, jobs, note, Command("token", tmp_path, deaths_allowed=2), die_of_dense_runs)
    assert ended[deadly].status == "failed"
    assert (ended[deadly].reason or "").startswith("2 worker processes ended while doing it")
    assert ended[needing].status == "failed"
    assert ended[other].status == "trained"
    for spec, result in ended.items():
        assert RunStore(tmp_path).result(spec) == result
    assert "2 worker processes" in (tmp_path / deadly.folder_name / "log").read_text()


@pytest.mark.slow
def test_deaths_count_neither_against_a_run_that_gets_on_nor_against_those_that_wait(
    tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob
) -> None:
    def die_after_each_epoch_of_one(jobs: Sequence[Job], on_epoch: OnRunEpoch) -> list[RunResult]:
        def after_epoch(spec: RunSpec, epoch: int, accuracy: float | None) -> None:
            on_epoch(spec, epoch, accuracy)
            if spec.seed == 0:
                os.kill(os.getpid(), 9)

        return execute_locked(jobs, after_epoch)

    deaths = Command("token", tmp_path).deaths_allowed
    dying, *waiting = (make_spec(epochs=deaths if seed == 0 else 1, seed=seed) for seed in range(4))
    ended: dict[RunSpec, RunResult] = {}

    def note(event: Event) -> None:
        if isinstance(event, RunDone):
            ended[event.spec] = event.result

    jobs = [replace(make_job(spec, tmp_path), acceleration=EVERY_EPOCH) for spec in (dying, *waiting)]
    with local_client(1) as client:
        hand_out(client, jobs, note, Command("token", tmp_path), die_after_each_epoch_of_one)
    assert {spec: result.status for spec, result in ended.items()} == dict.fromkeys([dying, *waiting], "trained")
    assert (tmp_path / dying.folder_name / "log").read_text().count("training from epoch") >= deaths
    assert not list(tmp_path.glob("*/.begun"))


@pytest.fixture(scope="module")
def threads() -> Iterator[Any]:
    """The client of workers that are threads of this process: they start at once, and hand results to nobody."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0", silence_logs=50
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def result_of(seed: int) -> RunResult:
    return RunResult(
        status=Status.TRAINED,
        accuracy=float(seed),
        best_accuracy=None,
        epochs=1,
        chance=10.0,
        sparsity=0.0,
        kept={},
        collapse=None,
        reason=None,
        seconds=0.0,
        device="cpu",
        versions={},
    )


def test_the_engine_knows_a_part_of_the_runs_at_a_time_and_does_each_once(
    threads: Any, tmp_path: Path, make_spec: MakeSpec
) -> None:
    def do(jobs: Sequence[Job], on_epoch: OnRunEpoch) -> list[RunResult]:
        for job in jobs:
            on_epoch(job.spec, 1, 50.0)
        return [result_of(job.spec.seed) for job in jobs]

    count = 2 * FEWEST_KNOWN + 10
    specs = [make_spec(seed=seed) for seed in range(count)]
    # Each needs one that is handed out with it, or that ended long before.
    jobs = [Job(s, tmp_path, "snip", "digits", None, "cpu", (specs[s.seed // 2],) if s.seed else ()) for s in specs]
    events: list[Event] = []
    known: list[int] = []

    def note(event: Event) -> None:
        events.append(event)
        known.append(len(threads.futures))

    hand_out(threads, jobs, note, Command("token", tmp_path), do)
    assert sorted(e.result.accuracy or 0.0 for e in events if isinstance(e, RunDone)) == list(map(float, range(count)))
    assert sorted(e.spec.seed for e in events if isinstance(e, EpochDone)) == list(range(count))
    assert FEWEST_KNOWN / 2 < max(known) <= FEWEST_KNOWN


def test_what_workers_cannot_import_is_named(threads: Any, tmp_path: Path, make_spec: MakeSpec) -> None:
    def do(jobs: Sequence[Job], on_epoch: OnRunEpoch) -> list[RunResult]:
        import no_such_package  # type: ignore[import-not-found]

        return [result_of(no_such_package.seed)]

    jobs = [Job(make_spec(), tmp_path, "snip", "digits", None, "cpu")]
    with pytest.raises(InputError, match=r"a worker cannot import what it needs .*'no_such_package'"):
        hand_out(threads, jobs, lambda _: None, Command("token", tmp_path), do)


def test_runs_of_a_command_that_is_no_longer_at_work_stop_after_their_epoch(
    threads: Any, tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob
) -> None:
    versions = engine.own_versions()
    spec = make_spec(epochs=3)
    events: list[Event] = []
    command = Command("this", tmp_path, versions, is_remote=True)

    def end_command(event: Event) -> None:
        events.append(event)
        (tmp_path / ".command").write_text("the next")

    # The run waits after each epoch for what this thread does when it is told of the epoch.
    def do(jobs: Sequence[Job], on_epoch: OnRunEpoch) -> list[RunResult]:
        def after_epoch(spec: RunSpec, epoch: int, accuracy: float | None) -> None:
            on_epoch(spec, epoch, accuracy)
            for _ in range(1000):
                if (jobs[0].root / ".command").read_text() != "this":
                    break
                time.sleep(0.01)

        return execute_locked(jobs, after_epoch)

    with commanded_by("this", tmp_path), pytest.raises(Stopped):
        hand_out(threads, [make_job(spec, tmp_path)], end_command, command, do)
    assert [event.epoch for event in events if isinstance(event, EpochDone)] in ([1], [1, 2])
    assert RunStore(tmp_path).result(spec) is None
    assert command_of(tmp_path) == "the next"  # which is not this one's to remove


def test_a_worker_of_another_version_that_joins_late_does_nothing(
    threads: Any, tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob
) -> None:
    command = Command("this", tmp_path, engine.own_versions() | {"prunecheck": "9.9.9"}, is_remote=True)
    with (
        commanded_by("this", tmp_path),
        pytest.raises(InputError, match=r"has prunecheck \S+ and this command 9\.9\.9"),
    ):
        hand_out(threads, [make_job(make_spec(), tmp_path)], lambda _: None, command)
    assert list(tmp_path.iterdir()) == []


# Claims


HOLDING = """
import sys, time
from pathlib import Path
from prunecheck.runs.spec import RunSpec
from prunecheck.engine.run_lock import execute_locked
from prunecheck.engine.job import Job
from prunecheck.training import Acceleration

def after_epoch(spec, epoch, accuracy):
    print(epoch, flush=True)
    time.sleep(600)

spec = RunSpec.from_json(sys.argv[1])
each_epoch = Acceleration(checkpoint_seconds=0)
execute_locked([Job(spec, Path(sys.argv[2]), spec.method, "digits", None, "cpu", acceleration=each_epoch)], after_epoch)
"""


def test_a_run_waits_for_the_process_that_is_at_work_on_it_and_goes_on_when_that_is_killed(
    tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob
) -> None:
    spec = make_spec(epochs=2)
    for name in ("alone", "shared"):
        (tmp_path / name).mkdir()
    (expected,) = execute_locked([make_job(spec, tmp_path / "alone")], lambda *_: None)
    root, store = tmp_path / "shared", RunStore(tmp_path / "shared")
    command = [sys.executable, "-c", HOLDING, spec.canonical(), str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holding:
        try:
            assert holding.stdout is not None
            assert holding.stdout.readline() == "1\n"
            store.request_stop()
            with pytest.raises(Stopped):  # it does not wait longer than the command
                execute_locked([make_job(spec, root)], lambda *_: None)
            (root / ".stop").unlink()
            epochs: list[int] = []
            ended: list[RunResult] = []
            waiting = threading.Thread(
                target=lambda: ended.extend(
                    execute_locked([make_job(spec, root)], lambda _, epoch, __: epochs.append(epoch))
                )
            )
            waiting.start()
            waiting.join(1.0)
            assert waiting.is_alive()
            assert epochs == []
        finally:
            holding.kill()
        waiting.join()
    assert epochs == [2]
    assert ended[0].accuracy == expected.accuracy
    for name in ("last.safetensors", "metrics.csv"):
        file = f"{spec.folder_name}/{name}"
        assert (root / file).read_bytes() == (tmp_path / "alone" / file).read_bytes()


def test_the_command_at_work_is_the_last_one_that_said_so(tmp_path: Path) -> None:
    assert command_of(tmp_path) is None
    forget_command(tmp_path)
    with commanded_by("first", tmp_path):
        assert command_of(tmp_path) == "first"
        with commanded_by("second", tmp_path):
            assert command_of(tmp_path) == "second"
        assert command_of(tmp_path) is None
    (tmp_path / ".command").write_text("killed")
    forget_command(tmp_path)
    assert command_of(tmp_path) is None


# Schedulers that others have started


def test_a_worker_is_no_scheduler(threads: Any) -> None:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            protocol="tcp",
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        (worker,) = client.nthreads()
        with pytest.raises(InputError, match=r"^no scheduler answers at .* \(but a Worker\)"), remote_client(worker):
            pass
