"""What the runs of a check take, part by part: training and testing, and what is done beside them."""

import argparse
import contextlib
import functools
import gc
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import prunecheck
from benchmarks.tables import table
from prunecheck.engine import execution, executors
from prunecheck.pruning.criteria import Criterion
from prunecheck.runs.store import RunFolder
from prunecheck.runs.tensorboard import Curves
from prunecheck.training import loop
from prunecheck.training.metrics import Tally
from prunecheck.training.network_builder import NetworkBuilder

TRAINING, TESTS, REST = "training steps, batches", "tests", "the rest"

PARTS: tuple[tuple[str, Any, str], ...] = (
    (REST, executors, "execute_locked"),
    (TRAINING, loop, "_each"),
    (TRAINING, Tally, "take"),
    (TESTS, loop, "testing_step"),
    ("building the network", execution, "build_network"),
    ("scoring", Criterion, "__call__"),
    ("making the ticket", execution, "build_ticket"),
    ("compiling the ticket", NetworkBuilder, "build"),
    *(("files", RunFolder, f"write_{name}") for name in ("ticket", "checkpoint", "result")),
    ("files", RunFolder, "log"),
    ("files", Curves, "add"),
)
"""What is timed: the name of the part, and the function, without what others of these do within it."""


class Clock:
    """Counts seconds per part, of the processor and by the clock; those within another part are taken off that."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self.calls: dict[str, int] = defaultdict(int)
        self._within: list[list[float]] = []

    @contextlib.contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Count the block as one of a part."""
        began = time.process_time(), time.perf_counter()
        self._within.append([0.0, 0.0])
        try:
            yield
        finally:
            taken = [time.process_time() - began[0], time.perf_counter() - began[1]]
            inner = self._within.pop()
            for kind in range(2):
                self.seconds[part][kind] += taken[kind] - inner[kind]
                if self._within:
                    self._within[-1][kind] += taken[kind]

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that is counted, or one whose iterator is."""

        @functools.wraps(function)
        def counted(*args: Any, **named: Any) -> Any:
            self.calls[part] += 1
            with self.of(part):
                returned = function(*args, **named)
            return self._iterated(part, returned) if isinstance(returned, Iterator) else returned

        return counted

    def _iterated(self, part: str, iterator: Iterator[Any]) -> Iterator[Any]:
        while True:
            with self.of(part):
                item = next(iterator, self)
            if item is self:
                return
            yield item


@contextlib.contextmanager
def counting(clock: Clock) -> Iterator[None]:
    """Have a clock count what :data:`PARTS` names, within the block."""
    before = [(owner, name, getattr(owner, name)) for _, owner, name in PARTS]
    try:
        for (part, owner, name), (*_, function) in zip(PARTS, before, strict=True):
            setattr(owner, name, clock.timed(part, function))
        yield
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


def add_command(commands: Any) -> None:
    """Add ``run-parts`` to the benchmarks' command line."""
    parser = commands.add_parser("run-parts", help=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--method", default="snip")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="those of the digits' recipe unless given")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Measure and print a table."""
    clock = measured(arguments.method, arguments.seeds, arguments.epochs)
    runs, whole = clock.calls[REST], [sum(seconds[kind] for seconds in clock.seconds.values()) for kind in range(2)]
    rows = [row(part, clock.seconds[part], whole, runs) for part in dict.fromkeys(part for part, *_ in PARTS)]
    beside = [
        sum(seconds[kind] for part, seconds in clock.seconds.items() if part not in (TRAINING, TESTS))
        for kind in range(2)
    ]
    rows += [row("neither training nor tests", beside, whole, runs), row("together", whole, whole, runs)]
    print(f"{arguments.method}, a mean of {runs} runs, milliseconds each")
    print(table(["part", "processor", "share", "wall", "share"], rows))


def row(part: str, seconds: list[float], whole: list[float], runs: int) -> list[str]:
    """Return a line of the table."""
    cells = [part]
    for taken, total in zip(seconds, whole, strict=True):
        cells += [f"{1000 * taken / runs:.1f}", f"{taken / total:.1%}"]
    return cells


def measured(method: str, seeds: int, epochs: int | None) -> Clock:
    """Return a clock that counted a check's runs in this process, after one of smaller networks uncounted.

    What is there by then is left out of collections, as it is in worker processes.
    """
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {"workers": 1, "quiet": True} | ({} if epochs is None else {"epochs": epochs})
        prunecheck.check(method, seeds=1, width=8, out=Path(folder) / "first", **options)
        gc.freeze()
        try:
            with counting(clock):
                prunecheck.check(method, seeds=seeds, out=Path(folder) / "counted", **options)
        finally:
            gc.unfreeze()
    return clock
