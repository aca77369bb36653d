"""Folders of runs kept in order: runs removed, folders merged, and what is made of their runs made anew."""

from collections.abc import Sequence
from pathlib import Path

from prunecheck.runs.clean import Choose, Part, Removable, clean
from prunecheck.runs.index import recorded_specs
from prunecheck.runs.merge import Merged, find_merge, merge_runs
from prunecheck.runs.store import RunStore
from prunecheck.studies.question_log import forget_questions, merge_questions


def clean_runs(root: Path, part: Part, choose: Choose) -> Removable:
    """Remove what :func:`prunecheck.runs.clean.clean` does; of whole runs also what was made of them.

    Questions of whose own tickets nothing is left are forgotten, and ``results.csv`` has what is left.

    Raises:
        InputError: see there.
        OSError: see there.
    """
    removable = clean(root, part, choose)
    if removable.runs:
        with RunStore(root).locked():
            left = set(recorded_specs(root))
            forget_questions(root, lambda question: left.isdisjoint(question.own_runs()))
    return removable


def merge_folders(roots: Sequence[Path], target: Path) -> tuple[Merged, tuple[str, ...]]:
    """Copy runs into a folder as :func:`prunecheck.runs.merge.merge_runs` does, with the questions about them.

    Returns:
        What was copied, and a clause for each question that cannot be read.

    Raises:
        InputError: see there; or another command is at work in the folder.
        OSError: see there.
    """
    find_merge(roots, target)
    store = RunStore(target)
    with store.locked():
        merged = merge_runs(roots, target)
        unreadable = merge_questions(target, roots)
        store.write_results()
    return merged, unreadable
