"""Removing from run folders what is not needed any more: to go on, to be exported, or at all.

What is only needed to go on is the optimiser's momentum in ``last.safetensors`` of a run that has ended, and what a
kill in the middle of a write has left. Trained weights are needed by exports, and by the tickets of other runs (lottery
tickets, rewinding, hybrid) that start from them; verdicts and reports need none. Whole runs are done anew when they are
asked for again.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from prunecheck.caching import without_garbage_collection
from prunecheck.errors import InputError
from prunecheck.io import PART, atomic_writes
from prunecheck.pruning import DENSE, find_method
from prunecheck.reading import reading_only
from prunecheck.runs.dependencies import dependencies_of
from prunecheck.runs.index import FoundRun, FoundRuns, UnreadableRun, find_runs, require_root
from prunecheck.runs.result import Status
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.status import is_at_work
from prunecheck.runs.store import CHECKPOINT, RESULT, SPEC, TICKET, RunStore
from prunecheck.tensors import read_header, without_group
from prunecheck.training import Checkpoint
from prunecheck.training.checkpoint import MOMENTUM

AT_ONCE, BYTES_AT_ONCE = 2_000, 1 << 28
"""So many checkpoints, or bytes of them, are in memory, and written together."""

ENDED = ("trained", "diverged")
"""The statuses of runs that have a checkpoint and do not go on from it."""

WEIGHTS = (CHECKPOINT, TICKET)
"""The files of weights and masks."""


class Part(StrEnum):
    """What of runs is removed."""

    MOMENTUM = "momentum"
    WEIGHTS = "weights"
    RUNS = "runs"


Choose = Callable[[FoundRuns], Sequence[FoundRun]]
"""Returns those of the runs in a folder that are meant."""


@dataclass(frozen=True)
class Removable:
    """What is removed.

    Attributes:
        momentum: by checkpoint, the bytes that it loses.
        leftovers: by file that a kill has left, its bytes.
        weights: by file of weights or masks, its bytes.
        runs: by folder of a run that goes as a whole, its bytes.
        needed: runs whose weights stay, because runs that are not finished start from them.
        unreadable: folders that are left alone, for nothing can be told of them.
    """

    momentum: dict[Path, int] = field(default_factory=dict)
    leftovers: dict[Path, int] = field(default_factory=dict)
    weights: dict[Path, int] = field(default_factory=dict)
    runs: dict[Path, int] = field(default_factory=dict)
    needed: tuple[Path, ...] = ()
    unreadable: tuple[UnreadableRun, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return sum(sum(part.values()) for part in (self.momentum, self.leftovers, self.weights, self.runs))


def every_run(found: FoundRuns) -> Sequence[FoundRun]:
    """Choose all runs."""
    return found.runs


def find_removable(root: Path, part: Part = Part.MOMENTUM, choose: Choose = every_run) -> Removable:
    """Return what :func:`clean` would remove; nothing is changed.

    Raises:
        InputError: there is no such folder, it holds no runs, or a command is at work in it.
    """
    _require_idle(root)
    return _find_removable(root, part, choose)


def clean(root: Path, part: Part = Part.MOMENTUM, choose: Choose = every_run) -> Removable:
    """Remove from a folder of runs what is not needed any more, and return what that was.

    Files are replaced whole: an interruption leaves some of them for another time. Of a whole run the result goes first
    and the spec last, so that what an interruption leaves is no result, and is found again.

    Args:
        root: what runs were written to.
        part: what of them: momentum of all that ended, all weights and masks of all that ended, or whole runs.
        choose: which runs; what a kill has left is removed of all.

    Raises:
        InputError: see :func:`find_removable`.
        OSError: the disk is full, or cannot be written to.
    """
    _require_idle(root)
    with RunStore(root).locked():
        removable = _find_removable(root, part, choose)
        # First what takes no space to remove.
        for file in (*removable.leftovers, *removable.weights):
            file.unlink()
        for folder in removable.runs:
            _remove(folder)
        # Together, because a disk takes long for each flush.
        for files in _batches(removable.momentum):
            atomic_writes({file: _without_momentum(file) for file in files})
        if removable.runs:
            RunStore(root).write_results()
    return removable


def _require_idle(root: Path) -> None:
    require_root(root)
    if is_at_work(root):
        raise InputError(f"a prunecheck is at work in {root}: wait for it, or stop it with `prunecheck stop {root}`.")


def _without_momentum(file: Path) -> bytes:
    try:
        return without_group(file, MOMENTUM)
    except ValueError:  # it was written by an earlier version, or is damaged, which reading it says
        return replace(Checkpoint.read(file), momentum={}).to_bytes()


def _batches(files: Iterable[Path]) -> Iterator[Sequence[Path]]:
    """Divide files into parts whose content may be in memory together, the largest ones each alone."""
    batch: list[Path] = []
    size = 0
    for file in files:
        batch.append(file)
        size += file.stat().st_size
        if len(batch) == AT_ONCE or size > BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _remove(folder: Path) -> None:
    (folder / RESULT).unlink(missing_ok=True)
    for entry in folder.iterdir():
        if entry.name == SPEC:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    (folder / SPEC).unlink(missing_ok=True)
    folder.rmdir()


@without_garbage_collection()
def _find_removable(root: Path, part: Part, choose: Choose) -> Removable:
    found = find_runs([root])
    chosen = choose(found)
    leftovers = {file: size for run in found.runs for file, size in _leftovers(run.path).items()}
    removable = Removable(leftovers=leftovers, unreadable=found.unreadable)
    match part:
        case Part.RUNS:
            runs = {run.path: _size(run.path) for run in chosen}
            others = {file: size for file, size in leftovers.items() if file.parent not in runs}
            return replace(removable, runs=runs, leftovers=others)
        case Part.WEIGHTS:
            return _with_weights(removable, found.runs, chosen)
        case Part.MOMENTUM:
            return _with_momentum(removable, chosen)


def _with_momentum(removable: Removable, chosen: Iterable[FoundRun]) -> Removable:
    momentum, unreadable = {}, list(removable.unreadable)
    for run in chosen:
        file = run.path / CHECKPOINT
        if run.status not in ENDED or not file.is_file():
            continue
        try:
            size = _momentum_size(file)
        except ValueError as error:
            unreadable.append(UnreadableRun(run.path, str(error)))
            continue
        if size:
            momentum[file] = size
    return replace(removable, momentum=momentum, unreadable=tuple(unreadable))


def _with_weights(removable: Removable, runs: Sequence[FoundRun], chosen: Iterable[FoundRun]) -> Removable:
    started_from = _started_from(runs)
    weights: dict[Path, int] = {}
    needed = []
    for run in chosen:
        if run.result is None or run.result.status is Status.FAILED:
            continue  # it may go on from them
        files = [file for name in WEIGHTS if (file := run.path / name).is_file()]
        if files and run.spec in started_from:
            needed.append(run.path)
        else:
            weights |= {file: file.stat().st_size for file in files}
    return replace(removable, weights=weights, needed=tuple(needed))


@reading_only()  # around the whole, which it would not be around a generator
def _started_from(runs: Sequence[FoundRun]) -> set[RunSpec]:
    """Return the runs from whose weights others there start that are not finished.

    Of users' own methods that cannot be known, for their code is not run: all dense networks of the setting and seed.
    """
    waiting = [run.spec for run in runs if run.result is None or run.result.status is Status.FAILED]
    own = {(spec.setting, spec.seed) for spec in waiting if spec.method_hash is not None}
    found = {run.spec for run in runs if run.spec.method == DENSE and (run.spec.setting, run.spec.seed) in own}
    for spec in waiting:
        if spec.method != DENSE and spec.method_hash is None:
            with contextlib.suppress(InputError):
                found.update(dependencies_of(spec, find_method(spec.method)).values())
    return found


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*"))


def _leftovers(folder: Path) -> dict[Path, int]:
    """Return what kills have left half-written in a run's folder, and its bytes."""
    with os.scandir(folder) as entries:
        found = [entry for entry in entries if entry.name.startswith(".") and entry.name.endswith(PART)]
        return {folder / entry.name: entry.stat().st_size for entry in sorted(found, key=lambda entry: entry.name)}


def _momentum_size(file: Path) -> int:
    """Return the bytes of momentum in a checkpoint, of which only the header is read.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        of_momentum = f"{MOMENTUM}/"
        places = [one["data_offsets"] for name, one in read_header(file).items() if name.startswith(of_momentum)]
        return sum(end - begin for begin, end in places)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file.name} is not a checkpoint of a run") from error
