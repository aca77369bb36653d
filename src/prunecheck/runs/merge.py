"""Several folders of runs made one: what is finished in any of them is there, and nothing is removed from them."""

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prunecheck.errors import InputError
from prunecheck.io import atomic_folder
from prunecheck.runs.index import FoundRun, UnreadableRun, find_runs, require_root
from prunecheck.runs.result import Status
from prunecheck.runs.status import is_at_work
from prunecheck.runs.store import CHECKPOINT, RunStore


@dataclass(frozen=True)
class Conflict:
    """A run that ended otherwise in two folders.

    Attributes:
        kept: what is, or stays, in the folder that they become.
        other: what stays where it was, and only there.
    """

    kept: FoundRun
    other: FoundRun

    def __str__(self) -> str:
        return f"{self.kept.path} ({_outcome_text(self.kept)}) is kept, and {self.other.path} ended otherwise " + (
            f"({_outcome_text(self.other)})"
        )


@dataclass(frozen=True)
class Merged:
    """What is copied.

    Attributes:
        copied: the runs, where they lie.
        present: how many runs were there that stay as they are.
        conflicts: runs that ended otherwise in two folders.
        unreadable: folders that are left alone, for nothing can be told of them.
        unreadable_questions: a clause for each question that cannot be read, and is kept as it is.
    """

    copied: tuple[FoundRun, ...]
    present: int
    conflicts: tuple[Conflict, ...]
    unreadable: tuple[UnreadableRun, ...]
    unreadable_questions: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes that are copied."""
        return sum(file.stat().st_size for run in self.copied for file in _files(run.path))


def find_merge(roots: Sequence[Path], target: Path) -> Merged:
    """Return what :func:`merge_runs` would copy; nothing is changed.

    Of a run that lies in several folders it is that which is complete, or has most epochs, and before all others that
    in the target; a failed run is no result. Where several are complete they should be the same, and the first stays.

    Raises:
        InputError: a root is not a folder of runs, or a command is at work in it.
    """
    sources = [root for root in dict.fromkeys(roots) if not _is_same(root, target)]
    if not sources:
        raise InputError(f"there is nothing to merge into {target}: give the folders of runs that are to be added.")
    for root in sources:
        require_root(root)
        if is_at_work(root):
            raise InputError(
                f"a prunecheck is at work in {root}: wait for it, or stop it with `prunecheck stop {root}`."
            )
    copies: defaultdict[str, list[FoundRun]] = defaultdict(list)
    unreadable: list[UnreadableRun] = []
    for root in (*([target] if target.is_dir() and any(target.iterdir()) else []), *sources):
        found = find_runs([root])
        unreadable += found.unreadable
        for run in found.runs:
            copies[run.path.name].append(run)
    untouched = {one.path.name for one in unreadable if _is_same(one.path.parent, target)}
    chosen = [_best(of_run) for name, of_run in copies.items() if name not in untouched]
    return Merged(
        tuple(run for run in chosen if not _is_same(run.path.parent, target)),
        sum(_is_same(run.path.parent, target) for run in chosen),
        tuple(conflict for run in chosen for conflict in _conflicts(run, copies[run.path.name])),
        tuple(unreadable),
    )


def merge_runs(roots: Sequence[Path], target: Path) -> Merged:
    """Copy runs into a folder, which is held, and return what was copied; each appears whole, or not at all.

    Raises:
        InputError: see :func:`find_merge`; or the disk has too little space.
        OSError: the disk is full, or cannot be written to.
    """
    merged = find_merge(roots, target)
    RunStore(target).require_space(merged.size)
    for run in merged.copied:
        _copy(run.path, target / run.path.name)
    return merged


def _copy(source: Path, target: Path) -> None:
    def fill(beside: Path) -> Path:
        for file in _files(source):
            shutil.copy2(file, beside / file.name)
        return beside

    atomic_folder(target, fill)


def _files(folder: Path) -> list[Path]:
    """Return the files of a run; no links, and nothing that a kill in the middle of a write has left."""
    with os.scandir(folder) as entries:
        names = [one.name for one in entries if one.is_file(follow_symlinks=False) and not one.name.startswith(".")]
    return [folder / name for name in sorted(names)]


def _is_same(first: Path, second: Path) -> bool:
    return first.resolve() == second.resolve()


def _best(copies: Sequence[FoundRun]) -> FoundRun:
    """Return the run that has most of it, with its weights if any copy of what it ended with has them."""
    best = max(copies, key=_how_much)
    same = [run for run in copies if _how_much(run) == _how_much(best) and _outcome(run) == _outcome(best)]
    return max(same, key=lambda run: (run.path / CHECKPOINT).exists())


def _how_much(run: FoundRun) -> tuple[int, int]:
    if run.result is None:
        return 0, run.epochs_done
    return (1 if run.result.status is Status.FAILED else 2), run.epochs_done


def _outcome(run: FoundRun) -> object:
    result = run.result
    return result and (result.status, result.value, result.accuracy, result.epochs, result.sparsity, result.kept)


def _conflicts(kept: FoundRun, copies: Iterable[FoundRun]) -> list[Conflict]:
    others = [run for run in copies if run is not kept and run.result and run.result.status is not Status.FAILED]
    return [Conflict(kept, run) for run in others if _outcome(run) != _outcome(kept)]


def _outcome_text(run: FoundRun) -> str:
    quantity, value = run.spec.setting.quantity, run.result.value if run.result else None
    return run.status if value is None else f"{run.status}, {quantity.with_unit(value)}"
