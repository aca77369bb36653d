"""What the engine meets on a machine: a dask that was set for others, limits, locales, criteria with processes."""

import csv
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

PRUNECHECK = Path(sys.executable).parent / "prunecheck"

PATIENCE = 500.0

STUDY = """
methods = ["{method}"]
datasets = ["digits"]
train_images = 200
test_images = 50
models = ["resnet8"]
widths = [8]
sparsities = [0.5]
checks = []
baseline = "none"
seeds = 2
recipes = ["short"]

[recipe.short]
epochs = 1
"""

GRADIENTS = """
import torch

def gradients(model, x, y):
    names = [name for name, p in model.named_parameters() if name.endswith("weight") and p.dim() > 1]
    weights = dict(model.named_parameters())
    loss = torch.nn.functional.cross_entropy(model(x), y)
    gradients = torch.autograd.grad(loss, [weights[name] for name in names])
    return {name.removesuffix(".weight"): g.abs() for name, g in zip(names, gradients)}
"""

LOADING = (
    GRADIENTS
    + """
from torch.utils.data import DataLoader, TensorDataset

def score(model, batches):
    x, y = batches[0]
    (batch,) = DataLoader(TensorDataset(x, y), batch_size=len(x), num_workers=1)
    return gradients(model, *batch)
"""
)

HOLDING = (
    GRADIENTS
    + """
import multiprocessing, os, pathlib, time

def score(model, batches):
    if multiprocessing.parent_process():  # not when it is tried out before the runs
        pool = multiprocessing.get_context("fork").Pool(2)
        pathlib.Path(f"began-{os.getpid()}").write_text(" ".join(str(child.pid) for child in pool._pool))
        time.sleep(600)
    return gradients(model, *batches[0])
"""
)

SURPRISE = """
import pathlib
pathlib.Path(r"{imported}").touch()
raise ImportError("this is not the module you are looking for")
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the faults are done as Linux does them")

Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def call(tmp_path: Path, environment: dict[str, str]) -> Call:
    """Write a study of a method and call ``run`` on it, with variables and limits of its own."""

    def call(
        method: str = "random-smart", *, limits: dict[int, int] | None = None, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        (tmp_path / "study.toml").write_text(STUDY.format(method=method))

        def limit() -> None:
            for kind, most in (limits or {}).items():
                resource.setrlimit(kind, (most, most))

        return subprocess.run(
            [PRUNECHECK, "run", "study.toml", "--workers", "2", "--quiet"],
            cwd=tmp_path,
            env=environment | variables,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            preexec_fn=limit,
            timeout=PATIENCE,
            check=False,
        )

    return call


@pytest.fixture
def has_runs(tmp_path: Path) -> None:
    """Something lies where runs do, so that workers are not begun before it is known whether any are needed."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "notes.txt").touch()


def statuses(folder: Path) -> dict[tuple[str, str], str]:
    with (folder / "runs" / "results.csv").open(encoding="utf-8") as file:
        return {(row["method"], row["seed"]): row["status"] for row in csv.DictReader(file)}


@pytest.mark.slow
def test_neither_a_users_dask_nor_their_folder_nor_processes_of_a_criterion_disturb_a_study(
    call: Call, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(LOADING)
    imported = tmp_path / "imported"
    for name in ("socket", "queue", "psutil", "tornado", "yaml"):
        (tmp_path / f"{name}.py").write_text(SURPRISE.format(imported=imported))
    configuration = tmp_path / "home" / ".config" / "dask"
    configuration.mkdir(parents=True)
    (configuration / "distributed.yaml").write_text(
        "distributed:\n"
        "  worker: {lifetime: {duration: 1s}, daemon: true, multiprocessing-method: fork, preload: [no_such_module],"
        " memory: {terminate: 0.0001}, resources: {GPU: 1}}\n"
        "  nanny: {preload: [no_such_module], environ: {OMP_NUM_THREADS: 7}}\n"
        "  scheduler: {preload: [no_such_module], idle-timeout: 1s, no-workers-timeout: 1s}\n"
        "  comm: {compression: no-such-compression, timeouts: {connect: 1ms, tcp: 1ms}}\n"
        "temporary-directory: /proc/none\n"
    )
    variables = {"DASK_SCHEDULER_ADDRESS": "tcp://127.0.0.1:1", "DASK_DISTRIBUTED__WORKER__LIFETIME__STAGGER": "1s"}
    ended = call("mine.py:score", HOME=str(tmp_path / "home"), **variables)
    assert ended.returncode == 0
    (warning,) = ended.stderr.splitlines()
    assert warning.startswith("mine.py:score uses another process")
    assert set(statuses(tmp_path).values()) == {"trained"}
    assert len(statuses(tmp_path)) == 4
    assert not imported.exists()


@pytest.mark.usefixtures("has_runs")
@pytest.mark.parametrize(
    ("variables", "limits", "said"),
    [
        ({}, {resource.RLIMIT_NOFILE: 80}, "2 worker processes need about 88 open files, and 80 are allowed"),
        ({"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"}, {}, "dask's configuration requires encryption"),
    ],
)
def test_an_engine_that_cannot_start_is_one_sentence(
    call: Call, tmp_path: Path, variables: dict[str, str], limits: dict[int, int], said: str
) -> None:
    ended = call(limits=limits, **variables)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1), ended.stderr
    assert ended.stderr.startswith(f"prunecheck: {said}")
    advice = ("--workers set to 1", "lower --workers to 1")
    assert any(said in ended.stderr for said in advice) or "REQUIRE_ENCRYPTION=False" in ended.stderr
    assert not list(tmp_path.glob("runs/*/result.json"))


