"""Seeds that are added until a question is decided, from the command to the report; the runs here are made up."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prunecheck.engine import executors
from prunecheck.engine.job import Job
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import Planned, RunStore
from prunecheck.studies.looks import USUAL_LOOKS
from prunecheck.studies.question_log import read_questions

from .runs import FAILED, TRAINED, put

Call = Callable[..., Any]

ASKED = ["--model", "resnet8", "--width", "4", "--sparsity", "0.8", "--epochs", "4", "--learning-rate", "0.1"]
ASKED += ["--checks", "rearrange-mask,reinit", "--baseline", "random-uniform", "--workers", "1", "--quiet"]
CHECK = ["check", "magnitude", *ASKED]

SIZES = {"rearrange-mask": 0.1, "reinit": 1.2, None: 3.5}
"""How far the differences of each ticket lie from 0, up and down in turn; None for the baseline's."""


def accuracy(run: RunSpec) -> float:
    if run.method == "dense":
        return 96.0
    own: float = 90 + 0.3 * (run.seed % 4)
    if run.method == "magnitude" and run.check is None:
        return own
    return own - (SIZES[run.check] if run.seed % 2 == 0 else -SIZES[run.check])


class Engine:
    """Leaves results in the place of trainings."""

    def __init__(self) -> None:
        self.done: list[RunSpec] = []
        self.dies_after: int | None = None
        self.fails: set[tuple[str | None, int]] = set()

    def __call__(self, jobs: Sequence[Job], *_: object, **__: object) -> None:
        for job in jobs:
            if self.dies_after == len(self.done):
                raise KeyboardInterrupt
            self.done.append(job.spec)
            fails = (job.spec.check, job.spec.seed) in self.fails
            put(job.spec, FAILED if fails else replace(TRAINED, accuracy=accuracy(job.spec)), job.root)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()
    monkeypatch.setattr(executors, "execute_all", engine)
    return engine


def answer(call: Call, *more: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call(*CHECK, *more, "--json").stdout)
    return found


def fell(found: dict[str, Any]) -> dict[str, tuple[str, int | None]]:
    return {one["check"]: (one["verdict"], one["look"]) for one in (*found["verdicts"], *found["baselines"])}


def rows(call: Call, *more: str) -> dict[str, tuple[str, int]]:
    shown = csv.DictReader(io.StringIO(call("report", "runs", "--csv", *more).stdout))
    return {row["against"]: (row["verdict"], int(row["pairs"])) for row in shown}


VERDICTS = {
    "rearrange-mask": ("does not use it", 5),
    "reinit": ("does not use it", 12),
    "random-uniform": ("undecided", 20),
}


def test_runs_are_added_only_for_what_is_not_decided(call: Call, engine: Engine) -> None:
    found = answer(call)
    assert fell(found) == VERDICTS
    tickets = [(run.method, run.check) for run in engine.done]
    assert {ticket: tickets.count(ticket) for ticket in tickets} == {
        ("dense", None): 5,
        ("magnitude", None): 20,
        ("magnitude", "rearrange-mask"): 5,
        ("magnitude", "reinit"): 12,
        ("random-uniform", None): 20,
    }
    assert (found["seeds"], found["max_seeds"]) == (list(range(20)), 20)
    assert [look["seeds"] for look in found["looks"]["sequential"]] == [5, 8, 12, 20]
    assert sum(look["level"] for look in found["looks"]["sequential"]) < 0.05
    assert found["looks"]["missing_runs"] == 0


def test_it_is_the_default_and_called_again_it_runs_nothing_and_says_the_same(call: Call, engine: Engine) -> None:
    first = call(*CHECK)
    count = len(engine.done)
    again = call(*CHECK, "--seeds", "auto", "--max-seeds", "20")
    assert (len(engine.done), again.stdout) == (count, first.stdout)
    shown = " ".join(first.stdout.split())
    assert "5 to 20 seeds" in shown
    assert "divided over looks at 5, 8, 12 and 20 seeds" in shown
    assert "undecided (at the last look, with 20 seeds; about" in shown


@pytest.mark.parametrize("dies_after", [0, 3, 26, 40])
def test_a_command_that_was_killed_ends_with_the_verdicts_of_one_that_was_not(
    call: Call, engine: Engine, dies_after: int
) -> None:
    whole = answer(call, "--out", "whole")
    engine.done, engine.dies_after = [], dies_after
    assert call(*CHECK).code == 130
    engine.dies_after = None
    assert answer(call) == whole
    assert len(engine.done) == len(set(engine.done)) == 62


def test_the_report_of_the_folder_says_what_the_terminal_said(call: Call, engine: Engine) -> None:
    terminal = " ".join(call(*CHECK).stdout.split())
    assert rows(call) == VERDICTS
    said = "divided over looks at 5, 8, 12 and 20 seeds"
    for form in ("--markdown", "--latex"):
        assert said in " ".join(call("report", "runs", form).stdout.split())
    call("report", "runs")
    page = " ".join(Path("report.html").read_text().split())
    assert said in page
    assert "are not here" not in page
    assert "set aside before the first run" in page
    assert "set aside before the first run" in terminal


