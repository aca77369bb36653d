import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from prunecheck.engine import executors
from prunecheck.engine.job import Job
from prunecheck.errors import InputError
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunStore
from prunecheck.studies.study import Study
from tests.cli.runs import TRAINED, put

Call = Callable[..., Any]

STUDY = """
methods = ["magnitude"]
datasets = ["digits"]
models = ["resnet8"]
widths = [2]
sparsities = [0.8]
checks = ["rearrange-mask"]
baseline = "none"
seeds = 5
"""

RUNS = 15


class Engine:
    """Leaves results in the place of trainings, and keeps what was planned when it was called."""

    def __init__(self) -> None:
        self.calls: list[list[RunSpec]] = []
        self.planned: list[tuple[int, int]] = []

    def __call__(self, jobs: Sequence[Job], *_: object, **__: object) -> None:
        known = RunStore(Path("runs")).planned()
        assert known is not None
        self.calls.append([job.spec for job in jobs])
        self.planned.append((len(known.names), known.count))
        for job in jobs:
            put(job.spec, TRAINED, job.root)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    Path("study.toml").write_text(STUDY)
    engine = Engine()
    monkeypatch.setattr(executors, "execute_all", engine)
    return engine


@pytest.fixture
def _in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of about eight runs, which are two seeds here."""
    monkeypatch.setattr("prunecheck.studies.study.RUNS_OF_A_PART", 8)


@pytest.mark.usefixtures("_in_parts")
def test_a_large_study_begins_before_all_of_it_is_planned_and_is_answered_as_a_whole(
    call: Call, engine: Engine
) -> None:
    ended = call("run", "study.toml", "--workers", "1", "--quiet", "--json")
    assert ended.code == 0, ended.stderr
    assert [len(runs) for runs in engine.calls] == [6, 6, 3]
    assert engine.planned == [(6, RUNS), (12, RUNS), (RUNS, RUNS)]
    assert len({run for runs in engine.calls for run in runs}) == RUNS
    (answer,) = json.loads(ended.stdout)["answers"]
    assert answer["seeds"] == [0, 1, 2, 3, 4]
    shown = csv.DictReader(io.StringIO(call("report", "runs", "--csv").stdout))
    assert [row["pairs"] for row in shown] == ["5"]
    assert f"{RUNS} of the {RUNS} runs of the latest study are done" in call("status").stdout


@pytest.mark.usefixtures("_in_parts")
def test_what_is_done_of_a_large_study_is_not_done_again(call: Call, engine: Engine) -> None:
    whole = json.loads(call("run", "study.toml", "--workers", "1", "--quiet", "--json").stdout)
    for folder in list(Path("runs").glob("*seed3*")):
        (folder / "result.json").unlink()
    engine.calls.clear()
    again = call("run", "study.toml", "--workers", "1", "--quiet", "--json")
    assert json.loads(again.stdout)["answers"] == whole["answers"]
    assert [len(runs) for runs in engine.calls] == [0, 3, 0]


@pytest.mark.usefixtures("_in_parts")
def test_progress_counts_the_runs_that_are_not_planned_yet(call: Call, engine: Engine) -> None:
    said = call("run", "study.toml", "--workers", "1").stderr.splitlines()
    counts = [line for line in said if " runs, 0 of " in line]
    assert [line.split(",")[0] for line in counts] == [f"{done} of {RUNS} runs" for done in (0, 6, 12)]
    assert len({line.split(" of ")[2] for line in counts[:1]}) == 1


@pytest.mark.usefixtures("_in_parts")
def test_too_little_space_for_all_of_it_is_said_before_anything_is_done(
    call: Call, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def require(self: RunStore, needed: int) -> None:
        asked.append(needed)
        raise InputError("too little space.")

    monkeypatch.setattr(RunStore, "require_space", require)
    assert call("run", "study.toml", "--workers", "1", "--quiet").code == 2
    assert engine.calls == []
    monkeypatch.setattr("prunecheck.studies.study.RUNS_OF_A_PART", 1_000)
    call("run", "study.toml", "--workers", "1", "--quiet")
    assert asked[0] == pytest.approx(asked[1], rel=0.01)


def test_only_the_first_part_is_planned_to_be_validated(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    from prunecheck.studies.study_file import read_study

    monkeypatch.setattr("prunecheck.studies.study.RUNS_OF_A_PART", 8)
    study: Study = read_study(Path("study.toml"), None)
    study.validate()
    assert "planned_runs" not in vars(study)
