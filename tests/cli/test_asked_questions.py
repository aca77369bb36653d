"""Questions are answered as they were asked, in every command; all runs here are made up and done."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import prunecheck
from prunecheck.studies.question_log import QUESTIONS
from prunecheck.studies.study_file import read_study

from .runs import FAILED, TRAINED, put

Call = Callable[..., Any]

STUDY = """
methods = ["magnitude", "random-uniform"]
datasets = ["digits"]
models = ["resnet8"]
widths = [4]
sparsities = [0.8, 0.9]
checks = ["rearrange-mask", "reinit"]
baseline = "random-erk"
seeds = 4
recipes = ["short"]

[recipe.short]
epochs = 4
"""

SETTING = ["--model", "resnet8", "--width", "4", "--epochs", "4", "--seeds", "4", "--baseline", "random-erk", "--quiet"]
WIDE = ["check", "magnitude", "--sparsity", "0.8,0.9", "--checks", "rearrange-mask,reinit", *SETTING]
NARROW = ["check", "magnitude", "--sparsity", "0.9", "--checks", "reinit", *SETTING]

DIFFERENCES = (1.1, 0.5, 0.9, 0.7)
"""Decided at a margin of 5 points, not at 0.9."""


@pytest.fixture(autouse=True)
def study() -> Path:
    file = Path("study.toml")
    file.write_text(STUDY)
    for question in read_study(file, None).questions:
        for seed in question.seeds:
            results = {question.dense_run(seed): 96.0}
            for sparsity in question.sparsities:
                results[question.method_run(sparsity, None, seed)] = 90.0
                results[question.baseline_run(sparsity, seed)] = 90.0 - DIFFERENCES[seed]
                for check in question.checks:
                    results[question.method_run(sparsity, check, seed)] = 90.0 - DIFFERENCES[seed]
            for run, accuracy in results.items():
                if not (Path("runs") / run.folder_name).exists():
                    put(run, replace(TRAINED, accuracy=accuracy))
    return file


def rows(call: Call, *options: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(call("report", "runs", "--csv", *options).stdout)))


def test_every_form_answers_what_was_asked_with_its_own_margin_and_baseline(call: Call) -> None:
    asked = json.loads(call(*NARROW, "--margin", "0.9", "--json").stdout)
    (check,), (baseline,) = asked["verdicts"], asked["baselines"]
    assert {check["verdict"], baseline["verdict"]} == {"undecided"}
    assert (baseline["check"], asked["asked"]["margin"], asked["chosen_afterwards"]) == ("random-erk", 0.9, [])

    shown = json.loads(call("report", "runs", "--json").stdout)
    (again,) = [one for one in shown["answers"] if one["margin"] == 0.9]
    assert (again["verdicts"], again["baselines"]) == ([check], [baseline])
    of_question = [row for row in rows(call) if row["margin"] == "0.9"]
    assert {(row["against"], row["verdict"]) for row in of_question} == {
        ("reinit", "undecided"),
        ("random-erk", "undecided"),
    }
    for form in ("--latex", "--markdown"):
        assert "margin 0.9 points" in call("report", "runs", form).stdout
    answers = prunecheck.load_answers("runs")
    (loaded,) = [answer for answer in answers if answer.question.margin.amount == 0.9]
    assert loaded.to_dict() == again
    assert "undecided" in str(loaded)


def test_what_is_changed_afterwards_is_said_wherever_it_is_shown(call: Call) -> None:
    call(*WIDE, "--margin", "0.9")
    said = "Asked with a margin of 0.9 points, and shown with 5:"
    assert {row["asked_margin"] for row in rows(call, "--margin", "5") if row["method"] == "magnitude"} == {"0.9"}
    assert all(said in row["chosen_afterwards"] for row in rows(call, "--margin", "5") if row["asked_margin"])
    for form in ("--latex", "--markdown"):
        assert said in call("report", "runs", form, "--margin", "5").stdout.replace("\\", "")
        assert said not in call("report", "runs", form).stdout
    call("report", "runs", "--margin", "5")
    assert said in Path("report.html").read_text()
    answers = json.loads(call("report", "runs", "--json", "--margin", "5", "--baseline", "random-uniform").stdout)
    (found,) = [one for one in answers["answers"] if one["method"] == "magnitude"]
    changes = {one["what"]: (one["before"], one["now"]) for one in found["chosen_afterwards"]}
    assert changes == {"margin": (0.9, 5.0), "baseline": ("random-erk", "random-uniform")}
    assert any(said in note for note in answers["notes"])


def test_a_margin_that_is_asked_when_another_answer_is_known_is_said_to_be(call: Call) -> None:
    call(*WIDE, "--margin", "0.9")
    said = "Asked with a margin of 5 points when an answer with a margin of 0.9 had been shown"
    first, second = call(*WIDE, "--margin", "0.9").stdout, call(*WIDE, "--margin", "5").stdout
    assert "had been shown" not in first
    for text in (second, call(*WIDE, "--margin", "5").stdout, call("report", "runs", "--latex").stdout):
        assert said in " ".join(text.split())
    (other,) = [one for one in prunecheck.load_answers("runs") if one.question.margin.amount == 0.9]
    assert other.to_dict()["chosen_afterwards"] == []


def test_a_narrower_question_adds_to_the_report_and_replaces_nothing(call: Call) -> None:
    assert call("run", "study.toml", "--quiet").code == 0
    page = Path("runs/report.html").read_text()
    assert "random-uniform at sparsity 0.8" in page
    assert "<code>prunecheck report runs -o runs/report.html</code>" in page
    before = rows(call)
    call(*NARROW)
    after = Path("runs/report.html").read_text()
    assert "random-uniform at sparsity 0.8" in after
    assert all(row in rows(call) for row in before)
    assert len(rows(call)) == len(before) + 2  # a family of its own, with the check and the baseline


def test_the_family_that_was_asked_stays(call: Call) -> None:
    answers = json.loads(call("run", "study.toml", "--family", "report", "--json", "--quiet").stdout)["answers"]
    by_run = {(one["method"], v["sparsity"], v["check"]): v["p"] for one in answers for v in one["verdicts"]}
    shown = [row for row in rows(call) if row["is_check"] == "True"]
    found = {(row["method"], float(row["sparsity"]), row["against"]): float(row["p_adjusted"]) for row in shown}
    assert found == pytest.approx(by_run)
    assert {(row["family"], row["family_size"]) for row in shown} == {("report", "12")}
    alone = rows(call, "--family", "question")
    assert {row["family_size"] for row in alone} == {"6"}
    assert all("adjusted over the report, and shown with question" in row["chosen_afterwards"] for row in alone)


def test_a_record_that_cannot_be_read_is_named_left_out_and_kept(call: Call) -> None:
    call(*WIDE, "--margin", "0.9")
    call("check", "random-uniform", *WIDE[2:], "--margin", "1.5")
    file = Path("runs") / QUESTIONS
    content = json.loads(file.read_text())
    damaged = content["questions"][0] = content["questions"][0] | {"margin": "much"}
    file.write_text(json.dumps(content))
    answers = json.loads(call("report", "runs", "--json").stdout)
    assert any(f"{file}, question 1 (magnitude): " in note for note in answers["notes"])
    assert [one["margin"] for one in answers["answers"] if one["method"] == "random-uniform"] == [1.5]
    call(*NARROW)
    kept = json.loads(file.read_text())["questions"]
    assert damaged in kept
    assert len(kept) == 3


def test_a_file_of_questions_that_cannot_be_read_is_set_aside_and_nothing_of_it_lost(call: Call) -> None:
    file = Path("runs") / QUESTIONS
    file.write_text('{"schema": 99, "questions": [1]}')
    assert any(str(file) in note for note in json.loads(call("report", "runs", "--json").stdout)["notes"])
    call(*NARROW)
    assert Path(f"{file}.damaged-1").read_text() == '{"schema": 99, "questions": [1]}'
    assert len(json.loads(file.read_text())["questions"]) == 1


def test_failed_runs_are_no_results_and_end_a_command_with_1(call: Call, study: Path) -> None:
    question = read_study(study, None).questions[0]
    put(question.method_run(0.9, "reinit", 0), FAILED)
    for command in (NARROW, ["run", "study.toml", "--quiet"]):
        ended = call(*command)
        assert ended.code == 1
        (said,) = ended.stderr.splitlines()
        assert said.startswith("prunecheck: 1 run of ")
        assert "RuntimeError: no luck" in said
        assert "--retry-failed" in said
        assert Path("runs/report.html").exists()
    (check,) = json.loads(call(*NARROW, "--json").stdout)["verdicts"]
    assert (check["n"], check["lost_by_the_change"], check["verdict"]) == (3, [], "does not use it")
    assert call("report", "runs").code == 0


def test_a_script_is_told_by_the_exit_code_of_verdicts_that_it_does_not_want(
    call: Call, refused: Callable[..., str]
) -> None:
    undecided = [*NARROW, "--margin", "0.9"]
    assert call(*undecided).code == 0
    ended = call(*undecided, "--fail-on", "undecided,uses-it")
    assert (ended.code, ended.stderr) == (1, "prunecheck: 2 undecided of 2 verdicts, which --fail-on names.\n")
    assert "undecided" in ended.stdout
    assert call(*NARROW, "--margin", "5", "--fail-on", "undecided").code == 0
    assert call("report", "runs", "--fail-on", "undecided").code == 1
    assert call("run", "study.toml", "--quiet", "--fail-on", "does-not-use-it").code == 1
    said = refused(*undecided, "--fail-on", "undecide")
    assert "--fail-on" in said or "there is no verdict named 'undecide': did you mean undecided" in said