def test_the_report_of_an_interrupted_check_says_that_a_look_is_not_whole(call: Call, engine: Engine) -> None:
    engine.dies_after = 30
    assert call(*CHECK).code == 130
    found = rows(call)
    assert found["rearrange-mask"] == ("does not use it", 5)
    assert found["reinit"][0] == "undecided"
    call("report", "runs")
    assert "The next look is not whole" in " ".join(Path("report.html").read_text().split())


def test_more_seeds_may_be_allowed_later(call: Call, engine: Engine) -> None:
    few = answer(call, "--max-seeds", "8")
    assert fell(few) == {
        name: (("undecided", 8) if seeds > 8 else (said, seeds)) for name, (said, seeds) in VERDICTS.items()
    }
    more = answer(call)
    assert fell(more) == VERDICTS
    assert more["looks"]["seeds"] == []
    assert "answered with" not in more["looks"]["text"]
    assert len(read_questions(Path("runs"))) == 1


def test_a_check_with_a_fixed_number_is_continued_and_the_answer_says_what_that_does(
    call: Call, engine: Engine
) -> None:
    fixed = answer(call, "--seeds", "5")
    assert (fixed["max_seeds"], fixed["looks"]["sequential"]) == (None, None)
    assert {seeds for _, seeds in fell(fixed).values()} == {None}
    count = len(engine.done)
    continued = answer(call)
    assert fell(continued) == VERDICTS
    assert len(engine.done) == 62
    assert count == 25
    assert continued["looks"]["seeds"] == [5]
    assert "answered with 5 seeds, fixed beforehand" in continued["looks"]["text"]
    assert rows(call) == VERDICTS
    back = answer(call, "--seeds", "5")
    assert "Seeds were also added, up to 20" in back["looks"]["text"]


def test_failed_runs_end_no_comparison_that_can_do_without_them(call: Call, engine: Engine) -> None:
    engine.fails = {("reinit", 6)}
    found = answer(call)
    assert fell(found)["rearrange-mask"] == VERDICTS["rearrange-mask"]
    assert fell(found)["random-uniform"] == VERDICTS["random-uniform"]
    assert rows(call).keys() == VERDICTS.keys()


def test_a_study_file_asks_the_same(call: Call, engine: Engine) -> None:
    Path("study.toml").write_text(
        'methods = ["magnitude"]\ndatasets = ["digits"]\nmodels = ["resnet8"]\nwidths = [4]\nsparsities = [0.8]\n'
        'checks = ["rearrange-mask", "reinit"]\nbaseline = "random-uniform"\nseeds = "auto"\nmax_seeds = 20\n'
        'recipes = ["short"]\n[recipe.short]\nepochs = 4\nbatch_size = 64\n'
    )
    study = json.loads(call("run", "study.toml", "--workers", "1", "--quiet", "--json").stdout)["answers"][0]
    assert fell(study) == VERDICTS
    assert RunStore(Path("runs")).planned() == Planned(frozenset(run.folder_name for run in engine.done))
    question = read_questions(Path("runs"))[0].question
    assert (question.sequential, len(question.seeds)) == (USUAL_LOOKS, 20)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "5", "--max-seeds", "20"], "--max-seeds is the most that --seeds auto may take"),
        (["--max-seeds", "4"], "--max-seeds takes a number of seeds, at least 5"),
        (["--seeds", "many"], "--seeds takes a number of seeds"),
        (["--seeds", "1.5"], "--seeds takes a whole number, not '1.5'"),
    ],
)
def test_what_is_no_number_of_seeds_is_refused(refused: Callable[..., str], arguments: list[str], said: str) -> None:
    assert said in refused("check", "magnitude", *arguments)


def test_auto_is_for_what_is_trained(refused: Callable[..., str]) -> None:
    Path("study.toml").write_text('methods = ["snip"]\ndatasets = ["digits"]\nseeds = 3\nmax_seeds = 20\n')
    assert "study.toml, line 4" in refused("plan", "study.toml")
    Path("study.toml").write_text('methods = ["snip"]\ndatasets = ["digits"]\n[[exclude]]\nseeds = "auto"\n')
    assert "study.toml, line 4" in refused("plan", "study.toml")


def test_a_plan_expects_no_time_where_none_is_known(call: Call) -> None:
    Path("study.toml").write_text('methods = ["magnitude"]\ndatasets = ["digits"]\nseeds = "auto"\n')
    planned = json.loads(call("plan", "study.toml", "--json").stdout)
    assert (planned["seconds"], planned["expected"]["seconds"]) == (None, None)
    assert "Time expected" not in call("plan", "study.toml").stdout
    known = json.loads(call("plan", "study.toml", "--json", "--ms-a-step", "2").stdout)
    assert 0 < known["expected"]["seconds"] < known["seconds"]
