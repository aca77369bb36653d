import contextlib
import io
import os
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from prunecheck.api.progress import Progress
from prunecheck.engine.executors import EpochDone, RunDone
from prunecheck.training import Recipe
from tests.cli.runs import COLLAPSED, FAILED, SPEC, TRAINED

RUNS = [
    SPEC.changed(seed=seed, check=check, recipe=Recipe(epochs=20))
    for seed in range(8)
    for check in (None, "rearrange-mask")
]
FAILED_IN_BRACKETS = replace(FAILED, reason="RuntimeError: no luck [at all]")


def drawn(progress: Progress, width: int = 80, height: int = 25) -> list[str]:
    """Return the lines that a terminal shows."""
    file = io.StringIO()
    Console(file=file, width=width, height=height, force_terminal=True, color_system=None).print(progress)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return [" ".join(line.split()) for line in lines]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the time is, which passes when it is told to."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr("prunecheck.api.progress.time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def progress() -> Progress:
    return Progress(RUNS, total=20, quiet=False)


def test_running_runs_are_shown_by_what_tells_them_apart(progress: Progress) -> None:
    progress.update(EpochDone(RUNS[3], 2, 31.06))
    progress.update(EpochDone(RUNS[0], 5, 50.0))
    progress.update(EpochDone(RUNS[3], 3, 33.0))
    for width in (80, 120):
        assert drawn(progress, width)[:2] == [
            "snip 0.9 seed 0 epoch 5/20 50.0 %",
            "snip 0.9 rearrange-mask seed 1 epoch 3/20 33.0 %",
        ]


def test_a_run_that_has_ended_is_running_no_more(progress: Progress) -> None:
    progress.update(EpochDone(RUNS[0], 19, 50.0))
    progress.update(RunDone(RUNS[0], TRAINED))
    progress.update(EpochDone(RUNS[0], 20, 50.0))  # news that were under way
    lines = drawn(progress)
    assert not any("epoch " in line for line in lines)
    assert lines[-2] == "5 of 20 runs done"


def test_counts_bar_speed_and_time_left(progress: Progress, clock: SimpleNamespace) -> None:
    progress.update(RunDone(RUNS[1], COLLAPSED))
    progress.update(RunDone(RUNS[2], FAILED))
    progress.update(EpochDone(RUNS[0], 1, 50.0))
    assert drawn(progress)[-1] == "41 of 320 missing epochs"
    clock.now += 4
    progress.update(EpochDone(RUNS[0], 2, 50.0))
    lines = drawn(progress)
    assert lines[-3].endswith("13 %")
    assert lines[-2] == "6 of 20 runs done, 1 running, 1 collapsed, 1 failed"
    assert lines[-1] == "42 of 320 missing epochs, 4.0 seconds an epoch, about 18 min 32 s left"


def test_the_speed_is_that_of_late(progress: Progress, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prunecheck.api.progress.RECENT_EPOCHS", 5)
    progress = Progress(RUNS, total=20, quiet=False)
    for epoch in range(20):
        clock.now += 100 if epoch < 10 else 0.5
        progress.update(EpochDone(RUNS[0], epoch + 1, 50.0))
    assert drawn(progress)[-1] == "20 of 320 missing epochs, 2.0 epochs a second, about 2 min 30 s left"


def test_more_running_runs_than_lines_are_counted(progress: Progress) -> None:
    for run in RUNS[:10]:
        progress.update(EpochDone(run, 1, 50.0))
    progress.update(EpochDone(RUNS[0], 2, 51.0))
    lines = drawn(progress, height=9)
    assert len(lines) == 4 + 3
    assert lines[0] == "and 7 others"
    # The latest news, in the order of the runs.
    assert [line.partition(" epoch")[0] for line in lines[1:4]] == [
        "snip 0.9 seed 0",
        "snip 0.9 seed 4",
        "snip 0.9 rearrange-mask seed 4",
    ]
    assert lines[5] == "4 of 20 runs done, 10 running"


@contextlib.contextmanager
def terminal(kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Let stderr be a terminal, and give what was written to it, which is complete in the end."""
    reader, writer = os.openpty()
    monkeypatch.setenv("TERM", kind)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    received: list[bytes] = []

    def read_all() -> None:
        with contextlib.suppress(OSError):  # the end of a terminal
            while part := os.read(reader, 4096):
                received.append(part)

    # All the time, as terminals do: what is written waits for it.
    thread = threading.Thread(target=read_all, daemon=True)
    thread.start()
    with os.fdopen(writer, "w") as stderr, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", stderr)
        yield received
    thread.join(timeout=30)
    os.close(reader)


def text_of(received: list[bytes]) -> str:
    """Without what moves the cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(received).decode())


def test_in_a_terminal_the_table_is_live_and_failures_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal("xterm", monkeypatch) as received, Progress(RUNS, total=20, quiet=False) as progress:
        progress.update(EpochDone(RUNS[0], 2, 50.0))
        progress.update(RunDone(RUNS[1], FAILED_IN_BRACKETS))
    shown = text_of(received)
    assert "snip 0.9 rearrange-mask seed 0 failed: RuntimeError: no luck [at all]" in shown
    assert "5 of 20 runs done, 1 running, 1 failed" in shown
    assert shown.splitlines()[-1].startswith("5 of 20 runs done in ")


def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal("dumb", monkeypatch) as received, Progress(RUNS, total=20, quiet=False):
        pass
    assert text_of(received).splitlines()[0] == "4 of 20 runs, 0 of 320 missing epochs"
