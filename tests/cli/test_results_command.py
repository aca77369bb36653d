import csv
import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prunecheck.api.results import load_results
from prunecheck.runs.store import RunStore
from tests.cli.runs import COLLAPSED, SPEC, TRAINED, put

Call = Callable[..., Any]
Refused = Callable[..., str]


@pytest.fixture
def runs() -> list[Path]:
    """Three runs in the folder that is looked in unless another is named."""
    return [
        put(replace(SPEC, seed=10), TRAINED),
        put(replace(SPEC, seed=2), None),
        put(replace(SPEC, check="rearrange-mask"), COLLAPSED),
    ]


@pytest.mark.usefixtures("runs")
def test_the_table_has_a_line_for_each_run_in_order(call: Call) -> None:
    ended = call("results")
    assert (ended.code, ended.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in ended.stdout.splitlines()]
    assert lines[0] == "3 runs, dataset digits, model resnet8, width 4"
    assert lines[2] == "method sparsity check seed epochs accuracy status"
    assert lines[4:7] == [
        "snip 0.9 2 1/4 44.00 unfinished",
        "snip 0.9 10 4/4 91.25 trained",
        "snip 0.9 rearrange-mask 0 0/4 collapsed: fc: no weight is left",
    ]


def test_what_no_run_has_is_not_said_above_the_table_and_a_masks_sparsity_is_no_longer_than_others(call: Call) -> None:
    for method, sparsity in (("snip", 0.9), ("mask:ticket.pt", 0.900003), ("synflow", 0.9), ("synflow", 0.900003)):
        put(SPEC.changed(model="mlp", width=None, method=method, sparsity=sparsity), TRAINED)
    lines = [" ".join(line.split()) for line in call("results").stdout.splitlines()]
    assert lines[0] == "4 runs, dataset digits, model mlp"
    named = [" ".join(line.split()[:2]) for line in lines if "trained" in line]
    assert named == ["mask:ticket.pt 0.9", "snip 0.9", "synflow 0.9", "synflow 0.900003"]


@pytest.mark.usefixtures("runs")
def test_what_tells_runs_apart_has_a_column(call: Call) -> None:
    put(SPEC.changed(seed=2, recipe=replace(SPEC.setting.recipe, learning_rate=0.3)), TRAINED)
    put(replace(SPEC, seed=77, samples_per_class=9), TRAINED)
    lines = [" ".join(line.split()) for line in call("results").stdout.splitlines()]
    assert lines[2] == "method sparsity check seed learning rate epochs accuracy status"
    assert "snip 0.9 2 0.1 1/4 44.00 unfinished" in lines
    assert "snip 0.9 2 0.3 4/4 91.25 trained" in lines


def test_csv_and_json_hold_the_whole_table(call: Call, runs: list[Path]) -> None:
    expected = load_results("runs")
    assert call("results", "runs", "--csv").stdout == expected.to_csv(index=False)
    printed = json.loads(call("results", "--json").stdout)
    objects = printed["runs"]
    assert (printed["schema"], printed["unreadable"]) == (1, [])
    assert sorted(row["folder"] for row in objects) == sorted(map(str, runs))
    assert list(objects[0]) == list(expected.columns)
    by_seed = {row["seed"]: row for row in objects}
    assert (by_seed[10]["accuracy"], by_seed[2]["accuracy"], by_seed[2]["epochs_done"]) == (91.25, None, 1)
    assert isinstance(by_seed[10]["seed"], int)


def test_several_folders_and_single_runs(call: Call, runs: list[Path]) -> None:
    put(SPEC.changed(dataset="cifar10"), TRAINED, Path("others"))
    rows = list(csv.DictReader(io.StringIO(call("results", "others", str(runs[0]), "--csv").stdout)))
    assert [(row["dataset"], row["seed"]) for row in rows] == [("cifar10", "0"), ("digits", "10")]
    assert call("results", "others").stdout.startswith("1 run, dataset cifar10, ")


def test_a_parquet_file_holds_the_whole_table(call: Call, runs: list[Path]) -> None:
    pytest.importorskip("pyarrow")
    import pandas as pd  # type: ignore[import-untyped]

    for _ in range(2):  # it may take its own place
        ended = call("results", "--parquet", "table.parquet")
        assert ended.code == 0
        assert ended.stdout == "wrote table.parquet: 3 runs\n"
    table = pd.read_parquet("table.parquet")
    expected = load_results("runs")
    assert table.to_csv() == expected.to_csv()
    assert table["seed"].dtype == expected["seed"].dtype == "Int64"
    assert len(runs) == len(table)


@pytest.mark.usefixtures("runs")
def test_a_parquet_file_takes_no_strangers_place(refused: Refused) -> None:
    pytest.importorskip("pyarrow")
    Path("notes").write_text("mine")
    Path("folder").mkdir()
    for name, wrong in (("notes", "exists and holds something else"), ("folder", "is a folder")):
        assert f"{name} {wrong}" in refused("results", "--parquet", name)
    assert Path("notes").read_text() == "mine"
    assert "there is no folder nowhere" in refused("results", "--parquet", "nowhere/table.parquet")


def test_without_pyarrow_it_is_said_how_to_get_it(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    said = refused("results", "--parquet", "table.parquet")
    assert said == "--parquet needs pyarrow, which is not installed: pip install 'prunecheck[parquet]'."


def test_what_cannot_be_read_is_said_beside_the_rest(call: Call, runs: list[Path]) -> None:
    (runs[0] / "result.json").write_text("{")
    ended = call("results")
    assert ended.code == 0
    assert ended.stdout.startswith("2 runs")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("prunecheck: left out what cannot be read: ")
    assert str(runs[0]) in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there is no folder runs"),
        (["nowhere"], "there is no folder nowhere"),
        (["."], "holds no runs"),
        (["--csv", "--json"], "give one of --csv, --json and --parquet"),
        (["--csv", "--parquet", "x"], "give one of --csv, --json and --parquet"),
    ],
)
def test_wrong_input_is_refused(refused: Refused, arguments: list[str], said: str) -> None:
    assert said in refused("results", *arguments)


def test_a_study_that_has_just_begun_has_no_runs(call: Call) -> None:
    with RunStore(Path("runs")).locked():
        ended = call("results")
    assert (ended.code, ended.stdout) == (0, "0 runs\n")
