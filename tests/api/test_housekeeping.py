"""``clean``, ``merge`` and ``load_results`` in Python take the command line's words and do what it does."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import prunecheck
from prunecheck.api.report_files import write_report
from prunecheck.cli.clean import clean as clean_command
from prunecheck.cli.merge import merge as merge_command
from prunecheck.runs.store import RunStore
from prunecheck.studies.question_log import note_questions, read_log
from tests.cli.runs import FAILED, SPEC, TRAINED, put
from tests.studies.test_versions import question

CODE_OF_OTHERS = replace(SPEC, method="payload.py:score", method_hash="a" * 64)

PAYLOAD = "import pathlib\npathlib.Path('ran').touch()\n\ndef score(model, batches):\n    return {}\n"


def folders(root: str) -> list[str]:
    return sorted(path.name for path in Path(root).iterdir() if path.is_dir())


@pytest.mark.parametrize(("function", "command"), [("clean", clean_command), ("merge", merge_command)])
def test_arguments_have_the_names_and_defaults_of_the_options(function: str, command: Callable[..., Any]) -> None:
    in_python = inspect.signature(getattr(prunecheck, function)).parameters
    on_screen = inspect.signature(command).parameters
    assert list(in_python) == list(on_screen)
    for name, parameter in in_python.items():
        assert parameter.default == on_screen[name].default, name


def test_whole_runs_are_removed_with_their_rows_questions_and_part_of_the_report() -> None:
    failed, trained = put(replace(SPEC, seed=1), FAILED), put(SPEC, TRAINED)
    other = replace(SPEC, method="grasp")
    for seed in range(2):
        put(replace(other, seed=seed), TRAINED)
        put(replace(other, seed=seed, check="rearrange-mask"), TRAINED)
    note_questions(Path("runs"), [question(other, 2)], shown=True)
    prunecheck.merge("runs", out="all")
    would = prunecheck.clean("all", remove="runs", select="status=failed", dry_run=True)
    assert list(would.runs) == [Path("all") / failed.name]
    assert len(folders("all")) == 6
    assert prunecheck.clean("all", remove="runs", select="status=failed") == would
    prunecheck.clean("all", remove="runs", select="method=grasp")
    assert folders("all") == [trained.name]
    assert [line.split(",")[0] for line in Path("all/results.csv").read_text().splitlines()[1:]] == ["digits"]
    assert read_log(Path("all")).entries == ()
    assert "grasp" not in Path("all/report.html").read_text()
    assert len(folders("runs")) == 6


def test_folders_are_merged_and_what_ended_otherwise_is_returned() -> None:
    put(SPEC, TRAINED, Path("a"))
    put(SPEC, replace(TRAINED, accuracy=80.0), Path("b"))
    put(replace(SPEC, seed=1), TRAINED, Path("b"))
    (Path("b") / "questions.json").write_text('{"schema": 1, "questions": [{"method": "snip"}]}')
    assert len(prunecheck.merge("a", "b", out="c", dry_run=True).copied) == 2
    assert not Path("c").exists()
    merged = prunecheck.merge("a", Path("b"), out="c")
    assert [(one.kept.path.parent, one.other.path.parent) for one in merged.conflicts] == [(Path("a"), Path("b"))]
    assert ["question 1 (snip)" in one for one in merged.unreadable_questions] == [True]
    assert len(folders("c")) == 2
    assert Path("c/report.html").exists()


def test_nothing_that_a_run_names_is_run() -> None:
    Path("payload.py").write_text(PAYLOAD)
    put(CODE_OF_OTHERS, TRAINED)
    put(replace(CODE_OF_OTHERS, seed=1), None)
    prunecheck.merge("runs", out="other")
    prunecheck.clean("other", remove="weights")
    assert list(prunecheck.load_results("other", select="method=payload.py*")["seed"]) == [0, 1]
    assert not Path("ran").exists()


def test_the_table_has_the_runs_that_are_chosen_and_those_of_runs_unless_folders_are_named() -> None:
    put(SPEC, TRAINED)
    put(replace(SPEC, seed=1), FAILED)
    put(replace(SPEC, check="rearrange-mask"), TRAINED)
    assert list(prunecheck.load_results(select="status=trained check=none")["seed"]) == [0]
    assert len(prunecheck.load_results()) == len(prunecheck.load_results("runs")) == 3
    assert list(prunecheck.load_results(select="sparsity>0.95")["seed"]) == []


def test_what_is_wrong_is_one_sentence_that_names_the_argument() -> None:
    put(SPEC, TRAINED, Path("a"))
    for call, said in (
        (lambda: prunecheck.clean("a", remove="runs"), "^remove set to runs .* say which with select"),
        (
            lambda: prunecheck.clean("a", remove="weight"),
            "^there is no part of runs named 'weight': did you mean weights",
        ),
        (lambda: prunecheck.clean("a", select="methode=snip"), "did you mean method"),
        (lambda: prunecheck.clean("b"), "there is no folder b"),
        (lambda: prunecheck.merge(out="c"), "^folders needs a value"),
        (lambda: prunecheck.merge("a", out="a"), "there is nothing to merge into a"),
        (lambda: prunecheck.load_results("a", select="status=done"), "there is no status named 'done'"),
    ):
        with pytest.raises(prunecheck.InputError, match=said):
            call()
    with RunStore(Path("a")).locked(), pytest.raises(prunecheck.InputError, match="is at work in a"):
        prunecheck.merge("a", out="c")
    assert not Path("c").exists()
    Path("c").mkdir()
    Path("c/report.html").write_text("mine")
    with pytest.raises(prunecheck.InputError, match="holds something else"):
        prunecheck.merge("a", out="c")
    assert folders("c") == []


def test_a_report_is_removed_with_the_last_finished_run_and_for_no_other_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(SPEC, TRAINED, Path("a"))
    put(replace(SPEC, seed=1), FAILED, Path("a"))
    report = write_report(Path("a"))

    def refuse(*arguments: object, **options: object) -> None:
        raise prunecheck.InputError("no report can be made of these runs")

    with monkeypatch.context() as patched:
        patched.setattr("prunecheck.api.recorded.recorded_contents", refuse)
        with pytest.raises(prunecheck.InputError, match="no report can be made"):
            prunecheck.clean("a", remove="runs", select="status=failed")
    assert report.exists()
    prunecheck.clean("a", remove="runs", select="status=trained")
    assert not report.exists()
