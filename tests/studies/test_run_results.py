import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from prunecheck.pruning import Collapse
from prunecheck.studies import RunResult, RunSpec, results_csv

TRAINED = RunResult(
    status="trained",
    accuracy=100 / 3,
    best_accuracy=51.25,
    epochs=2,
    sparsity=0.8,
    kept={"conv1": (3, 18), "layer1.0.conv1": (0, 36)},
    collapse=None,
    seconds=1.5,
    versions={"torch": "2.6", "python": "3.11"},
)
COLLAPSED = replace(
    TRAINED,
    status="collapsed",
    accuracy=None,
    best_accuracy=None,
    epochs=0,
    collapse=Collapse("layer1.0.conv1", "no weight is left"),
)
DIVERGED = replace(TRAINED, status="diverged", accuracy=None, best_accuracy=None, epochs=1)


@pytest.mark.parametrize("result", [TRAINED, COLLAPSED, DIVERGED, replace(TRAINED, kept={})])
def test_a_result_comes_back_from_its_json(result: RunResult) -> None:
    assert RunResult.from_json(result.to_json()) == result


def test_what_json_cannot_hold_is_not_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        replace(TRAINED, accuracy=math.nan).to_json()


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "3", "{}", '{"kept": {}}', '{"kept": [], "collapse": null}'])
def test_what_is_no_result_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not the fields|Expecting"):
        RunResult.from_json(text)


@pytest.mark.parametrize(
    "changes",
    [{"kept": {"conv1": 3}}, {"kept": {"conv1": [1, 2, 3]}}, {"collapse": {"where": "conv1"}}, {"surprise": 1}],
)
def test_a_result_with_other_fields_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"not the fields|values to unpack"):
        RunResult.from_json(json.dumps(json.loads(TRAINED.to_json()) | changes))


def test_csv_has_a_row_for_each_run(make_spec: Callable[..., RunSpec]) -> None:
    odd = make_spec(method='odd, "quoted".py:score', check="reinit", seed=7, width=None)
    specs = [make_spec(), make_spec(sparsity=0.9999), odd]
    text = results_csv(zip(specs, [TRAINED, COLLAPSED, DIVERGED], strict=True))
    first, second, third = csv.DictReader(io.StringIO(text))
    assert first == {
        "dataset": "digits",
        "model": "resnet8",
        "width": "2",
        "method": "snip",
        "sparsity": "0.8",
        "check": "",
        "seed": "0",
        "epochs": "2",
        "status": "trained",
        "accuracy": repr(100 / 3),
        "best_accuracy": "51.25",
        "collapsed_layer": "",
        "seconds": "1.5",
        "folder": specs[0].folder_name,
    }
    assert (second["status"], second["accuracy"], second["collapsed_layer"]) == ("collapsed", "", "layer1.0.conv1")
    assert (third["status"], third["best_accuracy"], third["epochs"]) == ("diverged", "", "1")
    assert (third["method"], third["check"], third["seed"], third["width"]) == (odd.method, "reinit", "7", "")


def test_csv_of_no_runs_is_its_header() -> None:
    assert results_csv([]).count("\n") == 1
