"""How commands do the runs of a study, and print what follows from them."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prunecheck.analysis.families import Conclusion
    from prunecheck.analysis.verdicts import Scope
    from prunecheck.runs.result import RunResult
    from prunecheck.runs.spec import RunSpec
    from prunecheck.runs.store import RunStore
    from prunecheck.studies.study import Study
    from prunecheck.training import Acceleration

WIDTH = 110
"""Columns of a table that is not printed to a terminal."""


def do_missing_runs(
    study: "Study",
    store: "RunStore",
    workers: int,
    device: str,
    acceleration: "Acceleration",
    quiet: bool,
    *,
    scheduler: str | None = None,
    dashboard: str | None = None,
) -> "dict[RunSpec, RunResult]":
    """Do the runs of a study that have no result yet, write ``results.csv``, and note what was asked and is answered.

    Args:
        study: rehearsed before.
        store: whose lock is held.
        workers: how many processes.
        device: where they train; on ``cuda`` the processes share out the GPUs that the environment names.
        acceleration: what may make it faster.
        quiet: whether to show no progress.
        scheduler: whose workers do them; see :func:`prunecheck.engine.executors.execute_all`.
        dashboard: where the engine shows it.

    Returns:
        What the runs ended with; those that could not be begun are not in it.

    Raises:
        InputError: there is no space, or a folder holds something else.
        KeyboardInterrupt: Ctrl-C, after what is going on was saved.
    """
    from prunecheck.cli.interruption import stop_on_interrupt
    from prunecheck.cli.progress import Progress
    from prunecheck.engine.dask_cluster import visible_gpus
    from prunecheck.engine.executors import execute_all
    from prunecheck.studies.plan import bytes_needed
    from prunecheck.studies.question_log import note_questions

    results = {run: result for run in study.runs() if (result := store.result(run))}
    missing = [run for run in study.runs() if run not in results]
    questions = [question.question for question in study.questions]
    store.require_space(bytes_needed(study, missing, workers))
    store.write_planned(study.runs())
    note_questions(store.root, questions, shown=False)
    try:
        with stop_on_interrupt(store), Progress(missing, total=len(study.runs()), quiet=quiet) as progress:
            jobs = study.jobs(set(missing).__contains__, store.root, device, acceleration)
            gpus = visible_gpus(os.environ) if device == "cuda" and scheduler is None else []
            execute_all(jobs, workers, progress.update, scheduler=scheduler, dashboard=dashboard, gpus=gpus)
    finally:
        store.write_results()
    note_questions(store.root, questions, shown=True)
    return results | {run: result for run in missing if (result := store.result(run))}


def read_family(text: str) -> "Scope":
    """Return how far the families of verdicts reach; raise :class:`InputError` for an unknown word."""
    from prunecheck.analysis.verdicts import Scope
    from prunecheck.registry import unknown_name

    if text not in list(Scope):
        raise unknown_name("family", text, list(Scope))
    return Scope(text)


def answers_to(
    study: "Study", store: "RunStore", results: "Mapping[RunSpec, RunResult]", family: "Scope"
) -> "list[Conclusion]":
    """Answer a study's questions, with the looks that were taken at them.

    Args:
        study: its runs are done.
        store: where they are.
        results: of them.
        family: over which verdicts are adjusted together.
    """
    from prunecheck.analysis.families import answer_questions
    from prunecheck.analysis.looks import with_looks
    from prunecheck.studies.question_log import read_questions

    answers = answer_questions([question.question for question in study.questions], results, family)
    return with_looks(answers, read_questions(store.root))


def print_answer(answer: "Conclusion") -> None:
    """Print a question's table, what looks at it cost, and its reading."""
    from prunecheck.cli.output import print_out
    from prunecheck.report.answers import answer_table
    from prunecheck.report.looks import looks_text
    from prunecheck.report.reading import reading
    from prunecheck.report.remarks import remarks

    paragraphs = [text for text in (remarks(answer), looks_text(answer), reading(answer)) if text]
    print_out(answer_table(answer), *(part for text in paragraphs for part in ("", text)), width=WIDTH)


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object."""
    import json

    print(json.dumps(content, indent=2, allow_nan=False))
