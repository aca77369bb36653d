"""How commands do the runs of a study, and print what follows from them."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prunecheck.analysis import CheckAnswer
    from prunecheck.studies import RunStore, Study
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
) -> None:
    """Do the runs of a study that have no result yet, and write ``results.csv``.

    Args:
        study: rehearsed before.
        store: whose lock is held.
        workers: how many processes.
        device: where they train; on ``cuda`` the processes share out the GPUs that the environment names.
        acceleration: what may make it faster.
        quiet: whether to show no progress.
        scheduler: whose workers do them; see :func:`prunecheck.studies.execute_all`.
        dashboard: where the engine shows it.

    Raises:
        InputError: there is no space, or a folder holds something else.
        KeyboardInterrupt: Ctrl-C, after what is going on was saved.
    """
    from prunecheck.cli.interruption import stop_on_interrupt
    from prunecheck.cli.progress import Progress
    from prunecheck.studies import execute_all
    from prunecheck.studies.cluster import visible_gpus
    from prunecheck.studies.plan import bytes_needed

    missing = [run for run in study.runs() if store.result(run) is None]
    store.require_space(bytes_needed(study, missing, workers))
    store.write_planned(study.runs())
    try:
        with stop_on_interrupt(store), Progress(missing, total=len(study.runs()), quiet=quiet) as progress:
            jobs = study.jobs(set(missing).__contains__, store.root, device, acceleration)
            gpus = visible_gpus(os.environ) if device == "cuda" and scheduler is None else []
            execute_all(jobs, workers, progress.update, scheduler=scheduler, dashboard=dashboard, gpus=gpus)
    finally:
        store.write_results()


def print_answer(answer: "CheckAnswer") -> None:
    """Print a question's table and its reading."""
    from prunecheck.analysis import answer_table, reading
    from prunecheck.cli.output import print_out

    print_out(answer_table(answer), "", reading(answer), width=WIDTH)


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object."""
    import json

    print(json.dumps(content, indent=2, allow_nan=False))
