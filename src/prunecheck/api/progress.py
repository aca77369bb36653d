"""How far the runs of a study are, and the time left."""

import time
from collections import Counter, deque
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from prunecheck.api.displays import Display, find_display
from prunecheck.engine.events import EpochDone, Event, RunDone
from prunecheck.runs.names import distinguishing_columns, run_name
from prunecheck.runs.result import Status
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.table import spec_row

RECENT_EPOCHS = 200
"""From how many the speed is taken, for later runs may be slower or faster than earlier ones."""

LINES_BELOW = 5
"""What the running runs leave of the terminal to the bar, the counts and what was printed before."""

PERCENT_WIDTH = 6


class Progress:
    """Counts epochs of the runs that are missing, and shows them where the user looks.

    Args:
        missing: the runs that are going to be done.
        total: how many runs the study has, those done before included.
        quiet: whether to show nothing at all.
        later: how many more runs the study has, which are not planned yet; as long as those that are missing.
    """

    def __init__(self, missing: Sequence[RunSpec], total: int, quiet: bool, later: int = 0) -> None:
        self._epochs = {run.hash: 0 for run in missing}
        # The test of a ticket that is not trained counts as one epoch does.
        self._planned = {run.hash: max(1, run.epochs) for run in missing}
        self._unit = "epochs" if all(run.epochs for run in missing) else "epochs and tests"
        self._total = total + later
        self._all_epochs = sum(self._planned.values())
        self._all_epochs += round(self._all_epochs / len(missing) * later) if missing else 0
        self._finished = total - len(missing)
        if self._finished:  # their epochs are not counted
            self._unit = f"missing {self._unit}"
        self._untrained: Counter[str] = Counter()
        self._display: Display | None = None if quiet or not missing else find_display()
        self._begun = time.monotonic()
        self._times: deque[float] = deque(maxlen=RECENT_EPOCHS)
        self._running: dict[str, EpochDone] = {}
        self._accuracies: dict[str, float] = {}
        self._ended: set[str] = set()
        self._order = {run.hash: number for number, run in enumerate(missing)}
        self._columns = distinguishing_columns([spec_row(run) for run in missing])

    def __enter__(self) -> Self:
        if self._display:
            self._display.start(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._display is None:
            return
        duration = _duration(time.monotonic() - self._begun)
        self._display.end(None if error else f"{self._finished} of {self._total} runs done in {duration}")

    def update(self, event: Event) -> None:
        """Take in an event and show it."""
        if isinstance(event, EpochDone):
            self._take_epoch(event)
        else:
            self._take_end(event)
        if self._display:
            self._display.update(self)

    def _take_epoch(self, event: EpochDone) -> None:
        key = event.spec.hash
        self._epochs[key] = max(self._epochs[key], event.epoch)
        if event.accuracy is not None:
            self._accuracies[key] = event.accuracy
        self._times.append(time.monotonic())
        # News of epochs may come after those of the end.
        if key not in self._ended:
            self._running.pop(key, None)
            self._running[key] = event  # anew, so that those with the latest news are last

    def _take_end(self, event: RunDone) -> None:
        key, result = event.spec.hash, event.result
        self._epochs[key] = self._planned[key]
        if not event.spec.epochs:
            self._times.append(time.monotonic())
        self._finished += 1
        self._ended.add(key)
        self._running.pop(key, None)
        if result.status is not Status.TRAINED:
            self._untrained[result.status] += 1
        if self._display and result.status is Status.FAILED:
            self._display.say(f"{self._name(event.spec)} failed: {result.reason}")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the running runs, a bar, and the counts."""
        done, planned = sum(self._epochs.values()), self._all_epochs
        yield self._running_table(max(console.height - LINES_BELOW, 1))
        bar = Table.grid(padding=(0, 1), expand=True)
        bar.add_column(ratio=1)
        bar.add_column(justify="right", width=PERCENT_WIDTH)
        bar.add_row(ProgressBar(total=planned, completed=done), f"{100 * done / planned:.0f} %")
        yield bar
        running = f", {len(self._running)} running" if self._running else ""
        yield Text(f"{self._finished} of {self._total} runs done{running}{self._untrained_text()}")
        each = self._seconds_per_epoch()
        speed = "" if each is None else f", {_speed(each)}, {self._left_text(each)}"
        yield Text(f"{done} of {planned} {self._unit}{speed}")

    def _running_table(self, lines: int) -> Table:
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        table.add_column(justify="right", no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        events = list(self._running.values())  # a copy: the terminal is drawn by another thread
        hidden = len(events) - lines
        if hidden > 0:
            events = events[hidden + 1 :]
            table.add_row(f"and {hidden + 1} others", "", "")
        for event in sorted(events, key=lambda event: self._order[event.spec.hash]):
            epochs = f"epoch {self._epochs[event.spec.hash]}/{self._planned[event.spec.hash]}"
            accuracy = self._accuracies.get(event.spec.hash)
            table.add_row(self._name(event.spec), epochs, "" if accuracy is None else f"{accuracy:.1f} %")
        return table

    def _name(self, spec: RunSpec) -> str:
        return run_name(spec_row(spec), self._columns)

    def __str__(self) -> str:
        """Return the counts in one line."""
        each = self._seconds_per_epoch()
        left = "" if each is None else f", {self._left_text(each)}"
        done, planned = sum(self._epochs.values()), self._all_epochs
        return f"{self._finished} of {self._total} runs, {done} of {planned} {self._unit}{self._untrained_text()}{left}"

    def _untrained_text(self) -> str:
        return "".join(f", {count} {status}" for status, count in list(self._untrained.items()))

    def _seconds_per_epoch(self) -> float | None:
        """Return how long an epoch takes, of all workers together; None before the second one.

        Neither the start of workers nor what earlier calls have done says anything about it.
        """
        times = list(self._times)
        return (time.monotonic() - times[0]) / (len(times) - 1) if len(times) > 1 else None

    def _left_text(self, seconds_per_epoch: float) -> str:
        left = self._all_epochs - sum(self._epochs.values())
        return f"about {_duration(seconds_per_epoch * left)} left"


def _speed(seconds_per_epoch: float) -> str:
    if seconds_per_epoch < 1:
        return f"{1 / max(seconds_per_epoch, 1e-3):.1f} epochs a second"
    return f"{seconds_per_epoch:.1f} seconds an epoch"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
