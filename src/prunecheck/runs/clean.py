"""Removing from run folders what is only needed to go on.

That is the optimiser's momentum in ``last.safetensors`` of a run that has ended, and what a kill in
the middle of a write has left. The trained weights stay: networks are exported from them, and the
tickets of other runs (lottery tickets, rewinding, hybrid) start from them. Runs without a result,
and those that failed and can be tried again, stay as they are.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prunecheck.errors import InputError
from prunecheck.io import PART, atomic_writes
from prunecheck.runs.index import UnreadableRun, find_runs, require_root
from prunecheck.runs.status import is_at_work
from prunecheck.runs.store import CHECKPOINT, RunStore
from prunecheck.tensors import read_header
from prunecheck.training import Checkpoint

AT_ONCE, BYTES_AT_ONCE = 200, 1 << 28
"""So many checkpoints, or bytes of them, are in memory, and written together."""

ENDED = ("trained", "diverged")
"""The statuses of runs that have a checkpoint and do not go on from it."""


@dataclass(frozen=True)
class Removable:
    """What is only needed to go on.

    Attributes:
        momentum: by checkpoint, the bytes that it loses.
        leftovers: by file that is removed, its bytes.
        unreadable: folders that are left alone, for nothing can be told of them.
    """

    momentum: dict[Path, int]
    leftovers: dict[Path, int]
    unreadable: tuple[UnreadableRun, ...]

    @property
    def size(self) -> int:
        """Bytes of both."""
        return sum(self.momentum.values()) + sum(self.leftovers.values())


def find_removable(root: Path) -> Removable:
    """Return what :func:`clean` would remove; nothing is changed.

    Raises:
        InputError: there is no such folder, it holds no runs, or a command is at work in it.
    """
    require_root(root)
    if is_at_work(root):
        raise InputError(f"a prunecheck is at work in {root}: wait for it, or stop it with `prunecheck stop {root}`.")
    return _find_removable(root)


def clean(root: Path) -> Removable:
    """Remove from a folder of runs what is only needed to go on, and return what that was.

    Files are replaced whole: an interruption leaves some of them for another time.

    Raises:
        InputError: there is no such folder, it holds no runs, or a command is at work in it.
        OSError: the disk is full, or cannot be written to.
    """
    find_removable(root)
    with RunStore(root).locked():
        removable = _find_removable(root)
        # First what takes no space to remove.
        for file in removable.leftovers:
            file.unlink()
        # Together, because a disk takes long for each flush.
        for files in _batches(list(removable.momentum)):
            atomic_writes({file: replace(Checkpoint.read(file), momentum={}).to_bytes() for file in files})
    return removable


def _batches(files: Sequence[Path]) -> Iterator[Sequence[Path]]:
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


def _find_removable(root: Path) -> Removable:
    found = find_runs([root])
    momentum: dict[Path, int] = {}
    leftovers: dict[Path, int] = {}
    unreadable = list(found.unreadable)
    for run in found.runs:
        leftovers |= _leftovers(run.path)
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
    return Removable(momentum, leftovers, tuple(unreadable))


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
        header = read_header(file)
        places = [one["data_offsets"] for name, one in header.items() if name.startswith("momentum/")]
        return sum(end - begin for begin, end in places)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file.name} is not a checkpoint of a run") from error
