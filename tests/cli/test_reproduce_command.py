import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prunecheck.paper import tables as paper_tables
from prunecheck.paper.tables import SCALES, TABLES

Call = Callable[..., Any]
Refused = Callable[..., str]

STUDY = """
name = "random-tickets of digits"
methods = ["magnitude", "snip"]
datasets = ["digits"]
models = ["resnet8", "resnet14"]
widths = [4]
sparsities = [0.5, 0.9]
checks = ["rearrange-mask"]
seeds = 2
train_images = 100
test_images = 100
samples_per_class = 2
recipes = ["one"]

[recipe.one]
epochs = 1
"""

ONE_QUESTION = ["--methods", "snip", "--models", "resnet8", "--sparsity", "0.5", "--workers", "1", "--quiet"]


@pytest.fixture
def _on_digits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Put a table of digits in the place of the paper's, which need data that are not here."""
    folder = tmp_path / ".tables"
    for scale in SCALES:
        file = folder / "random-tickets" / scale / "digits.toml"
        file.parent.mkdir(parents=True)
        file.write_text(STUDY)
    monkeypatch.setattr(paper_tables, "FOLDER", folder)


def test_list_names_tables_and_says_what_scales_cannot_show(call: Call) -> None:
    ended = call("reproduce", "list")
    assert (ended.code, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    for name, compared in TABLES.items():
        (line,) = [line for line in lines if line.split()[0] == name]
        assert compared in line
    text = " ".join(ended.stdout.split())
    assert all(" ".join(shows.split()) in text for shows in SCALES.values())
    assert max(map(len, lines)) < 200


def test_the_paper_s_own_files_are_found(refused: Refused) -> None:
    """They ask for CIFAR-10, which is not here: that is said with the file and the line, and nothing is begun."""
    said = refused("reproduce", "random-tickets")
    assert "cifar10.toml, line " in said
    assert "call `prunecheck data get cifar10`" in said


@pytest.mark.usefixtures("_on_digits")
def test_a_table_is_run_and_shown_with_its_verdicts_and_its_limits(call: Call) -> None:
    ended = call("reproduce", "random-tickets", *ONE_QUESTION, "--seeds", "2")
    assert ended.code == 0
    text = " ".join(ended.stdout.split())
    assert text.startswith("digits, resnet8 of width 4")
    assert "No published number is known for these." in text
    assert " ".join(f"Smoke scale: {SCALES['smoke']}.".split()) in text
    epochs = "1 epoch (constant learning rate)"
    assert f"snip on digits (100 training images, 100 test images), resnet8 of width 4, {epochs}, 2 seeds" in text
    # dense, the method's own and changed tickets, random ones: of two seeds
    assert len(list(Path("runs").glob("*/result.json"))) == 8
    again = call("reproduce", "random-tickets", *ONE_QUESTION, "--seeds", "2")
    assert (again.stdout, again.code) == (ended.stdout, 0)


@pytest.mark.usefixtures("_on_digits")
def test_json_and_markdown_hold_the_same_rows(call: Call) -> None:
    found = json.loads(call("reproduce", "random-tickets", *ONE_QUESTION, "--seeds", "1", "--json").stdout)
    assert (found["table"], found["scale"]) == ("random-tickets", "smoke")
    assert SCALES["smoke"] in found["scale_shows"]
    assert [(row["method"], row["check"], row["n"]) for row in found["rows"]] == [
        ("dense", None, 1),
        ("snip", None, 1),
        ("snip", "rearrange-mask", 1),
        ("random-smart", None, 1),
    ]
    (answer,) = found["answers"]
    assert (answer["method"], answer["seeds"]) == ("snip", [0])
    markdown = call("reproduce", "random-tickets", *ONE_QUESTION, "--seeds", "1", "--markdown").stdout
    for row in found["rows"]:
        name = " + ".join(filter(None, (row["method"], row["check"])))
        assert f"| {name} | {row['accuracy']:.2f} | - |  |  |" in markdown
    assert "0.5" in markdown.split("random-smart")[0]  # above the rows at that sparsity
    assert "Smoke scale" in markdown


OWN = """
from prunecheck.models import build_model
from prunecheck.pruning import prunable_weights

def masks(model, sparsity):
    found = {}
    for layer, weight in prunable_weights(model).items():
        mask = weight.new_zeros(weight.numel(), dtype=bool)
        mask[: round((1 - sparsity) * weight.numel())] = True
        found[layer] = mask.view(weight.shape)
    return found

def resnet(num_classes, input_channels, channels=8):
    return build_model("resnet8", num_classes, width=channels, input_channels=input_channels)
"""


@pytest.mark.usefixtures("_on_digits")
def test_a_table_is_run_with_a_method_and_a_network_of_ones_own(call: Call) -> None:
    Path("resnet.py").write_text(OWN)
    own = ["--methods", "resnet.py:masks", "--models", "resnet.py:resnet?channels=2", "--workers", "1", "--quiet"]
    found = json.loads(call("reproduce", "random-tickets", *own, "--sparsity", "0.5", "--seeds", "1", "--json").stdout)
    (answer,) = found["answers"]
    assert (answer["method"], answer["model"]) == ("resnet.py:masks", "resnet.py:resnet?channels=2")
    assert [(row["method"], row["check"], row["n"]) for row in found["rows"]] == [
        ("dense", None, 1),
        ("resnet.py:masks", None, 1),
        ("resnet.py:masks", "rearrange-mask", 1),
        ("random-smart", None, 1),
    ]
    assert {row["published"] for row in found["rows"]} == {None}


@pytest.mark.usefixtures("_on_digits")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["random-ticket"], "no table named 'random-ticket': did you mean random-tickets"),
        (["random-tickets", "--scale", "smal"], "no scale named 'smal': did you mean small"),
        (["random-tickets", "--datasets", "cifar10"], "is about digits, not cifar10"),
        (["random-tickets", "--methods", "snips"], "did you mean snip"),
        (["random-tickets", "--models", "resnet32"], "did you mean resnet"),
        (["random-tickets", "--models", "nowhere.py:build"], "there is no file nowhere.py"),
        (["random-tickets", "--models", ""], "--models takes one or more values"),
        (["random-tickets", "--sparsity", "0.98"], "this table has no sparsity 0.98: choose one of 0.5, 0.9"),
        (["random-tickets", "--sparsity", "many"], "--sparsity takes numbers"),
        (["random-tickets", "--seeds", "0"], "--seeds takes a number of seeds, at least 1"),
        (["random-tickets", "--workers", "0"], "--workers takes a whole number, at least 1"),
        (["random-tickets", "--device", "gpu"], "--device takes cpu"),
        (["random-tickets", "--json", "--markdown"], "one form at a time"),
        ([], "TABLE"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_input_is_refused(refused: Refused, arguments: list[str], said: str) -> None:
    assert said in refused("reproduce", *arguments)
