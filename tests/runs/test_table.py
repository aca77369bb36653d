import csv
import io
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import pytest

from prunecheck.api.results import load_results
from prunecheck.errors import InputError
from prunecheck.pruning import Collapse
from prunecheck.runs.index import find_runs
from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunStore, metrics_csv, results_csv
from prunecheck.training import EpochMetrics

MakeSpec = Callable[..., RunSpec]

TRAINED = RunResult(
    status=Status.TRAINED,
    accuracy=91.25,
    best_accuracy=92.5,
    epochs=2,
    chance=10.5,
    sparsity=0.75,
    kept={"conv1": (3, 10), "fc": (2, 10)},
    collapse=None,
    reason=None,
    seconds=1.5,
    device="cpu",
    versions={"prunecheck": "1", "python": "2", "torch": "3"},
)
LOST = replace(TRAINED, accuracy=None, best_accuracy=None, epochs=0)
COLLAPSED = replace(LOST, status=Status.COLLAPSED, collapse=Collapse("fc", "no weight is left"))
FAILED = replace(LOST, status=Status.FAILED, kept={}, reason="RuntimeError: no luck")


def put(root: Path, spec: RunSpec, result: RunResult | None = None, epochs_done: int = 0) -> Path:
    folder = RunStore(root).folder(spec)
    root.mkdir(exist_ok=True)
    folder.open()
    if epochs_done:
        metrics = [EpochMetrics(epoch + 1, 0.1, 2.0, 2.0, 30.0, 40.0 + epoch) for epoch in range(epochs_done)]
        (folder.path / "metrics.csv").write_text(metrics_csv(metrics))
    if result:
        folder.write_result(result)
    return folder.path


def row_of(table: pd.DataFrame, **values: Any) -> Any:
    for name, value in values.items():
        table = table[table[name] == value]
    (row,) = table.to_dict("records")
    return row


def test_a_finished_run_has_all_that_it_was_and_ended_with(tmp_path: Path, make_spec: MakeSpec) -> None:
    spec = make_spec(train_images=100, check="rearrange-mask")
    path = put(tmp_path, spec, TRAINED)
    (row,) = load_results(tmp_path).to_dict("records")
    for name, value in (spec.described() | asdict(spec.setting.recipe)).items():
        if isinstance(value, tuple):
            assert row[name] == " ".join(map(str, value)), name
        else:
            assert pd.isna(row[name]) if value is None else row[name] == value, name
    assert row["milestones"] == "1"
    expected = {
        "status": "trained",
        "accuracy": 91.25,
        "best_accuracy": 92.5,
        "chance": 10.5,
        "epochs": 2,
        "epochs_done": 2,
        "seconds": 1.5,
        "measured_sparsity": 0.75,
        "kept_weights": 5,
        "prunable_weights": 20,
        "prunecheck_version": "1",
        "python_version": "2",
        "torch_version": "3",
        "folder": str(path),
    }
    assert {name: row[name] for name in expected} == expected
    assert all(pd.isna(row[name]) for name in ("collapsed_layer", "collapse_reason", "reason"))


def test_runs_that_were_not_trained_say_why(tmp_path: Path, make_spec: MakeSpec) -> None:
    put(tmp_path, make_spec(seed=1), COLLAPSED)
    put(tmp_path, make_spec(seed=2), FAILED)
    table = load_results(tmp_path)
    collapsed, failed = row_of(table, seed=1), row_of(table, seed=2)
    assert (collapsed["status"], collapsed["collapsed_layer"]) == ("collapsed", "fc")
    assert collapsed["collapse_reason"] == "no weight is left"
    assert (failed["status"], failed["reason"]) == ("failed", "RuntimeError: no luck")
    assert pd.isna(failed["kept_weights"])
    assert table["accuracy"].isna().all()


def test_half_finished_runs_are_unfinished_and_no_mean_takes_them_in(tmp_path: Path, make_spec: MakeSpec) -> None:
    put(tmp_path, make_spec(seed=0, epochs=20), None, epochs_done=12)
    put(tmp_path, make_spec(seed=1, epochs=20))
    put(tmp_path, make_spec(seed=2), TRAINED)
    table = load_results(tmp_path)
    assert list(table["status"].value_counts().sort_index().items()) == [("trained", 1), ("unfinished", 2)]
    half, begun = row_of(table, seed=0), row_of(table, seed=1)
    assert (half["epochs_done"], half["epochs"], begun["epochs_done"]) == (12, 20, 0)
    assert table["accuracy"].mean() == 91.25
    latest = {run.spec.seed: run.latest_accuracy for run in find_runs([tmp_path]).runs}
    assert latest == {0: 51.0, 1: None, 2: 91.25}


