"""Recorded runs, chosen: what commands that read and clean folders have in common."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from prunecheck.runs.index import FoundRun, FoundRuns
from prunecheck.studies.question_log import QuestionLog, read_logs
from prunecheck.studies.selection import Selection
from prunecheck.studies.versions import Versions, of_different_versions, versions_of

RUNS = Path("runs")
"""Where commands put runs unless they are told otherwise."""


def select_runs(found: FoundRuns, selection: Selection, roots: Iterable[Path]) -> FoundRuns:
    """Return what was found with the runs alone that are chosen.

    Args:
        found: in the roots.
        selection: of runs.
        roots: whose questions say which version of users' own code is the latest.

    Raises:
        InputError: a name that is asked for is none of what any of the runs has.
    """
    if not selection:
        return found
    versions = versions_of(found.runs, read_logs(roots).entries)
    return replace(found, runs=tuple(selection.chosen(found.runs, versions)))


def of_versions(
    found: FoundRuns, log: QuestionLog, selection: Selection
) -> tuple[FoundRuns, QuestionLog, tuple[str, ...]]:
    """Return the runs and questions of the versions that are chosen, and sentences that say what was left out.

    Args:
        found: all runs.
        log: the questions that were asked where they lie.
        selection: of versions; where it says nothing of them, the latest.
    """
    versions = versions_of(found.runs, log.entries)
    if selection:
        return _of_what_is_chosen(found, log, selection, versions)
    if not versions.latest:
        return found, log, _mixed_notes(found.runs)
    old = [run for run in found.runs if versions.is_old(run.spec)]
    runs = tuple(run for run in found.runs if not versions.is_old(run.spec))
    entries = tuple(entry for entry in log.entries if not versions.is_about_old(entry.question))
    return replace(found, runs=runs), replace(log, entries=entries), (*_notes(old, versions), *_mixed_notes(runs))


def _of_what_is_chosen(
    found: FoundRuns, log: QuestionLog, selection: Selection, versions: Versions
) -> tuple[FoundRuns, QuestionLog, tuple[str, ...]]:
    runs = tuple(selection.chosen(found.runs, versions))
    specs = {run.spec for run in runs}
    entries = tuple(entry for entry in log.entries if not specs.isdisjoint(entry.question.own_runs()))
    return replace(found, runs=runs), replace(log, entries=entries), ()


def _mixed_notes(runs: Sequence[FoundRun]) -> tuple[str, ...]:
    return tuple(
        f"{', '.join(names)}: done with different versions of one code, or of what it reads: ask about each again to "
        "have all of the latest."
        for names in of_different_versions(runs)
    )


def _notes(old: Sequence[FoundRun], versions: Versions) -> tuple[str, ...]:
    if not old:
        return ()
    names = ", ".join(dict.fromkeys(name for run in old for name in versions.old_in(run.spec)))
    runs = "1 run was" if len(old) == 1 else f"{len(old):,} runs were"
    return (
        f"{runs} left out because what they were done with has a later version now: {names} (to have them shown, "
        "select version=latest,old).",
    )
