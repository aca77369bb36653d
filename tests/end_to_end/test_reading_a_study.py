import csv
import io
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prunecheck.runs.status import look_at
from prunecheck.training import Checkpoint

Command = Callable[..., Any]
Begin = Callable[..., "subprocess.Popen[str]"]

PATIENCE = 300.0


@pytest.fixture
def study(finished: Any, tmp_path: Path) -> Path:
    """A folder with a copy of a finished check."""
    shutil.copytree(finished.folder / "runs", tmp_path / "runs")
    return tmp_path


def test_a_check_at_work_is_seen_and_stops_when_it_is_asked_to(
    begin: Begin, prunecheck_in_a_fork: Command, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    options = ["--epochs", "5000", "--seeds", "1", "--model", "resnet8", "--width", "2", "--train-images", "100"]
    command = ["check", "snip", *options, "--checks", "reinit", "--sparsity", "0.5", "--workers", "1", "--quiet"]
    process = begin(*command, cwd=tmp_path)
    deadline = time.monotonic() + PATIENCE
    try:
        while not list(runs.glob("*/last.safetensors")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        state = look_at(runs)
        assert state.at_work
        assert len(state.running) == 1
        stop = prunecheck_in_a_fork("stop", cwd=tmp_path)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert (stop.code, stop.stderr, stop.stdout.startswith("asked the prunecheck in runs to stop")) == (0, "", True)
    said = (
        "prunecheck: stopped by `prunecheck stop`: what is finished stays, and the same command goes on from there.\n"
    )
    assert (process.returncode, stdout, stderr) == (130, "", said)
    state = look_at(runs)
    assert not state.at_work
    assert state.counts()["interrupted"] == len(state.runs) == 1
    (run,) = state.runs
    assert 0 < run.epochs_done == len(Checkpoint.read(run.path / "last.safetensors").metrics)


def test_results_are_those_of_results_csv(study: Path, prunecheck_in_a_fork: Command) -> None:
    ended = prunecheck_in_a_fork("results", "--csv", cwd=study)
    rows = list(csv.DictReader(io.StringIO(ended.stdout)))
    written = list(csv.DictReader((study / "runs" / "results.csv").read_text().splitlines()))
    assert (ended.code, ended.stderr, len(rows)) == (0, "", 8)
    assert [{name: row[name] for name in written[0] if name != "folder"} for row in rows] == [
        {name: value for name, value in row.items() if name != "folder"} for row in written
    ]


REWRITTEN = (".lock", "report.html")
"""The report names the command that made it."""


def test_a_cleaned_study_gives_the_same_answer_without_a_new_run(
    finished: Any, study: Path, small_check: list[str], prunecheck_in_a_fork: Command
) -> None:
    cleaned = prunecheck_in_a_fork("clean", cwd=study)
    assert (cleaned.code, cleaned.stdout.startswith("freed ")) == (0, True)
    before = {file: file.read_bytes() for file in study.rglob("*") if file.is_file() and file.name not in REWRITTEN}
    again = prunecheck_in_a_fork(*small_check, "--workers", "1", "--json", cwd=study)
    assert (again.code, json.loads(again.stdout)) == (0, json.loads(finished.json.stdout))
    assert {file: file.read_bytes() for file in before} == before
