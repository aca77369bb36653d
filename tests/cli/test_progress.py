import pytest

from prunecheck.cli.progress import Progress
from prunecheck.pruning import Collapse
from prunecheck.studies import EpochDone, RunDone, RunResult, RunSpec
from prunecheck.training import Recipe

RUNS = [
    RunSpec("digits", "resnet8", 4, "snip", None, 0.9, None, 1, seed, Recipe(epochs=4, milestones=(2, 3)))
    for seed in range(3)
]
TRAINED = RunResult("trained", 90.0, 91.0, 4, 0.9, {}, None, 1.0, {})
COLLAPSED = RunResult("collapsed", None, None, 0, 0.9, {}, Collapse("fc", "no weight is left"), 1.0, {})


@pytest.fixture(autouse=True)
def _every_event_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prunecheck.cli.progress.SECONDS_BETWEEN_LINES", 0.0)


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
        "2 of 5 runs, 0 of 12 epochs",
        "2 of 5 runs, 1 of 12 epochs",
        "2 of 5 runs, 3 of 12 epochs",
        "3 of 5 runs, 7 of 12 epochs, 1 collapsed",
        "4 of 5 runs, 8 of 12 epochs, 1 collapsed",
        "5 of 5 runs, 12 of 12 epochs, 1 collapsed",
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
