from dataclasses import replace
from types import SimpleNamespace

import pytest

from prunecheck.api.progress import Progress
from prunecheck.engine.executors import EpochDone, RunDone
from prunecheck.runs.spec import RunSpec
from tests.cli.runs import COLLAPSED, FAILED, SPEC, TRAINED

RUNS = [replace(SPEC, seed=seed) for seed in range(3)]


@pytest.fixture(autouse=True)
def _every_event_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prunecheck.api.displays.SECONDS_BETWEEN_LINES", 0.0)


def test_runs_and_epochs_are_counted_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(RUNS, total=5, quiet=False) as progress:
        progress.update(EpochDone(RUNS[0], 1, 50.0))
        progress.update(EpochDone(RUNS[0], 3, 60.0))
        progress.update(RunDone(RUNS[1], COLLAPSED))
        progress.update(RunDone(RUNS[0], TRAINED))
        progress.update(RunDone(RUNS[2], TRAINED))
    printed = capsys.readouterr()
    counts = [line.split(", about")[0] for line in printed.err.splitlines()]
    assert printed.out == ""
    assert counts[:-1] == [
        "2 of 5 runs, 0 of 12 missing epochs",
        "2 of 5 runs, 1 of 12 missing epochs",
        "2 of 5 runs, 3 of 12 missing epochs",
        "3 of 5 runs, 7 of 12 missing epochs, 1 collapsed",
        "4 of 5 runs, 8 of 12 missing epochs, 1 collapsed",
        "5 of 5 runs, 12 of 12 missing epochs, 1 collapsed",
    ]
    assert counts[-1].startswith("5 of 5 runs done in ")


def test_epochs_that_come_out_of_order_are_not_counted_back(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(RUNS[:1], total=1, quiet=False) as progress:
        progress.update(EpochDone(RUNS[0], 3, 60.0))
        progress.update(EpochDone(RUNS[0], 2, 50.0))
    assert "3 of 4 epochs" in capsys.readouterr().err.splitlines()[2]


@pytest.mark.parametrize(("missing", "quiet"), [(RUNS, True), ([], False)])
def test_nothing_is_said_if_quiet_or_if_nothing_is_to_do(
    missing: list[RunSpec], quiet: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress(missing, total=3, quiet=quiet) as progress:
        for run in missing:
            progress.update(EpochDone(run, 1, 50.0))
            progress.update(RunDone(run, TRAINED))
    assert capsys.readouterr() == ("", "")


def test_an_interruption_is_not_said_to_be_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), Progress(RUNS, total=3, quiet=False):
        raise KeyboardInterrupt
    assert "done" not in capsys.readouterr().err


def test_tickets_that_collapsed_and_runs_that_failed_are_counted_apart(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(RUNS, total=3, quiet=False) as progress:
        for run, result in zip(RUNS, (COLLAPSED, FAILED, COLLAPSED), strict=True):
            progress.update(RunDone(run, result))
    *_, last, end = capsys.readouterr().err.splitlines()
    assert last == "3 of 3 runs, 12 of 12 epochs, 2 collapsed, 1 failed"
    assert end.startswith("3 of 3 runs done in ")


def test_the_time_left_is_counted_from_the_first_epoch_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1000.0
    monkeypatch.setattr("prunecheck.api.progress.time", SimpleNamespace(monotonic=lambda: now))
    with Progress(RUNS, total=3, quiet=False) as progress:
        now += 500.0  # until the workers are there
        progress.update(EpochDone(RUNS[0], 1, 50.0))
        now += 600.0
        progress.update(EpochDone(RUNS[0], 2, 50.0))
        now += 400.0
        progress.update(EpochDone(RUNS[1], 1, 50.0))
    counts = [line.partition(" epochs")[2] for line in capsys.readouterr().err.splitlines()]
    assert counts[:4] == ["", "", ", about 1 h 40 min left", ", about 1 h 15 min left"]


def test_what_earlier_calls_have_done_does_not_make_it_faster(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr("prunecheck.api.progress.time", SimpleNamespace(monotonic=lambda: now))
    with Progress(RUNS[:1], total=3, quiet=False) as progress:
        progress.update(EpochDone(RUNS[0], 2, 50.0))  # goes on where it was interrupted
        now += 30.0
        progress.update(EpochDone(RUNS[0], 3, 50.0))
    assert capsys.readouterr().err.splitlines()[2] == "2 of 3 runs, 3 of 4 missing epochs, about 30 s left"