def test_a_compiler_that_fails_is_said_once_and_not_by_each_worker_again(call: Call, tmp_path: Path) -> None:
    compiler = tmp_path / "bin" / "c++"
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\necho out of order >&2\nexit 1\n")
    compiler.chmod(0o755)
    ended = call(PATH=f"{compiler.parent}:{os.environ['PATH']}")
    assert (ended.returncode, ended.stderr.count("cannot be had")) == (0, 1), ended.stderr
    assert "out of order" in ended.stderr
    assert set(statuses(tmp_path).values()) == {"trained"}


@pytest.mark.usefixtures("has_runs")
def test_a_configuration_that_cannot_be_read_is_named(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "home" / ".config" / "dask" / "broken.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("distributed: [\n  : :")
    ended = call(HOME=str(tmp_path / "home"))
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert str(file) in ended.stderr


FAILING = (
    GRADIENTS
    + """
import pathlib

def score(model, batches):
    print("∑ at", chr(0xDC80))
    total = str(float(sum(weights.detach().sum() for weights in model.parameters())))
    seen = pathlib.Path("seen")
    if not seen.exists():  # the one that it is tried out on
        seen.write_text(total)
    if seen.read_text() != total:
        raise ValueError("weight too large: ∑|w| → ∞" + chr(0xDC80))
    return gradients(model, *batches[0])
"""
)


@pytest.mark.slow
def test_in_a_locale_without_our_signs_a_run_that_fails_with_them_has_failed_and_the_others_go_on(
    call: Call, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(FAILING, encoding="utf-8")
    ended = call("mine.py:score", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", LC_ALL="C")
    assert ended.returncode == 1
    # What the criterion prints goes where it disturbs no answer.
    printed, said = dict.fromkeys(ended.stderr.splitlines())
    assert printed == r"\u2211 at \udc80"
    assert said.startswith("prunecheck: 1 run of ")
    assert "1 of 2 failed" in ended.stdout
    assert statuses(tmp_path) == {
        ("dense", "0"): "trained",
        ("dense", "1"): "trained",
        ("mine.py:score", "0"): "trained",
        ("mine.py:score", "1"): "failed",
    }
    (folder,) = [file.parent for file in tmp_path.glob("runs/*/result.json") if '"failed"' in file.read_text()]
    assert r"∑|w| → ∞\udc80" in (folder / "log").read_text(encoding="utf-8")


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_command_that_is_killed_leaves_no_process_not_even_those_of_a_criterion(
    tmp_path: Path, environment: dict[str, str], number: int
) -> None:
    (tmp_path / "mine.py").write_text(HOLDING)
    (tmp_path / "study.toml").write_text(STUDY.format(method="mine.py:score").replace("seeds = 2", "seeds = 1"))
    command = subprocess.Popen(
        [PRUNECHECK, "run", "study.toml", "--workers", "2", "--quiet"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        await_(lambda: [file for file in tmp_path.glob("began-*") if len(file.read_text().split()) == 2], command)
        (began,) = tmp_path.glob("began-*")
        holding = [psutil.Process(int(pid)) for pid in (began.name.removeprefix("began-"), *began.read_text().split())]
        command.send_signal(number)
        command.wait(PATIENCE)
        _, alive = psutil.wait_procs(holding, timeout=PATIENCE)
        assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
        await_(lambda: not session_of(command))
    finally:
        for process in session_of(command):
            process.kill()


def await_(condition: Callable[[], object], command: "subprocess.Popen[bytes] | None" = None) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        assert command is None or command.poll() is None
        time.sleep(0.05)


def session_of(command: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == command.pid and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, ProcessLookupError):
            continue
    return found
