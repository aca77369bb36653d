"""How far the runs of a folder are, and whether a command is at work there: seen from outside of it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from prunecheck.errors import InputError
from prunecheck.io import is_locked
from prunecheck.runs.index import FoundRun, UnreadableRun, find_runs, require_root
from prunecheck.runs.store import LOCK, PLANNED, STOP, Planned, RunStore

RUNNING = "running"
INTERRUPTED = "interrupted"

STATES = ("trained", "collapsed", "diverged", "failed", RUNNING, INTERRUPTED)
"""What a run can be, as :meth:`State.counts` counts it."""


@dataclass(frozen=True)
class State:
    """A folder of runs at one moment.

    Attributes:
        at_work: whether a command does runs there.
        stopping: whether it was asked to stop.
        runs: all runs that were begun.
        running: those that the command at work has begun or gone on with, and not finished.
        planned: the runs of the study at work or, if none is, of the latest; None if there is none.
        unreadable: folders of which nothing can be told.
    """

    at_work: bool
    stopping: bool
    runs: tuple[FoundRun, ...]
    running: tuple[FoundRun, ...]
    planned: Planned | None
    unreadable: tuple[UnreadableRun, ...]

    def counts(self) -> dict[str, int]:
        """Return how many runs are in each of :data:`STATES`."""
        counted = Counter(run.status for run in self.runs if run.result)
        counted[RUNNING] = len(self.running)
        counted[INTERRUPTED] = sum(run.result is None for run in self.runs) - len(self.running)
        return {state: counted[state] for state in STATES}

    @property
    def planned_done(self) -> int:
        """How many of the planned runs have ended, in whatever way."""
        names = self.planned.names if self.planned else ()
        return sum(run.result is not None and run.path.name in names for run in self.runs)

    @property
    def untrained(self) -> tuple[FoundRun, ...]:
        """The runs that ended otherwise than trained."""
        return tuple(run for run in self.runs if run.result and run.status != "trained")

    @property
    def epochs_done(self) -> int:
        """How many epochs all runs have done together."""
        return sum(run.epochs_done for run in self.runs)


def look_at(root: Path) -> State:
    """Return the state of a folder of runs; nothing in it is changed.

    Raises:
        InputError: there is no such folder, it holds no runs, or it is a run's own.
    """
    require_root(root)
    found = find_runs([root])
    at_work = is_at_work(root)
    running: tuple[FoundRun, ...] = ()
    planned = RunStore(root).planned()
    if at_work:
        began = (root / LOCK).stat().st_mtime_ns
        if planned is not None and (root / PLANNED).stat().st_mtime_ns < began:
            planned = None  # those of an earlier command
        running = tuple(run for run in found.runs if run.result is None and _was_touched_since(run.path, began))
    stopping = at_work and (root / STOP).exists()
    return State(at_work, stopping, found.runs, running, planned, found.unreadable)


def request_stop(root: Path) -> None:
    """Ask the command that is at work in a folder to end its epochs, save and stop.

    Raises:
        InputError: there is no such folder, it holds no runs, or nothing is at work in it.
    """
    require_root(root)
    if not is_at_work(root):
        raise InputError(f"no prunecheck is at work in {root}, so there is nothing to stop.")
    RunStore(root).request_stop()


def is_at_work(root: Path) -> bool:
    """Say whether a command holds a folder's lock."""
    return is_locked(root / LOCK)


def _was_touched_since(path: Path, nanoseconds: int) -> bool:
    """Say whether a run's files were written since: the log says when a run begins, the others each epoch."""
    return any(entry.stat().st_mtime_ns >= nanoseconds for entry in path.iterdir() if not entry.name.startswith("."))
