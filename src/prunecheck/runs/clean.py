"""Removing from run folders what is only needed to go on.

That is the optimiser's momentum in ``last.safetensors`` of a run that has ended, and what a kill in
the middle of a write has left. The trained weights stay: networks are exported from them, and the
tickets of other runs (lottery tickets, rewinding, hybrid) start from them. Runs without a result,
and those that failed and can be tried again, stay as they are.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from prunecheck.errors import InputError
from prunecheck.io import atomic_write
from prunecheck.runs.index import UnreadableRun, find_runs, require_root
from prunecheck.runs.status import is_at_work
from prunecheck.runs.store import CHECKPOINT, RunStore
from prunecheck.training import Checkpoint

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
        for file in removable.momentum:
            atomic_write(file, replace(Checkpoint.read(file), momentum={}).to_bytes())
    return removable


def _find_removable(root: Path) -> Removable:
    found = find_runs([root])
    momentum: dict[Path, int] = {}
    leftovers: dict[Path, int] = {}
    unreadable = list(found.unreadable)
    for run in found.runs:
        leftovers |= {file: file.stat().st_size for file in sorted(run.path.glob(".*.part"))}
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


def _momentum_size(file: Path) -> int:
    """Return the bytes of momentum in a checkpoint, without reading it whole.

    Raises:
        ValueError: the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        # Tensors are mapped into memory, of which no page is touched.
        with safe_open(file, framework="pt") as tensors:
            names = [name for name in tensors.keys() if name.startswith("momentum/")]  # noqa: SIM118 - no mapping
            return sum(tensors.get_tensor(name).nbytes for name in names)
    except SafetensorError as error:
        raise ValueError(f"{file.name} is not a checkpoint of a run") from error
