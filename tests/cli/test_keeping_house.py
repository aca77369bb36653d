"""``clean`` and ``merge``, and runs that are chosen for these and other commands, as they are typed."""

import csv
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from prunecheck.metrics import Margin
from prunecheck.runs.store import RunStore
from prunecheck.studies.question_log import note_questions, read_log
from prunecheck.training import Recipe
from tests.cli.runs import COLLAPSED, FAILED, SPEC, TRAINED, put
from tests.studies.test_versions import question

Call = Callable[..., Any]
Refused = Callable[..., str]
Record = Callable[..., None]

RUNS = {
    ("dense", 0.0, None): [95.0, 95.5, 94.8],
    ("snip", 0.9, None): [90.0, 91.0, 89.5],
    ("snip", 0.9, "rearrange-mask"): [90.2, 90.9, 89.4],
    ("snip", 0.95, None): [80.0, 81.0, 79.5],
    ("random-smart", 0.9, None): [90.1, 90.8, 89.7],
}

RECORDED = SPEC.changed(samples_per_class=0, scoring_rounds=0, recipe=Recipe(epochs=3, milestones=(1, 2)))
"""What ``record`` makes."""


def names(root: str = "runs") -> list[str]:
    return sorted(path.name for path in Path(root).iterdir() if path.is_dir())


def rows() -> list[dict[str, str]]:
    return list(csv.DictReader(Path("runs/results.csv").read_text().splitlines()))


@pytest.fixture
def runs() -> list[Path]:
    """A trained, a failed, a collapsed and an unfinished run, with a row for each that has ended."""
    paths = [
        put(SPEC, TRAINED),
        put(replace(SPEC, seed=1), FAILED),
        put(replace(SPEC, check="rearrange-mask"), COLLAPSED),
        put(replace(SPEC, method="random-smart", seed=2), None),
    ]
    RunStore(Path("runs")).write_results()
    return paths


def test_failed_runs_are_removed_once_it_was_said_which(call: Call, runs: list[Path]) -> None:
    chosen = ("clean", "--select", "status=failed", "--remove", "runs")
    before = names()
    ended = call(*chosen, "--dry-run")
    assert (ended.code, names()) == (0, before)
    first, named = ended.stdout.splitlines()
    assert first.startswith("would free ")
    assert first.endswith(" MB in runs: 1 run as a whole")
    assert named == runs[1].name
    ended = call(*chosen)
    assert (ended.code, ended.stdout) == (0, first.replace("would free", "freed") + "\n")
    assert set(before) - set(names()) == {runs[1].name}
    assert sorted(row["status"] for row in rows()) == ["collapsed", "trained"]
    assert call(*chosen).stdout == "there is nothing to remove in runs\n"


def test_old_runs_of_a_method_are_removed(call: Call, runs: list[Path]) -> None:
    for file in runs[0].iterdir():
        os.utime(file, (0, time.time() - 40 * 86_400))
    call("clean", "--select", "method=snip age>30d", "--remove", "runs")
    assert names() == sorted(path.name for path in runs[1:])


@pytest.mark.usefixtures("runs")
def test_whole_runs_are_removed_only_if_it_is_said_which(refused: Refused, call: Call) -> None:
    before = names()
    assert "say which with --select" in refused("clean", "--remove", "runs")
    assert "did you mean snip" in refused("clean", "--select", "method=snop", "--remove", "runs")
    assert "Did you mean" in call("clean", "--remove", "everything").stderr or call("clean", "--remove", "x").code == 2
    assert names() == before


def test_questions_and_the_report_follow_what_is_left(call: Call, record: Record) -> None:
    record(Path("runs"), RUNS)
    other = replace(SPEC, method="grasp")
    for seed in range(3):
        for check in (None, "rearrange-mask"):
            put(replace(other, seed=seed, check=check), TRAINED)
    note_questions(Path("runs"), [question(RECORDED, 3)], shown=True)
    note_questions(Path("runs"), [question(other, 3)], shown=True)
    call("report", "runs", "-o", "runs/report.html")
    assert "grasp" in Path("runs/report.html").read_text()
    call("clean", "--select", "method=grasp", "--remove", "runs")
    assert [entry.question.method for entry in read_log(Path("runs")).entries] == ["snip"]
    assert "grasp" not in Path("runs/report.html").read_text()
    assert "snip" in Path("runs/report.html").read_text()
    call("clean", "--select", "method=*", "--remove", "runs")
    assert (names(), rows(), Path("runs/report.html").exists()) == ([], [], False)


def test_an_old_version_is_removed_by_its_age_among_versions(call: Call) -> None:
    old, new = (replace(SPEC, method="my.py:score", method_hash=hash * 64) for hash in "ab")
    for spec, seconds in ((old, 1000), (new, 2000)):
        os.utime(put(spec, TRAINED) / "spec.json", (seconds, seconds))
    call("clean", "--select", "version=old", "--remove", "runs")
    assert names() == [new.folder_name]