def test_types_do_not_depend_on_what_is_missing(tmp_path: Path, make_spec: MakeSpec) -> None:
    put(tmp_path / "a", make_spec(width=None, seed=2**62), None)
    put(tmp_path / "b", make_spec(train_images=7, check="reinit"), COLLAPSED)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / ".lock").touch()
    tables = [load_results(tmp_path / name) for name in "abc"]
    assert [len(table) for table in tables] == [1, 1, 0]
    assert tables[0].dtypes.equals(tables[1].dtypes)
    assert tables[0].dtypes.equals(tables[2].dtypes)
    assert str(tables[0].dtypes["train_images"]) == "Int64"
    assert str(tables[0].dtypes["accuracy"]) == "float64"
    assert tables[0]["seed"][0] == 2**62


def test_the_table_says_what_results_csv_says(tmp_path: Path, make_spec: MakeSpec) -> None:
    for seed, result in enumerate((TRAINED, COLLAPSED, FAILED)):
        put(tmp_path, make_spec(seed=seed), result)
    store = RunStore(tmp_path)
    written = list(csv.DictReader(io.StringIO(results_csv(store.results()))))
    table = load_results(tmp_path)
    read = list(csv.DictReader(io.StringIO(table.to_csv(index=False))))
    assert len(written) == len(read) == 3
    for mine, theirs in zip(read, written, strict=True):
        assert Path(mine.pop("folder")).name == theirs.pop("folder")
        assert {name: mine[name] for name in theirs} == theirs


def test_a_run_in_several_folders_has_one_row_of_where_it_is_complete(tmp_path: Path, make_spec: MakeSpec) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    put(first, make_spec(seed=0), None, epochs_done=2)
    put(second, make_spec(seed=0), TRAINED)
    put(third, make_spec(seed=0), replace(TRAINED, accuracy=1.0))
    put(first, make_spec(seed=1, epochs=9), None, epochs_done=3)
    put(second, make_spec(seed=1, epochs=9), None, epochs_done=4)
    put(third, make_spec(seed=2), TRAINED)
    table = load_results(first, str(second), third, third)
    assert sorted(table["seed"]) == [0, 1, 2]
    assert row_of(table, seed=0)["accuracy"] == 91.25
    assert row_of(table, seed=1)["epochs_done"] == 4
    assert Path(row_of(table, seed=2)["folder"]).parent == third


def test_a_single_run_and_strangers(tmp_path: Path, make_spec: MakeSpec) -> None:
    path = put(tmp_path, make_spec(), TRAINED)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "result.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("spec.json")
    assert list(load_results(path)["folder"]) == list(load_results(tmp_path)["folder"]) == [str(path)]


def test_what_cannot_be_read_is_named_and_the_rest_is_there(tmp_path: Path, make_spec: MakeSpec) -> None:
    put(tmp_path, make_spec(seed=0), TRAINED)
    damaged = {
        put(tmp_path, make_spec(seed=1), TRAINED) / "spec.json": '{"format": 0}',
        put(tmp_path, make_spec(seed=2), TRAINED) / "spec.json": "{",
        put(tmp_path, make_spec(seed=3), TRAINED) / "result.json": "{}",
        put(tmp_path, make_spec(seed=4), None, 1) / "metrics.csv": "",
        put(tmp_path, make_spec(seed=5), None, 1) / "metrics.csv": "epoch,test_accuracy\n1\n",
        put(tmp_path, make_spec(seed=6), None, 1) / "metrics.csv": "epoch,test_accuracy\none,2\n",
    }
    for file, content in damaged.items():
        file.write_text(content)
    with pytest.warns(UserWarning, match="left out what cannot be read") as warned:
        table = load_results(tmp_path)
    assert list(table["seed"]) == [0]
    for file in damaged:
        assert str(file.parent) in str(warned[0].message)
    assert warned[0].filename == __file__


@pytest.mark.parametrize(("name", "said"), [("runz", "there is no folder"), ("empty", "holds no runs")])
def test_a_folder_without_runs_is_refused(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=said):
        load_results(tmp_path / name)
