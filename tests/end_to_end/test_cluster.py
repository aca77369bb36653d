# mypy: allow-untyped-calls
"""A study on a scheduler that others have started: what it survives, and what it refuses."""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

import prunecheck as package
from prunecheck.engine.executors import RunDone, execute_all
from prunecheck.engine.job import Job
from prunecheck.errors import InputError
from prunecheck.runs.spec import RunSpec, Setting
from prunecheck.runs.store import RunStore
from prunecheck.training import Recipe

Command = Callable[..., Any]
Begin = Callable[..., "subprocess.Popen[str]"]
Start = Callable[..., psutil.Popen]

PATIENCE = 120.0

STUDY = """
methods = ["snip"]
datasets = ["digits"]
models = ["resnet8"]
widths = [4]
sparsities = [0.9]
checks = []
baseline = "none"
seeds = 2
recipes = ["short"]

[recipe.short]
epochs = 8
"""

RUNS = 4


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def end_with_children(process: psutil.Popen) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        process.kill()
    process.wait()


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Start ``dask scheduler`` or ``dask worker``, which end with the test."""
    processes: list[psutil.Popen] = []

    def start(part: str, *arguments: str | Path, **variables: str) -> psutil.Popen:
        command = [sys.executable, "-m", f"distributed.cli.dask_{part}", *map(str, arguments)]
        log = (tmp_path / f"{part}{len(processes)}.log").open("w")
        with log:
            process = psutil.Popen(command, env=environment | variables, cwd=tmp_path, stdout=log, stderr=log)
        processes.append(process)
        return process

    yield start
    for process in reversed(processes):
        end_with_children(process)


@pytest.fixture
def scheduler_file(tmp_path: Path) -> Path:
    return tmp_path / "scheduler.json"


def start_scheduler(start: Start, file: Path, *arguments: str | Path, **variables: str) -> psutil.Popen:
    where = ("--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0", "--no-dashboard")
    process = start("scheduler", "--scheduler-file", file, *where, *arguments, **variables)
    wait_until(file.exists, "the scheduler's file")
    return process


def start_workers(start: Start, file: Path, *arguments: str | Path, **variables: str) -> psutil.Popen:
    where = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--no-dashboard", "--memory-limit", "0")
    return start("worker", "--scheduler-file", file, *where, *arguments, **variables)


def checkpoints(runs: Path) -> set[int]:
    return {file.stat().st_mtime_ns for file in runs.glob("*/last.safetensors")}


def await_training(process: "subprocess.Popen[str]", runs: Path) -> None:
    before = checkpoints(runs)

    def has_trained() -> bool:
        assert process.poll() is None, process.communicate()
        return checkpoints(runs) != before

    wait_until(has_trained, "a checkpoint")


def assert_same_runs(runs: Path, expected: Path) -> None:
    compared = ("spec.json", "ticket.safetensors", "last.safetensors", "metrics.csv")
    folders = sorted(file.parent.name for file in expected.glob("*/result.json"))
    assert len(folders) == RUNS
    for name in (f"{folder}/{file}" for folder in folders for file in compared):
        assert (runs / name).read_bytes() == (expected / name).read_bytes(), name


HOLDING = """
import os, pathlib, time
from prunecheck.pruning import random_scores

def score(model, batches, generator):
    if pathlib.Path("hold").exists() and pathlib.Path("runs/.command").exists():  # not when it is tried out before
        pathlib.Path("began").write_text(str(os.getpid()))
        time.sleep(600)
    return random_scores(model, generator=generator)
