"""What reports say where nothing is trained after pruning: of calibration draws and tests, not of seeds and epochs."""

import html
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prunecheck.analysis.families import Conclusion, answer_questions
from prunecheck.api.questions import asked_study
from prunecheck.report.answers import answer_html, answer_latex, answer_markdown
from prunecheck.report.contents import ReportContents, contents_of_conclusions
from prunecheck.report.formats.latex import latex
from prunecheck.report.formats.markdown import markdown
from prunecheck.report.looks import looks_text
from prunecheck.report.page import report_html
from prunecheck.report.papers import paper_tables
from prunecheck.report.reading import headline, reading
from prunecheck.report.remarks import remarks
from prunecheck.report.run_table import run_table
from prunecheck.report.table import Table
from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec
from tests.fixtures.answers import judged

CHECKS = ["random-tokens", "fewer-sequences@0.5", "fewer-sequences"]

CHANCE = 4.5

Value = Callable[[RunSpec], float | str | None]


def one_seed_better(spec: RunSpec) -> float:
    """Each check costs something, and draws differ."""
    costs = {None: 0.0, "random-tokens": 0.3, "fewer-sequences@0.5": 0.01, "fewer-sequences": 0.02}
    return 3.6 + 0.01 * (spec.seed % 4) * (1 + len(spec.check or "")) + costs[spec.check]


def answer_of(folder: Path, value: Value = one_seed_better, **changes: Any) -> tuple[Conclusion, dict[Any, RunResult]]:
    """Answer a question about Wanda by made-up values; None for a run that was not done."""
    file = folder / "text.txt"
    file.write_text("a text of some length, with words in it. " * 400)
    asked: dict[str, Any] = {"seeds": 5, "checks": CHECKS, "baseline": "magnitude-after-training"}
    study = asked_study("wanda", model=None, dataset=f"text:{file}", sparsity=None, **(asked | changes))
    found = {run: 3.0 if run.method == "dense" else value(run) for run in study.question.runs()}
    results = {run: judged(outcome, CHANCE) for run, outcome in found.items() if outcome is not None}
    (answer,) = answer_questions([study.question], results)
    return answer, results


def report_of(folder: Path, answer: Conclusion, results: dict[Any, RunResult]) -> tuple[ReportContents, str]:
    contents = contents_of_conclusions([answer], results, folder / "runs")
    return contents, report_html(contents, "prunecheck report runs")


def said(folder: Path, answer: Conclusion, results: dict[Any, RunResult]) -> Iterator[str]:
    """Yield all that is said of an answer, in every form."""
    contents, page = report_of(folder, answer, results)
    plain = re.sub(r"<style.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)
    yield html.unescape(plain)
    yield from (reading(answer), remarks(answer), looks_text(answer), *headline([answer]))
    yield from (answer_latex(answer), answer_markdown(answer), re.sub(r"<[^>]+>", " ", answer_html(answer)))
    tables = paper_tables(contents)
    yield latex(tables, "a report")
    yield markdown(tables)


OF_TRAINING = re.compile(
    r"over the seeds|same seeds?\b|(each|by|one|two|number of|\d|[Aa]dding) seeds?\b|last epoch|over the training"
    r"|(was|were|not) trained\b|learned nothing|images|Conv2d"
)
"""What is true of tickets that are trained alone."""

EXCEPTIONS = ("prunecheck seeds", "that of seed 0")


def require_true(texts: Iterator[str]) -> str:
    whole = " ".join(" ".join(texts).split())
    told = whole
    for exception in EXCEPTIONS:
        told = told.replace(exception, "")
    wrong = [told[max(0, one.start() - 60) : one.end() + 40] for one in OF_TRAINING.finditer(told)]
    assert wrong == []
    return whole


def test_every_form_speaks_of_calibration_draws_and_of_no_epoch(tmp_path: Path) -> None:
    answer, results = answer_of(tmp_path)
    whole = require_true(said(tmp_path, answer, results))
    for words in (
        "standard deviation over the calibration draws",
        "of the same calibration draws",
        "Differences of each calibration draw",
        "a dot for each calibration draw",
        "Mean test bits-per-byte, with the 95 % t interval over the calibration draws.",
        "Test bits-per-byte; guessing gives 4.5",
        "done to a share; paired by calibration draw.",
        "Adding calibration draws because this is undecided",
        "Bits-per-byte of others minus that of the method's tickets",
    ):
        assert words in whole, words


@pytest.mark.parametrize(
    ("value", "changes", "words"),
    [
        (lambda spec: CHANCE + 0.001 * (spec.seed % 3), {}, "wanda are no better than guessing at sparsity 0.5"),
        (one_seed_better, {"seeds": 1}, "There is one calibration draw only"),
        (one_seed_better, {"baseline": None}, "5 calibration draws and a margin of 0.02; there is no baseline."),
        (one_seed_better, {"seeds": "auto", "max_seeds": 12}, "divided over looks at 5, 8 and 12 calibration draws"),
        (
            lambda spec: None if (spec.seed, spec.check) == (2, "random-tokens") else one_seed_better(spec),
            {},
            "tickets without a partner of the same calibration draw are left out of the comparisons with",
        ),
        (lambda spec: "collapsed" if spec.check else one_seed_better(spec), {}, "collapsed"),
    ],
    ids=["at chance", "one draw", "no baseline", "looks", "a missing run", "collapsed"],
)
def test_whatever_the_results_are(value: Value, changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    answer, results = answer_of(tmp_path, value, **changes)
    assert words in require_true(said(tmp_path, answer, results))


def rows_of(table: Table) -> dict[str, str]:
    return {row[0]: row[1] for row in table.rows}


def test_how_it_was_made_has_what_text_and_pruning_after_training_have(tmp_path: Path) -> None:
    answer, results = answer_of(tmp_path, sequence_length=64, calibration_sequences=16)
    contents, _ = report_of(tmp_path, answer, results)
    (made,) = (table for table in paper_tables(contents) if table.name == "settings")
    rows = rows_of(made)
    assert rows["sequence length"] == "64"
    assert rows["calibration sequences"] == "16"
    assert rows["calibration draws"] == "0 to 4"
    assert rows["prunable layers"] == "linear layers, but none that gives the logits"
    assert rows["epochs"] == "2"  # of the network that all tickets are made of
    assert not {"augment", "normalize", "samples a class that criteria see", "seeds"} & rows.keys()
    statuses = {row[0].partition("-")[0]: row[2] for row in run_table(contents.settings).rows}
    assert statuses == {"dense": "trained", "wanda": "tested", "magnitude": "tested"}
    (values,) = (table for table in paper_tables(contents) if table.name == "values")
    assert values.headings[-1] == "tested"
