import json
import subprocess
import sys
import textwrap

import pytest

from benchmarks import __main__ as benchmarks

ON_A_BARE_MACHINE = textwrap.dedent(
    """
    import runpy, sys

    for name in ("scipy", "sklearn", "safetensors", "PIL", "pooch", "pandas", "cyclopts", "rich",
                 "distributed", "dask", "tensorboard", "psutil", "pyarrow"):
        sys.modules[name] = None
    runpy.run_module("benchmarks", run_name="__main__", alter_sys=True)
    """
)
SMALL = ["--models", "resnet8", "--width", "8", "--sparsity", "0.9", "--batch-size", "4", "--batches", "2"]


@pytest.mark.slow
def test_training_is_timed_with_nothing_but_torch_and_numpy() -> None:
    command = [
        sys.executable,
        "-c",
        ON_A_BARE_MACHINE,
        "training",
        "speed",
        "width",
        "operators",
        *SMALL,
        "--repeats",
        "2",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr

    found = json.loads(done.stdout)
    assert list(found) == ["command", "machine", "recipe", "speed", "width", "operators"]
    assert set(found["machine"]["share_of_time_waited_for_a_processor"]) == {"speed", "width", "operators"}
    rows = found["speed"]["resnet8"]["rows"]
    assert rows[0]["ratio"] == {"median": 1, "minimum": 1, "maximum": 1}
    assert all(len(row["seconds_per_step"]) == 2 for row in rows)
    used = {row["name"]: row["used"] for row in rows}
    assert used["prunecheck's loop alone"] == used["plain loop"] == []
    assert used["loop + channels last"] == used["plain + channels last"] == ["channels_last"]
    for row in rows:
        assert row["images_per_second"] == pytest.approx(4 / row["step"]["median"])
        assert row["tickets_per_hour"] == pytest.approx(3600 / (2_000_000 * row["step"]["median"]))
        assert row["name"] in done.stderr
        times = [before / after for before, after in zip(*(r["seconds_per_step"] for r in (rows[0], row)), strict=True)]
        assert row["ratio"]["minimum"] == pytest.approx(min(times))
    for result in found["operators"]["resnet8"].values():
        shown = sum(operator["milliseconds"] for operator in result["operators"])
        assert shown + result["rest_milliseconds"] == pytest.approx(result["step_milliseconds"])
        assert result["rest_milliseconds"] > 0
        assert sum(operator["share"] for operator in result["operators"]) == pytest.approx(
            shown / result["step_milliseconds"]
        )
        assert any("conv" in operator["name"].lower() for operator in result["operators"])


def test_tables_fit_a_narrow_terminal() -> None:
    from benchmarks.training.speed import ratio_to, row, rows_table

    slow = [1.2345, 1.1, 9.9876]
    rows = [row("all but sparse convolutions", slow, 64) | ratio_to("plain loop", slow, slow)]

    assert max(len(line) for line in rows_table("resnet32, 98.0%", rows).split("\n")) <= 80


def test_all_benchmarks_are_listed_without_being_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--help"])
    monkeypatch.setattr("importlib.import_module", lambda name: pytest.fail(f"{name} was imported"))

    with pytest.raises(SystemExit):
        benchmarks.main()

    listed = capsys.readouterr().out
    assert all(name in listed for name in benchmarks.BENCHMARKS)
    assert all(benchmarks.summary(module).endswith(".") for module in benchmarks.BENCHMARKS.values())


@pytest.mark.parametrize("name", benchmarks.BENCHMARKS)
def test_each_benchmark_has_its_command(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", name, "--help"])

    with pytest.raises(SystemExit) as ended:
        benchmarks.main()

    assert ended.value.code == 0
    assert capsys.readouterr().out.count("--") > len(["--help"])


def test_what_no_ticket_can_be_made_for_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "training", "--models", "resnet9"])

    with pytest.raises(SystemExit) as ended:
        benchmarks.main()

    assert ended.value.code == 2
    assert "resnet9 does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"), [(["nonsense"], "choose of speed, sparsity"), (["--device", "meta"], "cpu or cuda")]
)
def test_what_cannot_be_measured_is_refused(arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "training", *arguments])

    with pytest.raises(SystemExit, match=says):
        benchmarks.main()
