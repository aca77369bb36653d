import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import fields, replace

import pytest

from prunecheck.pruning import Collapse
from prunecheck.runs.result import MetricResult, RunResult, Status
from prunecheck.runs.spec import DESCRIBED, RunSpec
from prunecheck.runs.store import results_csv
from prunecheck.training import Recipe

TRAINED = RunResult(
    status=Status.TRAINED,
    accuracy=100 / 3,
    best_accuracy=51.25,
    epochs=2,
    chance=12.5,
    sparsity=0.8,
    kept={"conv1": (3, 18), "layer1.0.conv1": (0, 36)},
    collapse=None,
    reason=None,
    seconds=1.5,
    device="cpu",
    versions={"torch": "2.6", "python": "3.11"},
)
COLLAPSED = replace(
    TRAINED,
    status=Status.COLLAPSED,
    accuracy=None,
    best_accuracy=None,
    epochs=0,
    collapse=Collapse("layer1.0.conv1", "no weight is left"),
)
DIVERGED = replace(TRAINED, status=Status.DIVERGED, accuracy=None, best_accuracy=None, epochs=1)
FAILED = replace(COLLAPSED, status=Status.FAILED, kept={}, collapse=None, reason='"quoted", and\nof two lines')
OF_LOSS = replace(TRAINED, metric=MetricResult(0.25, 2.3))
LOST_OF_LOSS = replace(COLLAPSED, metric=MetricResult(None, 2.3, counts_images=True))


@pytest.mark.parametrize(
    "result", [TRAINED, COLLAPSED, DIVERGED, FAILED, replace(TRAINED, kept={}), OF_LOSS, LOST_OF_LOSS]
)
def test_a_result_comes_back_from_its_json(result: RunResult) -> None:
    assert RunResult.from_json(result.to_json()) == result


def test_what_json_cannot_hold_is_not_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        replace(TRAINED, accuracy=math.nan).to_json()


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "3", "{}", '{"kept": {}}', '{"kept": [], "collapse": null}'])
def test_what_is_no_result_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a JSON object|is missing|wrong type|Expecting"):
        RunResult.from_json(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"kept": {"conv1": 3}},
        {"kept": {"conv1": [1, 2, 3]}},
        {"kept": {"conv1": [3, 2]}},
        {"collapse": {"where": "conv1"}},
        {"surprise": 1},
        {"status": "banana"},
        {"accuracy": 150},
        {"metric": {"value": 1e101, "chance": None, "counts_images": False}},
        {"metric": {"value": 1.0, "chance": -1e300, "counts_images": False}},
        {"sequence_losses": [1.0, 1e101]},
        {"accuracy": -1},
        {"accuracy": None},
        {"accuracy": "97.5"},
        {"accuracy": True},
        {"best_accuracy": float("nan")},
        {"chance": float("inf")},
        {"epochs": 2.5},
        {"epochs": -1},
        {"sparsity": 1.5},
        {"versions": {"torch": 2}},
        {"acceleration": "graphs"},
        {"status": "collapsed"},
        {"metric": {"value": None}},
        {"metric": {"value": "0.25"}},
        {"metric": {"value": float("nan")}},
        {"metric": {"value": 0.25, "surprise": 1}},
        {"metric": 0.25},
    ],
)
def test_a_result_with_other_fields_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(
        ValueError,
        match=r"wrong type|no field surprise|contradict|between 0 and 100|more weights than it has|larger",
    ):
        RunResult.from_json(json.dumps(json.loads(TRAINED.to_json()) | {"sha256": None} | changes))


@pytest.mark.parametrize(
    ("written", "damaged"), [("51.25", "51.35"), ('"kept": {', '"kept": {"more": [1, 2], '), ("cpu", "gpu")]
)
def test_a_result_that_is_not_what_was_written_is_refused(written: str, damaged: str) -> None:
    text = TRAINED.to_json()
    assert written in text
    with pytest.raises(ValueError, match="does not hold what was written"):
        RunResult.from_json(text.replace(written, damaged, 1))
    without = json.loads(text)
    del without["sha256"]  # as earlier versions wrote it
    assert RunResult.from_json(json.dumps(without)) == RunResult.from_json(text) == TRAINED


def test_csv_has_a_row_for_each_run(make_spec: Callable[..., RunSpec]) -> None:
    odd = make_spec(
        method='odd, "quoted".py:score',
        method_hash="ab" * 32,
        dataset_hash="cd" * 32,
        train_images=100,
        check="reinit",
        trained_on="random-labels",
        seed=7,
        width=None,
        recipe=Recipe(milestones=(80, 120)),
    )
    specs = [make_spec(), make_spec(sparsity=0.9999), odd]
    text = results_csv(dict(zip(specs, [TRAINED, COLLAPSED, DIVERGED], strict=True)))
    first, second, third = csv.DictReader(io.StringIO(text))
    assert (
        first.items()
        >= {
            "dataset": "digits",
            "dataset_hash": "",
            "train_images": "",
            "test_images": "",
            "model": "resnet8",
            "width": "2",
            "method": "snip",
            "method_hash": "",
            "sparsity": "0.8",
            "check": "",
            "trained_on": "",
            "samples_per_class": "3",
            "scoring_rounds": "1",
            "seed": "0",
            "epochs": "2",
            "batch_size": "64",
            "learning_rate": "0.1",
            "momentum": "0.9",
            "weight_decay": "0.0001",
            "milestones": "1",
            "gamma": "0.1",
            "status": "trained",
            "accuracy": repr(100 / 3),
            "best_accuracy": "51.25",
            "epochs_done": "2",
            "collapsed_layer": "",
            "seconds": "1.5",
            "device": "cpu",
            "folder": specs[0].folder_name,
        }.items()
    )
    assert (second["status"], second["accuracy"], second["collapsed_layer"]) == ("collapsed", "", "layer1.0.conv1")
    assert (third["status"], third["best_accuracy"], third["epochs"]) == ("diverged", "", "160")
    assert (third["epochs_done"], third["milestones"], third["width"]) == ("1", "80 120", "")
    assert (third["method"], third["check"], third["seed"]) == (odd.method, "reinit", "7")
    assert (third["trained_on"], third["train_images"]) == ("random-labels", "100")
    assert (third["method_hash"], third["dataset_hash"]) == ("ab" * 32, "cd" * 32)


def test_csv_has_every_field_of_a_run_and_of_its_recipe(make_spec: Callable[..., RunSpec]) -> None:
    (row,) = csv.DictReader(io.StringIO(results_csv({make_spec(): TRAINED})))
    assert {*DESCRIBED, *(field.name for field in fields(Recipe))} <= row.keys()
    assert None not in row.values()


def test_csv_of_no_runs_is_its_header() -> None:
    assert results_csv({}).count("\n") == 1


def test_empty_layers_are_those_of_which_nothing_is_kept() -> None:
    assert TRAINED.empty_layers == ["layer1.0.conv1"]
    assert FAILED.empty_layers == []
