"""What runs are judged by, as a user names it: in commands, study files and Python."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import prunecheck

Call = Callable[..., Any]
Refused = Callable[..., str]

SMALL = [
    *("--epochs", "1", "--seeds", "2", "--train-images", "120", "--test-images", "40", "--sparsity", "0.5"),
    *("--model", "resnet8", "--width", "2", "--checks", "rearrange-mask", "--baseline", "none"),
    *("--workers", "1", "--quiet"),
]

FILE = """
import prunecheck, torch

@prunecheck.metric(unit="nats", higher_is_better=False)
def loss(logits, labels):
    return logits.log_softmax(dim=1).gather(1, labels[:, None]).mean().neg()

@prunecheck.metric(unit="", higher_is_better=True)
def nothing(logits, labels):
    return 0.0

def silent(logits, labels):
    return 1.0

@prunecheck.metric(unit="nats", higher_is_better=False)
def several(logits, labels):
    return logits.mean(dim=0)

@prunecheck.metric(unit="nats", higher_is_better=False)
def fails(logits, labels):
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)

@prunecheck.metric(unit="nats", higher_is_better=False)
def changes(logits, labels):
    return logits.sub_(logits.mean()).std()

@prunecheck.metric(unit="nats", higher_is_better=False)
def changes_labels(logits, labels):
    return labels.add_(1).float().mean()

@prunecheck.metric(unit="nats", higher_is_better=False)
def draws(logits, labels):
    return torch.rand(())

@prunecheck.metric(unit="nats", higher_is_better=False)
def undefined(logits, labels):
    return (logits > 99).float().sum() / (logits > 99).float().sum()
