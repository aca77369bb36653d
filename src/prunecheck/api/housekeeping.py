"""Folders of runs kept in order: runs removed, folders merged, and what is made of their runs made anew."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from prunecheck.api.report_files import renew_report, require_report
from prunecheck.api.selections import RUNS, select_runs
from prunecheck.errors import InputError, field_name
from prunecheck.io import require_output_folder
from prunecheck.reading import reading_only
from prunecheck.registry import unknown_name
from prunecheck.runs.clean import Choose, Part, Removable, find_removable
from prunecheck.runs.clean import clean as clean_runs
from prunecheck.runs.index import FoundRun, FoundRuns, recorded_specs
from prunecheck.runs.merge import Merged, find_merge, merge_runs
from prunecheck.runs.store import RunStore
from prunecheck.studies.question_log import forget_questions, merge_questions
from prunecheck.studies.selection import read_selection


@reading_only()
def clean(
    folder: str | Path = RUNS,
    *,
    remove: str = Part.MOMENTUM,
    select: str | None = None,
    dry_run: bool = False,
) -> Removable:
    """Remove what runs needed to go on after an interruption, and need no more; or weights, or whole runs.

    Results, metrics, curves and logs stay unless whole runs are removed: all that verdicts and reports are made of.
    Runs that are not finished, or failed and can be tried again, stay as they are unless they are removed as a whole.
    Of whole runs their rows in ``results.csv``, the questions of whose own tickets nothing is left, and their part of
    ``report.html`` go, too. What kills in the middle of a write have left is always removed.

    Args:
        folder: that runs were written to.
        remove: ``momentum``: the optimizer's, of runs that have ended; ``weights``: trained weights and tickets of
            runs that have ended, but for those that runs which are not finished start from; ``runs``: whole runs,
            which ``select`` has to choose.
        select: which runs: ``"status=failed"``, ``"method=snip age>30d"``, see :mod:`prunecheck.studies.selection`;
            None for all.
        dry_run: whether only to say what would be removed.

    Returns:
        What was, or would be, removed.

    Raises:
        InputError: an argument is wrong, there is no such folder, it holds no runs, or a command is at work in it.
        OSError: the disk is full, or cannot be written to.
    """
    part, selection, root = _read_part(remove), read_selection(select), Path(folder)
    if part is Part.RUNS and not selection:
        raise InputError(
            f"{field_name('remove')} set to runs removes whole runs with their results: say which with "
            f'{field_name("select")}, such as "status=failed" or "method=snip age>30d"; to have all of them removed, '
            "remove the folder.",
            field="select",
        )

    def chosen(found: FoundRuns) -> Sequence[FoundRun]:
        return select_runs(found, selection, [root]).runs

    if dry_run:
        return find_removable(root, part, chosen)
    removable = _clean(root, part, chosen)
    if removable.runs:
        renew_report(root)
    return removable


def _read_part(remove: str) -> Part:
    if remove not in list(Part):
        raise unknown_name("part of runs", str(remove), list(Part), field="remove")
    return Part(remove)


def _clean(root: Path, part: Part, choose: Choose) -> Removable:
    removable = clean_runs(root, part, choose)
    if removable.runs:
        with RunStore(root).locked():
            left = set(recorded_specs(root))
            forget_questions(root, lambda question: left.isdisjoint(question.own_runs()))
    return removable


@reading_only()
def merge(*folders: str | Path, out: str | Path, dry_run: bool = False) -> Merged:
    """Copy the runs of several folders into one, with the questions that were asked about them.

    Of a run that lies in several folders, that is taken which is finished or has most epochs; what is in ``out``
    already stays, unless another is finished and it is not. The folders themselves stay as they are. ``results.csv``
    and ``report.html`` of ``out`` are those of all runs.

    Args:
        folders: that runs were written to.
        out: the folder that is made, or added to.
        dry_run: whether only to say what would be copied.

    Returns:
        What was, or would be, copied; in ``conflicts`` the runs that ended otherwise in two folders.

    Raises:
        InputError: no folder is named, one of them holds no runs, a command is at work in one, or the disk of ``out``
            has too little space.
        OSError: the disk is full, or cannot be written to.
    """
    roots, target = tuple(map(Path, folders)), Path(out)
    if not roots:
        raise InputError(f"{field_name('folders')} needs a value: give the folders of runs that are to be merged.")
    require_output_folder(target)
    require_report(target)
    merged = find_merge(roots, target)
    if dry_run:
        return merged
    store = RunStore(target)
    with store.locked():
        merged = merge_runs(roots, target)
        unreadable = merge_questions(target, roots)
        store.write_results()
    renew_report(target, is_wanted=True)
    return replace(merged, unreadable_questions=unreadable)
