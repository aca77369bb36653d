"""What a study survives: each fault is done to the installed command while it trains."""

import contextlib
import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

Command = Callable[..., Any]
Begin = Callable[..., "subprocess.Popen[str]"]
Running = subprocess.Popen[str]

PATIENCE = 300.0

STUDY = """
methods = ["snip"]
datasets = ["digits"]
models = ["resnet8"]
widths = [4]
sparsities = [0.9]
checks = []
baseline = "none"
seeds = 3
recipes = ["short"]

[recipe.short]
epochs = 4
"""

RUNS = 6

EVERY_EPOCH = ("--checkpoint-seconds", "0")
"""Is on disk, so that a fault meets checkpoints that are written."""

CLOCK = """
import time
true_time, begun = time.time, time.monotonic()

def jumping():
    return true_time() + (86_400, 0, -86_400)[int(2 * (time.monotonic() - begun)) % 3]

time.time = jumping
"""
"""Read by every Python process that finds it; its clock jumps by a day, on and back, twice a second."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the faults are done as Linux does them")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)


def alive_in_session_of(process: Running) -> list[psutil.Process]:
    found = []
    for other in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(other.pid) == process.pid and other.status() != psutil.STATUS_ZOMBIE:
                found.append(other)
    return found


def await_training(process: Running, runs: Path) -> None:
    """Return once a checkpoint was written and another one after it."""

    def checkpoints() -> set[int]:
        assert process.poll() is None, process.communicate()
        return {file.stat().st_mtime_ns for file in runs.glob("*/last.safetensors")}

    wait_until(lambda: bool(checkpoints()), "a first checkpoint")
    before = checkpoints()
    wait_until(lambda: checkpoints() != before, "a second checkpoint")


def end_of(process: Running) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=PATIENCE)
    wait_until(lambda: not alive_in_session_of(process), "the end of all processes of the command")
    return process.returncode, stdout, stderr


def finished_files(runs: Path) -> dict[Path, bytes]:
    """Return all files of the runs that are complete."""
    folders = [file.parent for file in runs.glob("*/result.json")]
    return {file: file.read_bytes() for folder in folders for file in folder.iterdir()}


def assert_same_runs(runs: Path, expected: Path) -> None:
    compared = ("spec.json", "ticket.safetensors", "last.safetensors", "metrics.csv")
    folders = sorted(file.parent.name for file in expected.glob("*/result.json"))
    assert len(folders) == RUNS
    assert sorted(file.parent.name for file in runs.glob("*/result.json")) == folders
    for name in (f"{folder}/{file}" for folder in folders for file in compared):
        assert (runs / name).read_bytes() == (expected / name).read_bytes(), name
    assert not list(runs.rglob("*.part"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("study") / "study.toml"
    file.write_text(STUDY)
    return file


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, study: Path, prunecheck_in_a_fork: Command) -> Path:
    """The runs of the study when nothing disturbs it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    ended = prunecheck_in_a_fork("run", study, "--workers", "1", "--quiet", cwd=folder)
    assert (ended.code, ended.stderr) == (0, "")
    runs: Path = folder / "runs"
    return runs


def mounted(*arguments: str | Path) -> None:
    """Call ``mount``, or skip the test where it is not allowed."""
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip(f"file systems cannot be mounted here: {done.stderr.strip()}")