"""

STUDY = """
methods = ["snip"]
datasets = ["digits"]
models = ["resnet8"]
widths = [2]
recipes = ["short"]
sparsities = [0.5]
checks = ["rearrange-mask"]
baseline = "none"
seeds = 2
train_images = 120
test_images = 40
recipe.short.epochs = 1
"""


@pytest.fixture(autouse=True)
def _file() -> None:
    Path("score.py").write_text(FILE)


@pytest.mark.parametrize(
    ("metric", "margin", "sentence"),
    [
        ("croß-entropy", [], "there is no metric named 'croß-entropy': did you mean cross-entropy?"),
        ("score.py:none", [], "score.py does not define a function none"),
        ("nothing.py:loss", [], "there is no file nothing.py"),
        ("score.py:silent", [], "the metric score.py:silent does not say in which unit it is"),
        (
            "score.py:loss",
            [],
            "runs are judged by score.py:loss in nats, for which there is no usual --margin: give one",
        ),
        (
            "cross-entropy",
            ["--margin", "0"],
            "--margin takes an amount of cross-entropy in nats, more than 0 and finite",
        ),
        ("balanced-accuracy", ["--margin", "100"], "--margin takes points of balanced-accuracy, more than 0 and less"),
        (
            "score.py:several",
            ["--margin", "1"],
            "score.py:several returned a tensor of shape (10,): have it return one",
        ),
        ("score.py:fails", ["--margin", "1"], "score.py:fails fails on logits of shape (40, 10) and type float32"),
        ("score.py:changes", ["--margin", "1"], "score.py:changes changes the logits or labels that it is given"),
        ("score.py:changes_labels", ["--margin", "1"], "score.py:changes_labels changes the logits or labels"),
        ("score.py:draws", ["--margin", "1"], "of the same logits: have it draw nothing at random."),
        ("score.py:undefined", ["--margin", "1"], "score.py:undefined returned nan: have it return a finite number."),
    ],
)
def test_what_is_no_metric_is_refused_before_anything_starts(
    refused: Refused, metric: str, margin: list[str], sentence: str
) -> None:
    assert sentence in refused("check", "snip", *SMALL, "--metric", metric, *margin)


@pytest.mark.parametrize("command", [["plan"], ["run", "--workers", "1", "--quiet"]])
@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ('metric = "cross-entropi"\n', "line 15: metric: there is no metric named 'cross-entropi'"),
        (
            'metric = "cross-entropy"\n',
            "line 15: runs are judged by cross-entropy in nats, for which there is no usual margin",
        ),
        ('metric = "score.py:several"\nmargin = 1\n', "score.py:several returned a tensor of shape (10,)"),
        ('margin = 1\n[[include]]\nmetric = "cross-entropy"\n', "line 17: values of cross-entropy have the unit nats"),
        (
            'metric = "cross-entropy"\nmargin = 1\n[[include]]\nmetric = "accuracy"\n',
            "the margin at the top is one of cross",
        ),
    ],
)
def test_a_study_file_says_where_it_is_wrong(refused: Refused, command: list[str], more: str, sentence: str) -> None:
    text = STUDY.strip().replace("recipe.short.epochs = 1", "") + "\n\n" + more + "\n[recipe.short]\nepochs = 1\n"
    Path("study.toml").write_text("\n" + text)
    name, *options = command
    assert sentence in refused(name, "study.toml", *options)


def test_commands_that_train_nothing_new_have_no_metric(refused: Refused) -> None:
    for command in (
        ["audit", "snip"],
        ["reproduce", "random-tickets"],
        ["prune", "snip", "--model", "resnet8", "--sparsity", "0.5"],
    ):
        assert "there is no option --metric" in refused(*command, "--metric", "cross-entropy")


def test_a_user_s_metric_is_what_every_table_is_about(call: Call) -> None:
    options = [*SMALL, "--metric", "score.py:loss", "--margin", "0.05"]
    ended = call("check", "snip", *options)
    assert ended.code in (0, None), ended.stderr
    assert "judged by score.py:loss in nats" in " ".join(ended.stdout.split())
    assert "score.py:loss  difference" in ended.stdout
    assert "difference: the changed tickets minus snip" in " ".join(ended.stdout.split())
    assert "against the margin of 0.05 nats" in " ".join(ended.stdout.split())
    assert "points" not in ended.stdout
    answer = json.loads(call("check", "snip", *options, "--json").stdout)
    assert answer["metric"] == {"name": "score.py:loss", "unit": "nats", "higher_is_better": False}
    assert "accuracy" not in answer["tickets"][0]
    (comparison,) = answer["verdicts"]
    for pair in comparison["pairs"]:
        assert pair["difference"] == pytest.approx(pair["changed_value"] - pair["value"], abs=1e-6)
    table = prunecheck.load_results("runs")
    assert set(table.metric) == {"score.py:loss"}
    assert set(table.metric_unit) == {"nats"}
    assert not table.metric_higher_is_better.any()
    own = table[(table.method == "snip") & table.check.isna()]
    assert own.value.mean() == pytest.approx(answer["tickets"][0]["value"])
    assert own.accuracy.max() <= 100
    shown = call("results", "runs").stdout
    assert f"score.py:loss {own.value.iloc[0]:.3f} nats" in shown
    for form in ("--markdown", "--latex"):
        text = call("report", "runs", form).stdout
        assert "Score.py" not in text
        assert "score.py:loss in nats, mean" in text
        assert "Difference: the changed, or the other method's, minus the method's tickets" in text
        assert "margin of 0.05 nats" in text
        assert "accuracy" not in text.replace("accuracy-", "")
    (row,) = csv.DictReader(call("report", "runs", "--csv").stdout.splitlines())
    assert (row["metric"], row["unit"], row["higher_is_better"], row["accuracy"]) == (
        "score.py:loss",
        "nats",
        "False",
        "",
    )
    page = Path("runs/report.html").read_text()
    assert "nats of score.py:loss that the change costs" in page
    assert "test score.py:loss, nats" in page
    assert "points of accuracy" not in page


def test_two_metrics_of_the_same_training_are_two_questions_in_one_folder(call: Call, refused: Refused) -> None:
    Path("study.toml").write_text(STUDY + '[[include]]\nmetric = "cross-entropy"\nmargin = 0.05\n')
    ended = call("run", "study.toml", "--workers", "1", "--quiet", "--json")
    by_accuracy, by_loss = json.loads(ended.stdout)["answers"]
    assert (by_accuracy["metric"]["name"], by_accuracy["margin"]) == ("accuracy", 2.0)
    assert (by_loss["metric"]["name"], by_loss["margin"]) == ("cross-entropy", 0.05)
    table = prunecheck.load_results("runs")
    assert len(table) == 12
    accuracies = table.groupby("metric").accuracy.agg(sorted)
    assert accuracies["accuracy"] == accuracies["cross-entropy"]  # the same trainings
    assert "one --margin cannot be of both" in refused("report", "runs", "--margin", "1")
    text = call("report", "runs", "--markdown").stdout
    assert "margin 0.05 nats" in text
    assert "margin 2 points" in text


def test_a_margin_in_percent_is_stated_kept_and_reported(call: Call, refused: Refused) -> None:
    asked = ("check", "snip", *SMALL, "--metric", "cross-entropy", "--margin", "5%")
    found = json.loads(call(*asked, "--json").stdout)
    assert (found["margin"], found["differences_in"], found["asked"]["margin"]) == (5.0, "%", "5%")
    (check,) = found["verdicts"]
    pair = check["pairs"][0]
    assert pair["difference"] == pytest.approx(100 * (pair["changed_value"] / pair["value"] - 1), abs=1e-4)
    (row,) = csv.DictReader(call("report", "runs", "--csv").stdout.splitlines())
    assert (row["margin"], row["differences_in"], row["asked_differences_in"]) == ("5.0", "%", "%")
    text = call("report", "runs", "--markdown", "--margin", "0.1").stdout
    assert "Asked with a margin of 5 % of cross-entropy, and shown with 0.1 nats" in text
    assert "percentage" not in text
    page = Path("runs/report.html").read_text()
    assert "margin 5 % of cross-entropy" in page
    assert "% of cross-entropy that the change costs" in page
    assert "is in percent itself" in refused("check", "snip", *SMALL, "--margin", "5%")


def test_runs_that_nobody_asked_about_need_a_margin_of_their_unit(call: Call) -> None:
    call("check", "snip", *SMALL, "--metric", "cross-entropy", "--margin", "0.05")
    Path("runs/questions.json").unlink()
    told = call("report", "runs")
    assert told.code in (0, None), told.stderr
    assert "Nothing is concluded from runs that are judged by cross-entropy in nats" in Path("report.html").read_text()
    (row,) = csv.DictReader(call("report", "runs", "--csv", "--margin", "0.3").stdout.splitlines())
    assert (row["margin"], row["unit"]) == ("0.3", "nats")


def test_python_takes_the_function_itself() -> None:
    import torch

    @prunecheck.metric(unit="%", higher_is_better=False)
    def error(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return 100 - 100 * (logits.argmax(dim=1) == labels).double().mean()

    setting: dict[str, Any] = {
        **{"model": "resnet8", "width": 2, "epochs": 1, "seeds": 2, "train_images": 120, "test_images": 40},
        **{"sparsity": 0.5, "checks": "rearrange-mask", "baseline": None, "quiet": True},
    }
    by_accuracy, by_error = prunecheck.check("snip", **setting), prunecheck.check("snip", **setting, metric=error)
    assert by_error.question.margin.amount == 2
    assert by_error.question.setting.metric.endswith("error")
    (one,), (other,) = by_accuracy.comparisons, by_error.comparisons
    assert one.difference
    assert other.difference
    assert other.difference.mean == pytest.approx(one.difference.mean)
    assert other.own.mean == pytest.approx(100 - (one.own.mean or 0.0))
    assert "metric=" in by_error.call
    assert "% of" not in by_error.to_latex().partition(r"\begin")[2]
    frame = by_error.to_frame()
    assert frame.higher_is_better.tolist() == [False]
    assert frame.unit.tolist() == ["%"]
    assert frame.accuracy.isna().all()


def test_seeds_are_counted_in_the_unit_of_the_metric(call: Call, refused: Refused) -> None:
    shown = call("seeds", "--sd", "0.02", "--metric", "cross-entropy", "--margin", "0.05").stdout
    assert "differences of 0 ± 0.02 nats, margin 0.05" in shown
    assert "points" not in shown
    found = json.loads(call("seeds", "--sd", "0.02", "--metric", "cross-entropy", "--margin", "0.05", "--json").stdout)
    scaled = json.loads(call("seeds", "--sd", "0.8", "--margin", "2", "--json").stdout)
    assert found["answers"] == scaled["answers"]
    assert (found["metric"], found["unit"]) == ("cross-entropy", "nats")
    assert "there is no usual --margin" in refused("seeds", "--sd", "1", "--metric", "cross-entropy")
    assert "cross-entropy is not a percentage of test images" in refused(
        *("seeds", "--sd", "1", "--metric", "cross-entropy", "--margin", "1", "--test-images", "50")
    )


def test_a_percentage_of_nothing_is_a_result_and_loses_no_report(call: Call) -> None:
    small = [*SMALL[: SMALL.index("--seeds")], "--seeds", "1", *SMALL[SMALL.index("--seeds") + 2 :]]
    judged = ["--metric", "score.py:nothing", "--margin", "5%"]
    why = "score.py:nothing of snip itself is 0 or less with 1 of 1 seed, and nothing is a percentage of that"
    asked = call("check", "snip", *small, *judged, "--json")
    assert asked.code == 0, asked.stderr
    (verdict,) = json.loads(asked.stdout)["verdicts"]
    assert (verdict["verdict"], verdict["difference"]) == ("undecided", None)
    assert verdict["why"].startswith(why)
    page = " ".join(Path("runs/report.html").read_text().split())
    assert why in page
    assert "Nothing is compared with anything" not in page
    assert call("report", "runs").code == 0
    assert call("check", "random-smart", *small, *judged).code == 0  # a later question about the same folder
    assert call("clean", "--remove", "runs", "--select", "method=random-smart").code == 0
    page = " ".join(Path("runs/report.html").read_text().split())
    assert why in page
    assert "random-smart" not in page
    assert call("merge", "runs", "-o", "merged").code == 0
    assert why in " ".join(Path("merged/report.html").read_text().split())