"""


@pytest.mark.slow
@pytest.mark.parametrize("is_machine", [True, False])
def test_only_workers_that_ended_alone_count_against_the_run_that_they_were_doing(
    start: Start, begin: Begin, scheduler_file: Path, tmp_path: Path, is_machine: bool
) -> None:
    (tmp_path / "mine.py").write_text(HOLDING)
    study = STUDY.replace("snip", "mine.py:score").replace("seeds = 2", "seeds = 1").replace("epochs = 8", "epochs = 1")
    (tmp_path / "study.toml").write_text(study)
    (tmp_path / "hold").touch()
    start_scheduler(start, scheduler_file)
    start_workers(start, scheduler_file, "--nthreads", "1")
    process = begin("run", "study.toml", "--scheduler", scheduler_file, "--quiet", cwd=tmp_path)
    began = tmp_path / "began"
    for _ in range(5):  # once more than a run may end its workers
        wait_until(lambda: began.exists() or process.poll() is not None, "the run begun")
        if process.poll() is not None or not began.exists() or not began.read_text():
            break
        worker = psutil.Process(int(began.read_text()))
        began.unlink()
        if is_machine:
            end_with_children(worker.parent())
            start_workers(start, scheduler_file, "--nthreads", "1")
        else:
            worker.kill()
    (tmp_path / "hold").unlink()
    process.communicate(timeout=PATIENCE)
    statuses = {spec.method: result.status for spec, result in RunStore(tmp_path / "runs").results().items()}
    assert statuses == {"dense": "trained", "mine.py:score": "trained" if is_machine else "failed"}


@pytest.mark.slow
def test_killed_commands_and_schedulers_lose_nothing(
    start: Start, scheduler_file: Path, begin: Begin, prunecheck: Command, tmp_path: Path
) -> None:
    study = tmp_path / "study.toml"
    study.write_text(STUDY)
    assert prunecheck("run", study, "--workers", "1", "--quiet", "--out", "expected", cwd=tmp_path).code == 0
    scheduler = start_scheduler(start, scheduler_file)
    start_workers(start, scheduler_file, "--nthreads", "1", "--nworkers", "2")
    command, runs = (
        ["run", study, "--checkpoint-seconds", "0", "--quiet", "--scheduler", scheduler_file],
        tmp_path / "runs",
    )

    killed = begin(*command, cwd=tmp_path)
    await_training(killed, runs)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    left_behind = {file.parent.name: file.read_bytes() for file in runs.glob("*/result.json")}
    assert len(left_behind) < RUNS

    # The workers of the killed command are in the middle of an epoch, and the next one gives them the same runs.
    mark = (runs / ".command").read_text()
    cut_off = begin(*command, cwd=tmp_path)
    wait_until(lambda: (runs / ".command").read_text() != mark, "the second command to reach the scheduler")
    await_training(cut_off, runs)
    scheduler.kill()
    _, stderr = cut_off.communicate(timeout=PATIENCE)
    lost = "the connection to the scheduler was lost: mend that and call the command again; what is finished stays."
    assert (cut_off.returncode, stderr) == (2, f"prunecheck: {lost}\n")

    ended = prunecheck("run", study, "--workers", "1", "--quiet", cwd=tmp_path)
    assert (ended.code, ended.stderr) == (0, "")
    assert_same_runs(runs, tmp_path / "expected")
    for folder, result in left_behind.items():
        assert (runs / folder / "result.json").read_bytes() == result


def make_jobs(root: Path, seeds: int) -> list[Job]:
    root.mkdir()
    recipe = Recipe(epochs=2, batch_size=64, learning_rate=0.1, milestones=(1,))
    specs = [
        RunSpec(
            Setting(dataset="digits", model="resnet8", width=2, recipe=recipe),
            method="snip",
            sparsity=0.8,
            samples_per_class=3,
            scoring_rounds=1,
            seed=seed,
        )
        for seed in range(seeds)
    ]
    return [Job(spec, root, "snip", "digits", None, "cpu") for spec in specs]


def installed_as(folder: Path, name: str, version: str) -> dict[str, str]:
    """Return the environment of a process in which another version of a package is installed."""
    described = folder / f"{name}-{version}.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return {"PYTHONPATH": str(folder)}


def await_workers(file: Path, count: int) -> None:
    from distributed import Client

    with Client(scheduler_file=str(file), set_as_default=False) as client:
        client.wait_for_workers(count, timeout=PATIENCE)


def test_a_scheduler_of_another_version_is_refused(start: Start, scheduler_file: Path, tmp_path: Path) -> None:
    other = installed_as(tmp_path / "other", "prunecheck", "9.9.9")
    start_scheduler(start, scheduler_file, **other)
    expected = rf"^the scheduler has prunecheck 9\.9\.9 and this command {package.__version__}: install the same"
    with pytest.raises(InputError, match=expected):
        execute_all(make_jobs(tmp_path / "runs", 1), 1, lambda _: None, scheduler=str(scheduler_file))
    assert list((tmp_path / "runs").iterdir()) == []


def test_workers_that_cannot_do_the_runs_are_refused(start: Start, scheduler_file: Path, tmp_path: Path) -> None:
    start_scheduler(start, scheduler_file)
    jobs = make_jobs(tmp_path / "runs", 1)
    other = installed_as(tmp_path / "other", "distributed", "2000.1.0")
    refused = {
        rf"^the worker tcp://\S+ has distributed 2000\.1\.0 and this command {version('distributed')}": (["1"], other),
        r"^the worker tcp://\S+ has 2 threads: start workers with --nthreads 1": (["2"], {}),
    }
    for expected, (threads, variables) in refused.items():
        worker = start_workers(start, scheduler_file, "--no-nanny", "--nthreads", *threads, **variables)
        await_workers(scheduler_file, 1)
        with pytest.raises(InputError, match=expected):
            execute_all(jobs, 1, lambda _: None, scheduler=str(scheduler_file))
        worker.terminate()
        worker.wait()
        assert list((tmp_path / "runs").iterdir()) == []


@pytest.fixture
def certificates(tmp_path: Path) -> dict[str, Path]:
    """A key, and a certificate that is its own authority."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    try:
        subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no openssl command here")
    return {"ca-file": certificate, "cert": certificate, "key": key}


@pytest.mark.slow
def test_two_commands_share_a_scheduler_over_tls(
    start: Start, scheduler_file: Path, certificates: dict[str, Path], tmp_path: Path
) -> None:
    import dask

    options = [word for name, file in certificates.items() for word in (f"--tls-{name}", file)]
    scheduler = ["--protocol", "tls", *options]
    start_scheduler(start, scheduler_file, *scheduler)
    start_workers(start, scheduler_file, *scheduler, "--nthreads", "1", "--nworkers", "2")
    settings = {
        "distributed.comm.tls.ca-file": str(certificates["ca-file"]),
        "distributed.comm.tls.client.cert": str(certificates["cert"]),
        "distributed.comm.tls.client.key": str(certificates["key"]),
    }
    alone = make_jobs(tmp_path / "alone", 2)
    execute_all(alone, 1, lambda _: None)
    roots = [tmp_path / "first", tmp_path / "second"]
    ended: dict[Path, list[RunSpec]] = {root: [] for root in roots}

    def call(root: Path, jobs: list[Job]) -> None:
        def note(event: object) -> None:
            if isinstance(event, RunDone):
                ended[root].append(event.spec)

        execute_all(jobs, 1, note, scheduler=str(scheduler_file))

    with dask.config.set(settings):
        threads = [threading.Thread(target=call, args=(root, make_jobs(root, 2))) for root in roots]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for root in roots:
        assert {spec.seed for spec in ended[root]} == {0, 1}
        for job in alone:
            assert RunStore(root).result(job.spec)
            for name in ("last.safetensors", "metrics.csv"):
                file = f"{job.spec.folder_name}/{name}"
                assert (root / file).read_bytes() == (tmp_path / "alone" / file).read_bytes()
        assert not (root / ".command").exists()