@pytest.fixture
def own_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder ``runs`` that is a file system of its own."""
    runs = tmp_path / "runs"
    runs.mkdir()
    mounted("-t", "tmpfs", "-o", "size=32m", "prunecheck-test", runs)
    yield runs
    subprocess.run(["umount", str(runs)], check=True)


@pytest.mark.slow
def test_a_killed_worker_loses_nothing_and_leaves_nothing(
    begin: Begin, study: Path, expected: Path, tmp_path: Path
) -> None:
    process = begin("run", study, *EVERY_EPOCH, "--workers", "2", "--quiet", cwd=tmp_path)
    await_training(process, tmp_path / "runs")
    servers = [child for child in psutil.Process(process.pid).children() if "forkserver" in " ".join(child.cmdline())]
    workers = [worker for server in servers for worker in server.children()]  # which may have a compiler below them
    assert len(workers) == 2
    before = finished_files(tmp_path / "runs")
    workers[0].kill()
    code, _, stderr = end_of(process)
    assert (code, stderr) == (0, "")
    assert_same_runs(tmp_path / "runs", expected)
    assert before.items() <= finished_files(tmp_path / "runs").items()


@pytest.mark.slow
def test_a_second_command_is_refused_wherever_its_runs_were_to_be_done(
    begin: Begin, prunecheck: Command, study: Path, expected: Path, tmp_path: Path
) -> None:
    first = begin("run", study, *EVERY_EPOCH, "--workers", "2", "--quiet", cwd=tmp_path)
    await_training(first, tmp_path / "runs")
    first.send_signal(signal.SIGSTOP)  # so that it is not done before the others are refused
    for where in (["--workers", "1"], ["--scheduler", "tcp://127.0.0.1:1"]):
        refused = prunecheck("run", study, *where, cwd=tmp_path)
        said = "prunecheck: another prunecheck is at work in runs: wait for it, or choose another --out.\n"
        assert (refused.code, refused.stdout, refused.stderr) == (2, "", said)
    first.send_signal(signal.SIGCONT)
    assert end_of(first)[0] == 0
    assert_same_runs(tmp_path / "runs", expected)


@pytest.mark.slow
def test_a_full_disk_ends_a_study_in_one_sentence_and_the_same_call_completes_it(
    begin: Begin, prunecheck_in_a_fork: Command, study: Path, expected: Path, tmp_path: Path, own_disk: Path
) -> None:
    process = begin("run", study, *EVERY_EPOCH, "--workers", "2", "--quiet", cwd=tmp_path)
    await_training(process, own_disk)
    ballast = own_disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    code, stdout, stderr = end_of(process)
    assert (code, stdout, stderr.count("\n")) == (2, "", 1), stderr
    assert stderr.startswith("prunecheck: no space left on device")
    before = finished_files(own_disk)
    ballast.unlink()
    assert prunecheck_in_a_fork("run", study, "--workers", "1", "--quiet", cwd=tmp_path).code == 0
    assert_same_runs(own_disk, expected)
    assert before.items() <= finished_files(own_disk).items()


@pytest.fixture
def turn_read_only(tmp_path: Path) -> Iterator[Callable[[Path], Callable[[], None]]]:
    """Make a folder read-only for all that is opened from now on; what is returned ends that."""
    undo: list[Path] = []

    def end() -> None:
        while undo:
            subprocess.run(["umount", str(undo.pop())], check=True)

    def turn(folder: Path) -> Callable[[], None]:
        mounted("--bind", folder, folder)
        undo.append(folder)
        mounted("-o", "remount,bind,ro", folder)
        return end

    yield turn
    end()


@pytest.mark.slow
def test_a_folder_that_turns_read_only_ends_a_study_in_one_sentence_and_the_same_call_completes_it(
    begin: Begin,
    prunecheck_in_a_fork: Command,
    study: Path,
    expected: Path,
    tmp_path: Path,
    turn_read_only: Callable[[Path], Callable[[], None]],
) -> None:
    runs = tmp_path / "runs"
    process = begin("run", study, *EVERY_EPOCH, "--workers", "2", "--quiet", cwd=tmp_path)
    try:
        await_training(process, runs)
        make_writable = turn_read_only(runs)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    code, stdout, stderr = end_of(process)
    assert (code, stdout, stderr.count("\n")) == (2, "", 1), stderr
    assert stderr.startswith("prunecheck: read-only file system")
    before = finished_files(runs)
    make_writable()
    assert prunecheck_in_a_fork("run", study, "--workers", "1", "--quiet", cwd=tmp_path).code == 0
    assert_same_runs(runs, expected)
    assert before.items() <= finished_files(runs).items()


@pytest.mark.slow
def test_a_clock_that_jumps_changes_nothing(
    study: Path, expected: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "sitecustomize.py").write_text(CLOCK)
    ended = subprocess.run(
        [Path(sys.executable).parent / "prunecheck", "run", study, "--workers", "2"],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(tmp_path / "clock")},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert_untouched_by_the_clock(ended.stderr, tmp_path, expected)


def test_a_clock_that_jumps_changes_nothing_of_a_single_worker(
    study: Path, expected: Path, tmp_path: Path, prunecheck_in_a_fork: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", time.time)  # is back at the end
    exec(CLOCK, {})
    ended = prunecheck_in_a_fork("run", study, "--workers", "1", cwd=tmp_path)
    assert ended.code == 0, ended.stderr
    assert_untouched_by_the_clock(ended.stderr, tmp_path, expected)


def assert_untouched_by_the_clock(said: str, folder: Path, expected: Path) -> None:
    assert f"{RUNS} of {RUNS} runs done in " in said
    assert_same_runs(folder / "runs", expected)
    results = [row["seconds"] for row in rows_of(folder / "runs")]
    assert all(0 < float(seconds) < PATIENCE for seconds in results)


def rows_of(runs: Path) -> list[dict[str, str]]:
    with (runs / "results.csv").open() as file:
        return list(csv.DictReader(file))


FAILS_FOR_ALL_BUT_THE_FIRST_SEED = """
from pathlib import Path
from prunecheck.pruning import snip

def score(model, batches):
    total = str(float(sum(weights.detach().sum() for weights in model.parameters())))
    seen = Path("{seen}")
    if not seen.exists():
        seen.write_text(total)
    if seen.read_text() != total:
        raise ValueError("out of order")
    return snip(model, batches)
"""


def test_losses_that_are_no_numbers_and_a_criterion_that_fails_do_not_stop_a_study(
    prunecheck_in_a_fork: Command, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(FAILS_FOR_ALL_BUT_THE_FIRST_SEED.format(seen=tmp_path / "seen"))
    text = STUDY.replace('"snip"', '"snip", "mine.py:score"').replace("seeds = 3", "seeds = 2")
    study = tmp_path / "study.toml"
    study.write_text(text.replace("epochs = 4", "epochs = 2\nlearning_rate = 1e30"))
    ended = prunecheck_in_a_fork("run", study, "--workers", "1", "--quiet", cwd=tmp_path)
    assert ended.code == 1
    (said,) = ended.stderr.splitlines()
    assert said.startswith("prunecheck: 1 run of 6 failed, which is no result: ")
    found = {(row["method"], row["seed"]): row["status"] for row in rows_of(tmp_path / "runs")}
    assert found == {
        ("dense", "0"): "diverged",
        ("dense", "1"): "diverged",
        ("snip", "0"): "diverged",
        ("snip", "1"): "diverged",
        ("mine.py:score", "0"): "diverged",
        ("mine.py:score", "1"): "failed",
    }
