"""Answers beside what the commands say about the same runs, which are made up here and done."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import prunecheck
from prunecheck.studies.study_file import read_study
from tests.cli.runs import COLLAPSED, TRAINED, put

Call = Callable[..., Any]

STUDY = """
name = "two"
methods = ["magnitude", "random-erk"]
datasets = ["digits"]
models = ["resnet8"]
widths = [4]
sparsities = [0.8, 0.9]
checks = ["rearrange-mask", "reinit"]
baseline = "random-uniform"
seeds = 5
recipes = ["short"]

[recipe.short]
epochs = 4
"""

COSTS = {("magnitude", "rearrange-mask"): 0.1, ("magnitude", "reinit"): 9.0, ("random-erk", "reinit"): 3.0}

ASKED: dict[str, Any] = {
    "model": "resnet8",
    "width": 4,
    "sparsity": [0.8, 0.9],
    "checks": ["rearrange-mask", "reinit"],
    "baseline": "random-uniform",
    "seeds": 5,
    "epochs": 4,
    "quiet": True,
}

COMMAND = [
    *("check", "magnitude", "--model", "resnet8", "--width", "4", "--sparsity", "0.8,0.9"),
    *("--checks", "rearrange-mask,reinit", "--baseline", "random-uniform", "--seeds", "5", "--epochs", "4"),
    "--quiet",
]


@pytest.fixture(autouse=True)
def study() -> Path:
    """A study in the working directory, each of whose runs is done; one ticket is lost."""
    file = Path("study.toml")
    file.write_text(STUDY)
    draw = random.Random(1)
    asked = read_study(file, None)
    for question in asked.questions:
        for seed in question.seeds:
            put(question.dense_run(seed), replace(TRAINED, accuracy=97.0, kept={}))
            for sparsity in question.sparsities:
                for check in (None, *question.checks):
                    cost = COSTS.get((question.method.name, str(check)), 0.5)
                    result = replace(TRAINED, accuracy=92 - cost + draw.random())
                    is_lost = (sparsity, check, seed) == (0.9, "reinit", 2)
                    put(question.method_run(sparsity, check, seed), COLLAPSED if is_lost else result)
                put(question.baseline_run(sparsity, seed), replace(TRAINED, accuracy=88 + draw.random()))
    return file


@pytest.fixture
def answer() -> prunecheck.Answer:
    return prunecheck.check("magnitude", **ASKED)


def test_a_check_says_what_its_command_says(answer: prunecheck.Answer, call: Call) -> None:
    printed = json.loads(call(*COMMAND, "--json").stdout)
    assert json.loads(answer.to_json()) == printed == json.loads(json.dumps(answer.to_dict()))
    assert printed["schema"] == 1
    assert "5 % over the 6 comparisons of this question (Holm)" in printed["family"]["text"]
    assert f"{answer}\n" == call(*COMMAND).stdout
    assert answer.reading == printed["reading"]
    assert answer.reading in " ".join(str(answer).split())


def test_a_study_says_what_its_command_says(study: Path, call: Call) -> None:
    for family in ("question", "report"):
        answers = prunecheck.run(study, quiet=True, family=family)
        command = ("run", "study.toml", "--quiet", "--family", family)
        assert json.loads(answers.to_json()) == json.loads(call(*command, "--json").stdout)
        assert f"{answers}\n" == call(*command).stdout
        assert [one.question.method for one in answers] == ["magnitude", "random-erk"]
        assert len(answers) == 2
        assert answers[-1].to_dict() == list(answers)[1].to_dict() == answers[0:2][1].to_dict()
        assert {one.family.scope for one in answers} == {family}
    assert answers.to_dict()["schema"] == 1


def test_frames_hold_the_numbers_of_the_comparisons(answer: prunecheck.Answer, study: Path) -> None:
    frame = answer.to_frame()
    assert len(frame) == len(answer.comparisons) == 6
    for row, one in zip(frame.to_dict("records"), answer.comparisons, strict=True):
        assert one.difference is not None
        assert one.difference.interval is not None
        assert (row["method"], row["sparsity"], row["against"]) == ("magnitude", one.sparsity, one.against)
        assert (row["difference"], row["low"], row["high"]) == (one.difference.mean, *one.difference.interval)
        assert (row["verdict"], row["pairs"], row["margin"]) == (one.verdict, len(one.pairs), 2.0)
        assert (row["p"], row["p_adjusted"], row["family_size"]) == (one.p, one.adjusted_p, 6)
        assert row["is_check"] is one.is_check
        assert answer.verdicts[one.sparsity, one.against] is one.verdict
    assert frame["looks"].tolist() == ["5"] * 6
    assert frame["lost_by_the_change"].tolist() == [0, 0, 0, 0, 1, 0]
    both = prunecheck.run(study, quiet=True).to_frame()
    assert both["method"].tolist() == ["magnitude"] * 6 + ["random-erk"] * 6
    assert both[:6].reset_index(drop=True).equals(frame)


def test_the_verdicts_are_those_of_the_differences(answer: prunecheck.Answer) -> None:
    assert answer.verdicts[0.8, "reinit"] is prunecheck.Verdict.USES
    assert answer.verdicts[0.8, "rearrange-mask"] is prunecheck.Verdict.DOES_NOT_USE
    assert answer.verdicts[0.8, "random-uniform"] is prunecheck.Verdict.BETTER
    assert answer.question.seeds == (0, 1, 2, 3, 4)


def test_papers_and_pages_are_those_of_the_report_command(study: Path, call: Call) -> None:
    answers = prunecheck.run(study, quiet=True)
    latex = call("report", "runs", "--latex").stdout
    assert answers.to_latex().splitlines()[1:] == latex.splitlines()[1:]
    assert "% made by: prunecheck.run(" in answers.to_latex()
    in_python, in_shell = (
        text.splitlines() for text in (answers.to_markdown(), call("report", "runs", "--markdown").stdout)
    )
    assert in_python[:-1] == in_shell[:-1]
    assert (in_python[-1].split("(")[0], in_shell[-1]) == (
        "    prunecheck.run",
        "    prunecheck report runs --markdown",
    )
    assert answers.report("page.html") == Path("page.html")
    assert "prunecheck.run(" in Path("page.html").read_text()
    assert answers[0].report("page.html").read_text().count("random-erk") == 0


def test_a_report_takes_no_other_files_place(answer: prunecheck.Answer) -> None:
    Path("mine.html").write_text("mine")
    with pytest.raises(prunecheck.InputError, match="exists and holds something else"):
        answer.report("mine.html")
    with pytest.raises(prunecheck.InputError, match="no folder nowhere"):
        answer.report("nowhere/page.html")
    assert Path("mine.html").read_text() == "mine"


class Balanced(HTMLParser):
    """Collects text and tags, and sees that what is opened is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: object) -> None:
        self.open.append(tag)
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_notebook_shows_one_table_in_which_names_are_text(answer: prunecheck.Answer, study: Path) -> None:
    shown = Balanced(answer._repr_html_())
    assert shown.tags.count("table") == 1
    rows = 1 + 1 + 2 * (1 + 1 + 3)  # headings, dense; for each sparsity its own line, the tickets, three others
    assert shown.tags.count("tr") == rows
    assert answer.reading in shown.text
    named = replace(answer.question, method="<b>&amp;</b>")
    renamed = replace(answer, conclusion=replace(answer.conclusion, question=named))
    page = Balanced(renamed._repr_html_())
    assert "<b>&amp;</b>" in page.text
    assert "b" not in page.tags
    assert "script" not in page.tags
    both = Balanced(prunecheck.run(study, quiet=True)._repr_html_())
    assert (both.tags.count("table"), both.tags.count("tr")) == (2, 2 * rows)


