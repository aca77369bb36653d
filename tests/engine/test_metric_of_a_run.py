"""What a run is judged by: measured once, of the weights that training ended with, and never a number that is none."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from prunecheck.data import Batches, load_dataset
from prunecheck.engine.execution import execute
from prunecheck.engine.job import Job
from prunecheck.errors import InputError
from prunecheck.metrics import Metric, find_metric
from prunecheck.models import build_model
from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RESULT, RunFolder, RunStore
from prunecheck.training import Checkpoint
from prunecheck.training.metrics import all_logits

MakeSpec = Callable[..., RunSpec]
MakeJob = Callable[[RunSpec, Path], Job]
Judged = Callable[..., tuple[RunFolder, RunResult]]

FEW = {"train_images": 100, "test_images": 50, "epochs": 2}

FILE = """
from pathlib import Path
import prunecheck

@prunecheck.metric(unit="", higher_is_better=True)
def largest(logits, labels):
    assert logits.shape == (50, 10) and labels.shape == (50,)
    assert str(logits.dtype) == "torch.float32" and str(labels.dtype) == "torch.int64"
    with Path(__file__).with_name("calls").open("a") as calls:
        calls.write("called ")
    largest = logits.max()
    logits.zero_(), labels.zero_()
    return float("nan") if Path(__file__).with_name("broken").exists() else largest
"""


def of_metric(spec: RunSpec, metric: Metric) -> RunSpec:
    return spec.changed(
        metric=metric.name,
        metric_unit=metric.quantity.unit,
        metric_higher_is_better=metric.quantity.higher_is_better,
        metric_hash=metric.code.hash if metric.code else None,
    )


@pytest.fixture
def judged(tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob) -> Judged:
    def judged(given: str, **changes: object) -> tuple[RunFolder, RunResult]:
        metric = find_metric(given)
        spec = of_metric(make_spec(**FEW | changes), metric)
        result = execute(replace(make_job(spec, tmp_path), metric=metric.given), lambda *_: None)
        return RunStore(tmp_path).folder(spec), result

    return judged


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "score.py"
    path.write_text(FILE)
    return path


def final_logits(folder: RunFolder) -> tuple[torch.Tensor, torch.Tensor]:
    dataset = load_dataset("digits").shortened(100, 50)
    network = build_model("resnet8", 10, 0, width=2, input_channels=1).eval()
    network.load_state_dict(Checkpoint.read(folder.path / "last.safetensors").weights)
    ((x, y),) = Batches(dataset.test, dataset, 50, "cpu").in_order()
    with torch.no_grad():
        return network(x), y


def test_the_value_is_that_of_the_last_weights_on_the_whole_test_part(
    judged: Judged, read_curves: Callable[[Path], dict[str, list[tuple[int, float]]]]
) -> None:
    folder, result = judged("balanced-accuracy")
    expected = find_metric("balanced-accuracy").value(*final_logits(folder))
    assert result.value == pytest.approx(expected)
    assert result.chance_level == pytest.approx(10)
    assert result.accuracy is not None
    assert result == folder.result()
    ((step, drawn),) = read_curves(folder.path)["metric/balanced-accuracy"]
    assert step == 1  # of two epochs, counted from 0
    assert drawn == pytest.approx(expected)


def test_a_user_s_metric_is_called_once_with_tensors_of_its_own(judged: Judged, file: Path) -> None:
    folder, result = judged(f"{file}:largest")
    logits, _ = final_logits(folder)
    assert result.value == pytest.approx(float(logits.max()), rel=1e-4)
    assert result.chance_level is None
    assert file.with_name("calls").read_text().split() == ["called"]


def test_what_is_a_column_of_the_metrics_is_not_computed_again(judged: Judged) -> None:
    folder, result = judged("cross-entropy")
    with (folder.path / "metrics.csv").open(newline="") as rows:
        *_, last = csv.DictReader(rows)
    assert result.value == float(last["test_loss"])
    assert result.chance_level == pytest.approx(2.302585)


def test_the_result_of_a_run_that_is_judged_by_accuracy_is_written_as_before(judged: Judged) -> None:
    folder, result = judged("accuracy")
    assert "metric" not in json.loads((folder.path / RESULT).read_text())
    assert result.value == result.accuracy
    assert result.chance_level == result.chance
    assert "metric" not in json.loads(folder.spec.canonical())


def test_a_value_that_is_no_number_is_a_failure_which_can_be_mended(judged: Judged, file: Path) -> None:
    file.with_name("broken").touch()
    folder, result = judged(f"{file}:largest")
    assert (result.status, result.value, result.accuracy) == (Status.FAILED, None, None)
    assert result.reason == "the metric score.py:largest returned nan: have it return a finite number."
    file.with_name("broken").unlink()
    (folder.path / RESULT).unlink()  # as --retry-failed does
    trained = (folder.path / "last.safetensors").read_bytes()
    _, again = judged(f"{file}:largest")
    assert again.status is Status.TRAINED
    assert again.value == pytest.approx(float(final_logits(folder)[0].max()), rel=1e-4)
    assert (folder.path / "last.safetensors").read_bytes() == trained  # no epoch was done again


def test_a_collapsed_ticket_has_no_value(judged: Judged) -> None:
    _, result = judged("balanced-accuracy", sparsity=0.9999)
    assert (result.status, result.value) == (Status.COLLAPSED, None)
    assert result.chance_level == pytest.approx(10)


def test_a_diverged_training_is_not_measured(judged: Judged, file: Path) -> None:
    _, result = judged(f"{file}:largest", learning_rate=1e12)
    assert (result.status, result.value) == (Status.DIVERGED, None)
    assert not file.with_name("calls").exists()


def test_a_metric_that_was_changed_meanwhile_is_refused(
    tmp_path: Path, file: Path, make_spec: MakeSpec, make_job: MakeJob
) -> None:
    spec = of_metric(make_spec(**FEW), find_metric(f"{file}:largest"))
    file.write_text(FILE.replace("logits.max()", "logits.min()"))
    with pytest.raises(InputError, match=r"the metric score\.py:largest was changed while its runs were going on"):
        execute(replace(make_job(spec, tmp_path), metric=f"{file}:largest"), lambda *_: None)


def test_what_a_metric_does_to_its_labels_reaches_no_other_run() -> None:
    dataset = load_dataset("digits").shortened(100, 50)
    batches = Batches(dataset.test, dataset, 20, "cpu")
    before = batches.labels.clone()
    network = build_model("resnet8", 10, 0, width=2, input_channels=1).eval()
    logits, labels = all_logits(network, batches)
    assert (logits.shape, logits.is_inference()) == ((50, 10), False)
    assert torch.equal(labels, before)
    labels.zero_()
    assert torch.equal(batches.labels, before)
