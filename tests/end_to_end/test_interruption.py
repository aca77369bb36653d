import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]
Begin = Callable[..., "subprocess.Popen[str]"]

PATIENCE = 300.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads process groups from /proc")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)


def members(group: int) -> list[str]:
    """Return the processes of a group that are alive."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, process_group = file.read_text().rpartition(")")[2].split()[:3]
            if int(process_group) == group and state not in "ZX":
                found.append(file.parent.name)
    return found


def checkpoints(runs: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in runs.glob("*/last.safetensors")}


def interrupt(
    process: "subprocess.Popen[str]", runs: Path, number: int, *, group: bool = False
) -> tuple[int, str, str]:
    """Send a signal as soon as the command has written a checkpoint; return code, stdout and stderr."""
    before = checkpoints(runs)

    def is_training() -> bool:
        assert process.poll() is None, process.communicate()
        return checkpoints(runs) != before

    wait_until(is_training, "a checkpoint")
    (os.killpg if group else os.kill)(process.pid, number)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    wait_until(lambda: not members(process.pid), "the end of all processes of the command")
    return process.returncode, stdout, stderr


FINISHING = "prunecheck: finishing the epoch that is going on; Ctrl-C again stops at once.\n"


def is_unfinished(runs: Path) -> bool:
    return len(list(runs.glob("*/result.json"))) < 8


def test_an_interrupted_and_a_terminated_check_go_on_and_find_the_same(
    finished: Any, begin: Begin, prunecheck_in_a_fork: Command, small_check: list[str], tmp_path: Path
) -> None:
    command, runs = [*small_check, "--workers", "1", "--json", "--quiet"], tmp_path / "runs"
    for number, code, word in ((signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")):
        ended = interrupt(begin(*command, cwd=tmp_path), runs, number)
        said = FINISHING if number == signal.SIGINT else ""
        said += f"prunecheck: {word}: what is finished stays, and the same command goes on from there.\n"
        assert ended == (code, "", said)
        assert is_unfinished(runs)
        assert (runs / "results.csv").exists()
    went_on = prunecheck_in_a_fork(*command, cwd=tmp_path)
    assert (went_on.code, went_on.stdout) == (0, finished.json.stdout)
    assert_same_runs(runs, finished.folder / "runs")


def assert_same_runs(runs: Path, expected: Path) -> None:
    for file in expected.glob("*/last.safetensors"):
        for name in ("last.safetensors", "metrics.csv"):
            assert (runs / file.parent.name / name).read_bytes() == (file.parent / name).read_bytes()
    assert not list(runs.rglob("*.part"))


@pytest.mark.slow
def test_a_killed_check_leaves_no_process_and_goes_on_and_finds_the_same(
    finished: Any, begin: Begin, prunecheck_in_a_fork: Command, small_check: list[str], tmp_path: Path
) -> None:
    command, runs = [*small_check, "--json", "--quiet"], tmp_path / "runs"
    code, stdout, _ = interrupt(begin(*command, "--workers", "2", cwd=tmp_path), runs, signal.SIGKILL)
    assert (code, stdout) == (-signal.SIGKILL, "")
    assert is_unfinished(runs)
    went_on = prunecheck_in_a_fork(*command, "--workers", "1", cwd=tmp_path)
    assert (went_on.code, went_on.stdout, went_on.stderr) == (0, finished.json.stdout, "")
    assert_same_runs(runs, finished.folder / "runs")


def test_control_c_in_a_terminal_ends_two_workers_in_two_lines(
    begin: Begin, small_check: list[str], tmp_path: Path
) -> None:
    command = [*small_check, "--workers", "2", "--quiet"]
    code, stdout, stderr = interrupt(begin(*command, cwd=tmp_path), tmp_path / "runs", signal.SIGINT, group=True)
    assert (code, stdout) == (130, "")
    assert stderr == (
        f"{FINISHING}prunecheck: interrupted: what is finished stays, and the same command goes on from there.\n"
    )
