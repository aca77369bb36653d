"""The same question about the same runs has the same verdict in every command; all runs here are made up and done."""

import csv
import io
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prunecheck.studies.study_file import read_study

from .runs import TRAINED, put

Call = Callable[..., Any]

METHODS = ("magnitude", "random-erk", "random-uniform", "magnitude-erk")

STUDY = """
methods = ["magnitude", "random-erk", "random-uniform", "magnitude-erk"]
datasets = ["digits"]
models = ["resnet8"]
widths = [4]
sparsities = [0.8]
checks = ["rearrange-mask"]
baseline = "none"
seeds = 5
recipes = ["short"]

[recipe.short]
epochs = 4
"""

DIFFERENCES = (1.8, -1.4, 0.4, -0.2, 0.1)
"""Of a p value between 5 % divided by four, and 5 %."""

CHECK = ["--model", "resnet8", "--width", "4", "--sparsity", "0.8", "--checks", "rearrange-mask", "--baseline", "none"]
CHECK += ["--epochs", "4", "--quiet", "--json"]
FIVE = [*CHECK, "--seeds", "5"]


def finish(study: Path, **wanted: Any) -> None:
    """Leave a result for each run of a study."""
    draw = random.Random(1)
    asked = read_study(study, None)
    for question in asked.questions:
        if wanted.get("methods") and question.method.name not in wanted["methods"]:
            continue
        for seed in question.seeds:
            own = 90 + draw.random()
            put(question.method_run(0.8, None, seed), replace(TRAINED, accuracy=own))
            changed = own - DIFFERENCES[seed % len(DIFFERENCES)]
            put(question.method_run(0.8, "rearrange-mask", seed), replace(TRAINED, accuracy=changed))
    for seed in asked.questions[0].seeds:
        folder = Path("runs") / asked.questions[0].dense_run(seed).folder_name
        if not folder.exists():
            put(asked.questions[0].dense_run(seed), replace(TRAINED, accuracy=96.0 + draw.random()))


@pytest.fixture
def study() -> Path:
    file = Path("study.toml")
    file.write_text(STUDY)
    finish(file)
    return file


def rows(call: Call, *options: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(call("report", "runs", "--csv", *options).stdout)))


def found_by(call: Call, *arguments: str) -> list[dict[str, Any]]:
    return list(json.loads(call(*arguments, "--json", "--quiet").stdout)["answers"])


def test_run_check_and_report_give_the_same_verdicts(call: Call, study: Path) -> None:
    unlogged = rows(call)
    answers = found_by(call, "run", "study.toml")
    by_run = {answer["method"]: answer["verdicts"][0] for answer in answers}
    assert {one["verdict"] for one in by_run.values()} == {"does not use it"}
    assert all(0.05 / 4 < one["p"] == one["p_unadjusted"] < 0.05 for one in by_run.values())
    for shown in (unlogged, rows(call)):
        assert {row["method"]: row["verdict"] for row in shown} == {
            name: one["verdict"] for name, one in by_run.items()
        }
        assert {row["method"]: float(row["p_adjusted"]) for row in shown} == pytest.approx(
            {name: one["p"] for name, one in by_run.items()}
        )
        assert {(row["family"], row["family_size"]) for row in shown} == {("question", "1")}
    for name, one in by_run.items():
        checked = json.loads(call("check", name, *FIVE).stdout)
        assert (checked["verdicts"], checked["family"]["comparisons"]) == ([one], 1)
    assert [row["verdict"] for row in rows(call)] == ["does not use it"] * 4


def test_a_family_of_all_questions_is_the_same_everywhere_too(call: Call, study: Path) -> None:
    answers = found_by(call, "run", "study.toml", "--family", "report")
    assert {one["verdicts"][0]["verdict"] for one in answers} == {"undecided"}
    assert {(one["family"]["scope"], one["family"]["comparisons"]) for one in answers} == {("report", 4)}
    by_run = {one["method"]: one["verdicts"][0]["p"] for one in answers}
    shown = rows(call, "--family", "report")
    assert {row["method"]: float(row["p_adjusted"]) for row in shown} == pytest.approx(by_run)
    assert {row["family"] for row in shown} == {"report"}


