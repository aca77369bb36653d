"""Answers of recorded runs: to the questions that were asked there, and to others about what is left."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from prunecheck.analysis.comparison import Results
from prunecheck.api import arguments
from prunecheck.api.answers import RecordedAnswers
from prunecheck.api.selections import RUNS, of_versions
from prunecheck.report.contents import ReportContents, contents_of_runs
from prunecheck.report.selection import selected
from prunecheck.runs.index import find_runs
from prunecheck.studies.question import Scope
from prunecheck.studies.question_log import read_logs
from prunecheck.studies.selection import EVERYTHING, VERSION, Selection, read_selection


def load_answers(
    *folders: str | Path,
    margin: float | str | None = None,
    baseline: str | None = None,
    family: str | None = None,
    select: str | None = None,
) -> RecordedAnswers:
    """Answer the questions that were asked where runs lie, as they were asked; nothing is trained, no code is run.

    What else lies there is gathered to one question for each method, under the usual margin and baseline. Runs of
    several folders are taken together; those of different data, networks or recipes are never compared.

    Args:
        folders: that runs were written to, or of single runs; ``runs`` if there are none.
        margin: what makes no practical difference, in the unit of what runs are judged by, or ``"1%"`` of its value;
            None for what it was when each question was asked. Another one is said to be chosen afterwards, as for
            ``baseline`` and ``family``.
        baseline: the method whose tickets the others' are compared with; ``none`` for nothing; None likewise.
        family: ``question`` or ``report``: see :func:`prunecheck.check`; None likewise.
        select: which tickets are shown: ``"method=snip,grasp sparsity>=0.9"``, see :mod:`prunecheck.studies.selection`;
            verdicts, and their families, stay what they are. None for all, of the latest version of your own code;
            ``"version=latest,old"`` for all versions.

    Raises:
        InputError: there is no such folder, it holds no finished run, or an argument is wrong.
    """
    chosen = {"margin": margin, "baseline": baseline, "family": family, "select": select}
    words = [*map(repr, map(str, folders)), *(f"{name}={one!r}" for name, one in chosen.items() if one is not None)]
    roots = tuple(map(Path, folders)) or (RUNS,)
    scope = None if family is None else arguments.read_family(family)
    contents = recorded_contents(roots, margin, baseline, scope, selection=read_selection(select))
    runs = [run for setting in contents.settings for run in setting.runs.values()]
    return RecordedAnswers(
        results={run.spec: run.result for run in runs if run.result},
        folder=roots[0],
        call=f"prunecheck.load_answers({', '.join(words)})",
        _temporary=None,
        paths={run.spec: run.path for run in runs},
        study=", ".join(map(str, roots)),
        hash="",
        conclusions=tuple(answer for setting in contents.settings for answer in setting.answers),
        contents=contents,
    )


def recorded_contents(
    roots: tuple[Path, ...],
    margin: float | str | None = None,
    baseline: str | None = None,
    family: Scope | None = None,
    *,
    known: Results = MappingProxyType({}),
    selection: Selection = EVERYTHING,
) -> ReportContents:
    """Return the contents of a report of recorded runs; see :func:`load_answers`.

    Args:
        roots: that runs were written to.
        margin: see there, as for ``baseline`` and ``family``.
        baseline: see there.
        family: see there.
        known: what was read of the runs before, and is not read again.
        selection: see there, at ``select``.
    """
    of_version = selection.of_fields(lambda name: name == VERSION)
    every = find_runs(roots, known), read_logs(roots)
    found, log, notes = of_versions(*every, of_version)
    contents = contents_of_runs(found, margin, baseline, family, log, every)
    contents = replace(contents, found_notes=(*notes, *contents.found_notes))
    return selected(contents, selection.of_fields(lambda name: name != VERSION))
