"""The runs that folders hold, the half-finished ones too, as they are found on disk."""

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from prunecheck.caching import without_garbage_collection
from prunecheck.errors import InputError
from prunecheck.plain_files import read_plain_text
from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import LOCK, METRICS, RESULT, SPEC, read_result, read_spec

UNFINISHED = "unfinished"
"""The status of a run that has no result yet: it is going on, or was interrupted."""


@dataclass(frozen=True)
class FoundRun:
    """A run as its folder shows it.

    Attributes:
        path: its folder.
        result: None unless the run is complete.
        epochs_done: the epochs that were trained and written down.
        latest_accuracy: test accuracy after the last of them that was tested after, percent; None before the first.
    """

    path: Path
    spec: RunSpec
    result: RunResult | None
    epochs_done: int
    latest_accuracy: float | None

    @property
    def status(self) -> str:
        """The result's status, or ``unfinished``."""
        return self.result.status if self.result else UNFINISHED

    @property
    def reason(self) -> str | None:
        """Why it failed or collapsed."""
        if self.result is None:
            return None
        return self.result.reason or (str(self.result.collapse) if self.result.collapse else None)


@dataclass(frozen=True)
class UnreadableRun:
    """A folder that looks like a run's and cannot be read, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path} ({self.reason})"


@dataclass(frozen=True)
class FoundRuns:
    """What some folders hold: each run once, by folder name."""

    runs: tuple[FoundRun, ...]
    unreadable: tuple[UnreadableRun, ...]


def find_runs(folders: Iterable[Path], known: Mapping[RunSpec, RunResult] = MappingProxyType({})) -> FoundRuns:
    """Read the runs of folders; nothing is changed, and commands may be at work in them.

    A run that lies in several of the folders is given once: where it is complete or, if it is so
    nowhere or in several, from the first of those that have most of it.

    Args:
        folders: that runs were written to, or of single runs.
        known: what was read of them before and is not read again.

    Raises:
        InputError: there is no such folder, or it holds no runs.
    """
    read = {spec.folder_name: (spec, result) for spec, result in known.items()}
    runs: dict[RunSpec, FoundRun] = {}
    unreadable = {}
    with without_garbage_collection():
        for path in itertools.chain.from_iterable(map(_run_paths, folders)):
            try:
                run = _finished(path, *read[path.name]) if path.name in read else read_run(path)
            except FileNotFoundError:
                continue  # removed meanwhile
            except (OSError, ValueError, InputError) as error:
                unreadable[path] = UnreadableRun(path, " ".join(str(error).split()).rstrip("."))
                continue
            other = runs.get(run.spec)
            if other is None or _how_much(run) > _how_much(other):
                runs[run.spec] = run
    return FoundRuns(tuple(sorted(runs.values(), key=lambda run: str(run.path))), tuple(unreadable.values()))


def recorded_specs(root: Path) -> Iterator[RunSpec]:
    """Yield the specs of a root's runs, half-finished ones too; those that cannot be read are left out."""
    with os.scandir(root) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir())
    for path in map(root.joinpath, names):
        with contextlib.suppress(OSError, ValueError, InputError):
            yield read_spec(path)


def _how_much(run: FoundRun) -> tuple[bool, int]:
    return run.result is not None, run.epochs_done


def require_root(folder: Path) -> None:
    """Raise :class:`InputError` unless a folder is one into which commands put runs: not a run's own."""
    next(_run_paths(folder), None)
    if (folder / SPEC).exists():
        raise InputError(f"{folder} is one run: give the folder that holds it, {folder.absolute().parent}.")


def _run_paths(folder: Path) -> Iterator[Path]:
    """Yield the folders of runs by name: those in a folder, or itself."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: give one that holds runs, such as runs were written to.")
    if (folder / SPEC).exists():
        yield folder
        return
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir())
    is_empty = True
    for path in map(folder.joinpath, names):
        if (path / SPEC).exists():
            is_empty = False
            yield path
    if is_empty and not (folder / LOCK).exists():
        raise InputError(f"{folder} holds no runs: give a folder that runs were written to, or a run's own.")


def read_run(path: Path) -> FoundRun:
    """Read a run's folder.

    Raises:
        FileNotFoundError: there is no spec.
        ValueError, InputError: the spec, the result or the metrics are none of this version.
    """
    # The result first: what a run writes while it is looked at makes it no more than unfinished.
    result = None
    with contextlib.suppress(FileNotFoundError):
        result = read_result(path / RESULT)
    spec = read_spec(path)
    if result:
        return _finished(path, spec, result)
    return FoundRun(path, spec, None, *_epochs_and_accuracy(path / METRICS))


def _finished(path: Path, spec: RunSpec, result: RunResult) -> FoundRun:
    return FoundRun(path, spec, result, result.epochs, result.accuracy)


def _epochs_and_accuracy(file: Path) -> tuple[int, float | None]:
    """Return what the last rows of ``metrics.csv`` say."""
    if not file.exists():
        return 0, None
    try:
        names, *lines = (line.split(",") for line in read_plain_text(file).splitlines())
        rows = [dict(zip(names, line, strict=True)) for line in lines]
        accuracies = [float(row["test_accuracy"]) for row in rows if row["test_accuracy"]]
        return int(rows[-1]["epoch"]), accuracies[-1] if accuracies else None
    except (IndexError, KeyError, ValueError) as error:
        raise ValueError(f"{file.name} is not the metrics of a run") from error
