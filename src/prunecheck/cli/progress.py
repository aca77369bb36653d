"""How far a command is, and the time left: a live bar in a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

from prunecheck.studies import EpochDone, Event, RunSpec

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Counts epochs of the runs that are missing, on stderr.

    Args:
        missing: the runs that are going to be done.
        total: how many runs the study has, those done before included.
        quiet: whether to show nothing at all.
    """

    def __init__(self, missing: Sequence[RunSpec], total: int, quiet: bool) -> None:
        self._epochs = {run.hash: 0 for run in missing}
        self._planned = {run.hash: run.recipe.epochs for run in missing}
        self._total = total
        self._finished = total - len(missing)
        self._failed_to_train = 0
        self._quiet = quiet or not missing
        self._begun = self._said = time.monotonic()
        self._live: tuple[Bar, TaskID] | None = None

    def __enter__(self) -> Self:
        if not self._quiet and sys.stderr.isatty():
            columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %")
            bar = Bar(*columns, console=Console(file=sys.stderr), transient=True)
            self._live = bar, bar.add_task(self._text(), total=sum(self._planned.values()))
            bar.start()
        elif not self._quiet:
            self._line()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live[0].stop()
        if not self._quiet and error is None:
            seconds = time.monotonic() - self._begun
            print(f"{self._finished} of {self._total} runs done in {_duration(seconds)}", file=sys.stderr)

    def update(self, event: Event) -> None:
        """Take in an event and show it."""
        key = event.spec.hash
        if isinstance(event, EpochDone):
            self._epochs[key] = max(self._epochs[key], event.epoch)
        else:
            self._epochs[key] = self._planned[key]
            self._finished += 1
            self._failed_to_train += event.result.status != "trained"
        if self._live:
            bar, task = self._live
            bar.update(task, completed=sum(self._epochs.values()), description=self._text())
        elif not self._quiet and time.monotonic() - self._said >= SECONDS_BETWEEN_LINES:
            self._line()

    def _line(self) -> None:
        self._said = time.monotonic()
        print(self._text(), file=sys.stderr, flush=True)

    def _text(self) -> str:
        done, planned = sum(self._epochs.values()), sum(self._planned.values())
        text = f"{self._finished} of {self._total} runs, {done} of {planned} epochs"
        if self._failed_to_train:
            text += f", {self._failed_to_train} collapsed"
        if done:
            left = (time.monotonic() - self._begun) / done * (planned - done)
            text += f", about {_duration(left)} left"
        return text


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
