import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prunecheck.metrics import Margin
from prunecheck.pruning import find_method
from prunecheck.runs.spec import RunSpec
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.question_log import QUESTIONS, SCHEMA, LoggedQuestion, looks_at, note_questions, read_questions
from prunecheck.training import Recipe


def study(**changes: Any) -> CheckStudy:
    asked = CheckStudy(
        method=find_method("snip"),
        dataset="digits",
        places=None,
        train_images=100,
        test_images=50,
        model="resnet8",
        width=4,
        sparsities=(0.8, 0.9),
        checks=("corrupted-data", "corrupted-data+rearrange-mask"),
        baseline=find_method("random-erk"),
        seeds=range(3),
        samples_per_class=2,
        scoring_rounds=1,
        recipe=Recipe(epochs=3, milestones=(1, 2)),
        margin=Margin(2.0),
    )
    return replace(asked, **changes)


@pytest.mark.parametrize("method", ["snip", "magnitude"])
@pytest.mark.parametrize("baseline", [None, "random-erk", "snip"])
def test_a_question_is_about_the_runs_of_its_study(method: str, baseline: str | None) -> None:
    asked = study(method=find_method(method), baseline=find_method(baseline) if baseline else None)
    question = asked.question
    assert set(question.runs()) == set(asked.runs())
    for seed in asked.seeds:
        assert question.dense_run(seed) == asked.dense_run(seed)
        for sparsity in asked.sparsities:
            for check in (None, *asked.checks):
                assert question.method_run(sparsity, check, seed) == asked.method_run(sparsity, check, seed)
            if baseline:
                assert question.baseline_run(sparsity, seed) == asked.baseline_run(sparsity, seed)
    hash(question)


def test_what_was_asked_is_read_as_it_was(tmp_path: Path) -> None:
    questions = [study().question, study(method=find_method("magnitude"), baseline=None).question]
    note_questions(tmp_path, questions, shown=False)
    assert read_questions(tmp_path) == [LoggedQuestion(question, ()) for question in questions]
    assert json.loads((tmp_path / QUESTIONS).read_text())["schema"] == SCHEMA


def test_looks_are_counted_once_for_each_number_of_seeds(tmp_path: Path) -> None:
    few, many = study().question, study(seeds=range(7)).question
    for question in (few, few, many, few):
        note_questions(tmp_path, [question], shown=True)
    (entry,) = read_questions(tmp_path)
    assert entry == LoggedQuestion(many, (3, 7))
    before = (tmp_path / QUESTIONS).stat().st_mtime_ns
    note_questions(tmp_path, [few, many], shown=True)
    assert (tmp_path / QUESTIONS).stat().st_mtime_ns == before


def test_asking_is_no_look(tmp_path: Path) -> None:
    question = study().question
    note_questions(tmp_path, [question], shown=True)
    note_questions(tmp_path, [replace(question, seeds=tuple(range(9)))], shown=False)
    (entry,) = read_questions(tmp_path)
    assert (len(entry.question.seeds), entry.looks) == (9, (3,))


def test_a_look_counts_for_all_that_compares_the_same_whatever_the_margin(tmp_path: Path) -> None:
    note_questions(tmp_path, [study().question], shown=True)
    note_questions(tmp_path, [study(margin=Margin(0.5), seeds=range(4)).question], shown=True)
    logged = read_questions(tmp_path)
    assert len(logged) == 2
    narrower = study(sparsities=(0.9,), checks=("corrupted-data",), seeds=range(6)).question
    assert looks_at(narrower, logged) == (3, 4, 6)
    for other in (
        study(method=find_method("grasp"), seeds=range(6)),
        study(sparsities=(0.95,), seeds=range(6)),
        study(checks=("reinit",), baseline=None, seeds=range(6)),
        study(width=8, seeds=range(6)),
    ):
        assert looks_at(other.question, logged) == (6,)


DAMAGE = {
    "method": 3,
    "own": "{}",
    "others": 3,
    "baseline": None,
    "sparsities": ["a"],
    "checks": [1],
    "reaching": [],
    "seeds": [],
    "margin": 0,
    "looks": ["five"],
    "check_hashes": ["a", "b", "c"],
}


IMPOSSIBLE = [
    ("others", None),
    ("others", study(width=8).question.others),
    ("sparsities", []),
    ("sparsities", [10**400]),
    ("sparsities", [1.0]),
    ("sparsities", [0.8, 0.8]),
    ("seeds", [-1]),
    ("seeds", [2**63]),
    ("looks", [2**40]),
    ("looks", [0]),
    ("sequential_looks", 2**40),
    ("sequential_looks", -1),
    ("margin", 10**400),
    ("sequential", [[10**400, 0.05]]),
    ("sequential", [[5, 10**400]]),
    ("asked_at", 10**400),
]


@pytest.mark.parametrize(("field", "value"), [*DAMAGE.items(), *IMPOSSIBLE], ids=lambda value: str(value)[:20])
def test_a_damaged_entry_is_left_out_and_the_others_stay(tmp_path: Path, field: str, value: Any) -> None:
    questions = [study().question, study(margin=Margin(1.0)).question]
    note_questions(tmp_path, questions, shown=True)
    content = json.loads((tmp_path / QUESTIONS).read_text())
    content["questions"][0][field] = value.canonical() if isinstance(value, RunSpec) else value
    (tmp_path / QUESTIONS).write_text(json.dumps(content))
    assert [entry.question for entry in read_questions(tmp_path)] == [questions[1]]


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 100_000, '{"schema": 99, "questions": []}', "\0"])
def test_a_damaged_file_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / QUESTIONS).write_text(text)
    assert read_questions(tmp_path) == []
    note_questions(tmp_path, [study().question], shown=True)
    assert [entry.looks for entry in read_questions(tmp_path)] == [(3,)]