def test_an_answer_that_compares_nothing_is_shown_too() -> None:
    answer = prunecheck.check("magnitude", **ASKED | {"checks": [], "baseline": None})
    assert answer.verdicts == {}
    assert answer.to_frame().shape == (0, len(answer.to_frame().columns))
    assert "Nothing is compared here" in Balanced(answer._repr_html_()).text
    assert "nothing is compared" in repr(answer)
    assert "Accuracy by sparsity" in answer.to_markdown()


def test_a_report_says_the_call_that_differs_from_the_usual_one(answer: prunecheck.Answer) -> None:
    said = "prunecheck.check('magnitude', model='resnet8', sparsity=[0.8, 0.9], seeds=5, "
    assert answer.call == f"{said}checks=['rearrange-mask', 'reinit'], baseline='random-uniform', width=4, epochs=4)"
    again = eval(answer.call, {"prunecheck": prunecheck})
    assert again.to_dict() == answer.to_dict()


def test_audits_say_what_their_command_says(call: Call) -> None:
    audit = prunecheck.audit(["snip", "magnitude"], width=2, model="resnet8", seeds=2, samples_per_class=2)
    command = [*("audit", "snip,magnitude", "--width", "2", "--model", "resnet8"), "--seeds", "2"]
    command += ["--samples-per-class", "2"]
    printed = json.loads(call(*command, "--json").stdout)
    assert json.loads(audit.to_json()) == printed
    assert printed["schema"] == 1
    *said, call_to_copy = str(audit).splitlines()
    *said_by_command, command_to_copy = call(*command).stdout.splitlines()
    assert said == said_by_command
    assert call_to_copy.startswith("  prunecheck.check('snip', ")
    assert command_to_copy.startswith("  prunecheck check snip ")
    frame = audit.to_frame()
    layers = [(one["method"], layer["layer"]) for one in printed["methods"] for layer in one["layers"]]
    assert list(zip(frame["method"], frame["layer"], strict=True)) == layers
    assert frame["total"].sum() == sum(one["total"] for one in printed["methods"])
    agreements = audit.agreements()
    within = sum(len(one["agreements"]) for one in printed["methods"])
    assert len(agreements) == within + len(printed["between_methods"]) > within
    assert Balanced(audit._repr_html_().replace("&nbsp;", "")).tags.count("table") == 2
    assert repr(audit).startswith("<Audit of snip, magnitude at sparsity 0.9")


def test_results_of_folders_are_one_frame(answer: prunecheck.Answer) -> None:
    frame = prunecheck.load_results(answer.folder)
    assert {run.folder_name for run in answer.results} <= {Path(folder).name for folder in frame["folder"]}