def test_results_are_those_that_are_chosen(call: Call, refused: Refused, runs: list[Path]) -> None:
    listed = json.loads(call("results", "--json", "--select", "method=snip check=none").stdout)["runs"]
    assert sorted(row["folder"] for row in listed) == sorted(map(str, runs[:2]))
    assert call("results", "--select", "status=diverged").stdout == "0 runs\n"
    said = refused("results", "--select", "methode=snip")
    assert said == "there is no field of runs named 'methode': did you mean method?"


def test_a_report_shows_what_is_chosen_and_its_verdicts_stay(call: Call, record: Record) -> None:
    record(Path("runs"), RUNS)
    whole = {tuple(row.items()) for row in csv.DictReader(call("report", "runs", "--csv").stdout.splitlines())}
    chosen = list(csv.DictReader(call("report", "--csv", "--select", "check=rearrange-mask").stdout.splitlines()))
    assert [(row["sparsity"], row["against"]) for row in chosen] == [("0.9", "rearrange-mask")]
    assert all(tuple(row.items()) in whole for row in chosen)
    chosen = list(csv.DictReader(call("report", "--csv", "--select", "check=none method=snip").stdout.splitlines()))
    assert [row["against"] for row in chosen] == ["random-smart"]
    assert call("report", "runs", "--select", "sparsity<0.95", "-o", "page.html").code == 0
    assert "at sparsity 0.95" not in call("report", "runs", "--markdown", "--select", "sparsity<0.95").stdout
    page = Path("page.html").read_text()
    assert "prunecheck report runs -o page.html --select 'sparsity<0.95'" in unescape(page)


@pytest.mark.usefixtures("runs")
def test_runs_that_are_exported_are_chosen(refused: Refused) -> None:
    assert "no run there is one of seed=9: choose others" in refused(
        "export", "runs", "-o", "out", "--select", "seed=9"
    )
    assert not Path("out").exists()


def test_folders_are_merged_with_their_questions_rows_and_report(call: Call, record: Record) -> None:
    record(Path("a"), {key: RUNS[key] for key in RUNS if key[2] is None})
    record(Path("b"), {key: RUNS[key] for key in RUNS if key[0] != "random-smart"})
    note_questions(Path("a"), [question(RECORDED, 3)], shown=True)
    note_questions(Path("b"), [replace(question(RECORDED, 3), margin=Margin(1.0))], shown=True)
    ended = call("merge", "a", "b", "-o", "c", "--dry-run")
    assert ended.stdout.startswith("would copy 15 runs (")
    assert not Path("c").exists()
    ended = call("merge", "a", "b", "-o", "c")
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout.endswith("MB) into c, beside 0 that stay as they are\n")
    assert names("c") == sorted({*names("a"), *names("b")})
    assert len(Path("c/results.csv").read_text().splitlines()) == 16
    assert sorted(entry.question.margin.amount for entry in read_log(Path("c")).entries) == [1.0, 2.0]
    assert "rearrange-mask" in Path("c/report.html").read_text()
    again = call("merge", "b", "-o", "c")
    assert (again.code, again.stdout) == (0, "copied 0 runs (0.0 MB) into c, beside 15 that stay as they are\n")


def test_a_run_that_ended_otherwise_is_said_and_the_exit_code_is_1(call: Call) -> None:
    put(SPEC, TRAINED, Path("a"))
    put(SPEC, replace(TRAINED, accuracy=80.0), Path("b"))
    ended = call("merge", "a", "b", "-o", "c")
    assert ended.code == 1
    name = SPEC.folder_name
    said = f"prunecheck: a/{name} (trained, 91.25 %) is kept, and b/{name} ended otherwise (trained, 80.00 %).\n"
    assert ended.stderr == said
    assert names("c") == [name]


def test_what_cannot_be_merged_is_refused_before_anything_is_written(refused: Refused) -> None:
    put(SPEC, TRAINED, Path("a"))
    assert "DIR needs a value" in refused("merge", "-o", "c")
    assert "there is no folder b" in refused("merge", "a", "b", "-o", "c")
    Path("file").touch()
    assert "is a file" in refused("merge", "a", "-o", "file")
    with RunStore(Path("a")).locked():
        assert "a prunecheck is at work in a" in refused("merge", "a", "-o", "c")
    assert not Path("c").exists()


def test_questions_that_cannot_be_read_are_said_and_kept(call: Call) -> None:
    put(SPEC, TRAINED, Path("a"))
    Path("a/questions.json").write_text(json.dumps({"schema": 1, "questions": [{"method": "snip"}]}))
    ended = call("merge", "a", "-o", "c")
    assert "a/questions.json, question 1 (snip): it has no own" in ended.stderr
    assert json.loads(Path("c/questions.json").read_text())["questions"] == [{"method": "snip"}]
    assert call("merge", "a", "-o", "c").code == 0
    assert json.loads(Path("c/questions.json").read_text())["questions"] == [{"method": "snip"}]