def test_the_family_is_named_in_every_output(call: Call, study: Path) -> None:
    ordinary, wide = "5 % over the 1 comparison of this question", "5 % over the 4 comparisons of all 4 questions"
    for family, named in (("question", ordinary), ("report", wide)):
        options = ["--family", family]
        table = " ".join(call("run", "study.toml", "--quiet", *options).stdout.split())
        assert table.count(f"{named} (Holm)") == 4
        assert json.dumps(found_by(call, "run", "study.toml", *options)).count(named) == 4
        assert call("report", "runs", "--markdown", *options).stdout.count(named) == 4
        assert call("report", "runs", "--latex", *options).stdout.count(named.replace("%", r"\%")) == 4
        call("report", "runs", *options)
        assert Path("report.html").read_text().count(named) == 4


def test_what_else_lies_in_the_folder_changes_no_verdict_of_what_was_asked(call: Call, study: Path) -> None:
    call("check", "magnitude", *FIVE)
    before = [row for row in rows(call) if row["method"] == "magnitude"]
    more = STUDY.replace('["rearrange-mask"]', '["rearrange-mask", "reinit", "shuffle-weights"]')
    Path("more.toml").write_text(more)
    for question in read_study(Path("more.toml"), None).questions:
        for seed in question.seeds:
            for check in ("reinit", "shuffle-weights"):
                put(question.method_run(0.8, check, seed), replace(TRAINED, accuracy=60.0 + seed))
    after = [row for row in rows(call) if row["method"] == "magnitude"]
    assert before[0] in after
    assert sorted(row["against"] for row in after) == ["rearrange-mask", "reinit", "shuffle-weights"]


def test_a_margin_and_a_baseline_that_were_asked_are_kept_and_others_are_said_to_be_new(
    call: Call, study: Path
) -> None:
    call("check", "magnitude", *FIVE, "--margin", "5")
    (asked,) = [row for row in rows(call) if row["margin"] == "5.0"]
    assert asked["method"] == "magnitude"
    call("report", "runs")
    assert "Asked with a margin" not in Path("report.html").read_text()
    assert {row["margin"] for row in rows(call, "--margin", "1")} == {"1.0"}
    call("report", "runs", "--margin", "1")
    assert "Asked with a margin of 5 points, and shown with 1" in Path("report.html").read_text()


def test_a_second_look_with_more_seeds_says_so_and_what_it_costs(call: Call, study: Path) -> None:
    first = call("check", "magnitude", *CHECK[:-1], "--seeds", "5")
    assert "was looked at" not in first.stdout
    study.write_text(STUDY.replace("seeds = 5", "seeds = 10"))
    finish_more = read_study(study, None)
    for question in finish_more.questions:
        for seed in range(5, 10):
            for check in (None, "rearrange-mask"):
                put(question.method_run(0.8, check, seed), replace(TRAINED, accuracy=90.0 + seed % 3))
    for seed in range(5, 10):
        put(finish_more.questions[0].dense_run(seed), TRAINED)
    second = call("check", "magnitude", *CHECK[:-1], "--seeds", "10")
    said = "This was looked at with 5 and 10 seeds: about 8 % of verdicts about a true difference of just the margin"
    assert said in " ".join(second.stdout.split())
    assert call("check", "magnitude", *CHECK[:-1], "--seeds", "10").stdout == second.stdout
    answer = json.loads(call("check", "magnitude", *CHECK, "--seeds", "10").stdout)
    assert answer["looks"]["seeds"] == [5, 10]
    for form in ("--markdown", "--latex"):
        assert "looked at with 5 and 10 seeds" in call("report", "runs", form).stdout
    call("report", "runs")
    assert said in " ".join(Path("report.html").read_text().split())
    assert {row["looks"] for row in rows(call) if row["method"] == "magnitude"} == {"5 10"}


def test_an_unknown_family_is_refused(refused: Callable[..., str], study: Path) -> None:
    for command in (["run", "study.toml"], ["report", "runs"]):
        assert "no family named 'reports': did you mean report" in refused(*command, "--family", "reports")


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"schema": 1}', '{"schema": 1, "questions": [{"own": 3}]}'])
def test_a_damaged_record_of_questions_loses_no_verdict(call: Call, study: Path, damage: str) -> None:
    call("run", "study.toml", "--quiet")
    before = rows(call)
    Path("runs/questions.json").write_text(damage)
    after = rows(call)
    found = [sorted((row["method"], row["verdict"]) for row in found) for found in (after, before)]
    assert found[0] == found[1]  # in which order they were asked about is not known any more
    assert call("run", "study.toml", "--quiet").code == 0
    assert rows(call) == before
