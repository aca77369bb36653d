import csv
import json
import math
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]

RUN_FILES = {"spec.json", "metrics.csv", "result.json", "ticket.safetensors", "last.safetensors", "log"}


def run_folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir())


def files_below(root: Path) -> dict[Path, tuple[bytes, int]]:
    return {
        path.relative_to(root): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file()
    }


def test_the_table_is_on_stdout_and_the_progress_on_stderr(finished: Any) -> None:
    assert finished.table.code == 0
    lines = finished.table.stdout.splitlines()
    assert (
        lines[0].rstrip()
        == "snip on digits (500 training images), resnet8 of width 4, 2 epochs (learning rate falls once), 2 seeds"
    )
    for ticket in ("dense", "snip", "rearrange-mask", "random-smart"):
        assert any(re.match(rf" +{ticket} +\d+\.\d\d ± \d+\.\d\d( |$)", line) for line in lines), ticket
    assert "2 seeds seldom decide anything." in lines[-1]
    assert "epochs" not in finished.table.stdout.partition("\n")[2]
    few, progress, *_ = finished.table.stderr.splitlines()
    assert few == "2 seeds seldom decide anything: `prunecheck seeds` says how many a question needs."
    assert progress == "0 of 8 runs, 0 of 16 epochs"
    *_, done, wrote = finished.table.stderr.splitlines()
    assert done.startswith("8 of 8 runs done in ")
    assert wrote == "wrote runs/report.html"


def test_json_is_all_of_stdout_and_quiet_leaves_nothing_on_stderr(finished: Any) -> None:
    assert (finished.json.code, finished.json.stderr) == (0, "")
    answer = json.loads(finished.json.stdout)
    (verdict,), (baseline,) = answer["verdicts"], answer["baselines"]
    assert (verdict["method"], verdict["check"], verdict["sparsity"], verdict["n"]) == (
        "snip",
        "rearrange-mask",
        0.9,
        2,
    )
    assert (baseline["check"], baseline["n"]) == ("random-smart", 2)
    assert verdict["verdict"] in ("uses it", "does not use it", "undecided", "collapsed")
    assert baseline["verdict"] in ("better", "equivalent", "worse", "undecided", "collapsed")
    assert all(math.isfinite(end) for item in (verdict, baseline) for end in item["interval"])
    assert f"{answer['dense']['accuracy']:.2f}" in finished.table.stdout
    assert f"{verdict['changed_accuracy']:.2f}" in finished.table.stdout


def test_results_csv_has_a_row_per_run_and_agrees_with_the_answer(finished: Any) -> None:
    root = finished.folder / "runs"
    with (root / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["folder"] for row in rows] == [folder.name for folder in run_folders(root)]
    assert len(rows) == 8
    answer = json.loads(finished.json.stdout)
    for expected, method, check in (
        (answer["dense"]["accuracy"], "dense", ""),
        (answer["verdicts"][0]["accuracy"], "snip", ""),
        (answer["verdicts"][0]["changed_accuracy"], "snip", "rearrange-mask"),
        (answer["baselines"][0]["changed_accuracy"], "random-smart", ""),
    ):
        found = [float(row["accuracy"]) for row in rows if (row["method"], row["check"]) == (method, check)]
        assert len(found) == 2
        assert sum(found) / 2 == pytest.approx(expected, abs=1e-4)


def test_run_folders_hold_their_files_and_nothing_half_written(finished: Any) -> None:
    root = finished.folder / "runs"
    for folder in run_folders(root):
        names = {path.name for path in folder.iterdir()}
        (events,) = names - RUN_FILES
        assert names >= RUN_FILES
        assert events.startswith("events.out.tfevents.")
        assert len((folder / "metrics.csv").read_text().splitlines()) == 1 + 2
    files = {path.name for path in root.iterdir() if path.is_file()}
    assert files == {".lock", ".planned", "questions.json", "results.csv", "report.html"}


def test_a_second_call_trains_nothing_and_prints_the_same(
    finished: Any, prunecheck_in_a_fork: Command, small_check: list[str]
) -> None:
    root = finished.folder / "runs"
    before = files_below(root)
    again = prunecheck_in_a_fork(*small_check, "--workers", "1", cwd=finished.folder)
    after = files_below(root)
    assert (again.code, again.stdout) == (0, finished.table.stdout)
    assert "epochs" not in again.stderr
    own_to_the_folder = [path for path in before if len(path.parts) > 1]
    assert before.keys() == after.keys()
    assert [after[path] for path in own_to_the_folder] == [before[path] for path in own_to_the_folder]


@pytest.mark.slow
def test_two_workers_find_the_same_as_one(
    finished: Any, prunecheck: Command, small_check: list[str], tmp_path: Path
) -> None:
    ended = prunecheck(*small_check, "--workers", "2", "--json", "--out", "elsewhere", cwd=tmp_path)
    assert (ended.code, ended.stdout) == (0, finished.json.stdout)
    assert ended.stderr.splitlines()[-2].startswith("8 of 8 runs done in ")
    mine, theirs = finished.folder / "runs", tmp_path / "elsewhere"
    assert [folder.name for folder in run_folders(theirs)] == [folder.name for folder in run_folders(mine)]
    for folder in run_folders(mine):
        for name in ("last.safetensors", "metrics.csv", "spec.json", "ticket.safetensors"):
            assert (theirs / folder.name / name).read_bytes() == (folder / name).read_bytes()


USER_OPTIONS = shlex.split("--epochs 1 --seeds 1 --width 4 --model resnet8 --checks rearrange-mask --sparsity 0.3")

USER_FILE = """
from helper import absolute_product
from prunecheck.pruning import prunable_weights

def score(model, batches):
    return absolute_product(prunable_weights(model))
"""

HELPER = """
def absolute_product(weights):
    return {name: weight.detach().abs() for name, weight in weights.items()}
"""


def test_a_user_file_is_a_method_with_no_step_of_installation(prunecheck_in_a_fork: Command, tmp_path: Path) -> None:
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "my[b]own.py").write_text(USER_FILE)
    (tmp_path / "methods" / "helper.py").write_text(HELPER)
    (tmp_path / "elsewhere").mkdir()
    ended = prunecheck_in_a_fork(
        "check", "../methods/my[b]own.py:score", *USER_OPTIONS, "--workers", "1", cwd=tmp_path / "elsewhere"
    )
    assert ended.code == 0, ended.stderr
    assert ended.stdout.startswith("my[b]own.py:score on digits")
    assert len(run_folders(tmp_path / "elsewhere" / "runs")) == 4
