"""``prunecheck run`` does what a study asks, and answers it."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from prunecheck.cli.acceleration import WHERE_IT_PAYS, AccelerationFlags, read_acceleration
from prunecheck.cli.arguments import Whole, read_workers, require_device
from prunecheck.cli.study_runs import answers_to, do_missing_runs, print_answer, print_json, read_family
from prunecheck.errors import InputError


def run(
    study: Annotated[Path, Parameter(name="STUDY.toml")],
    /,
    *,
    out: Path = Path("runs"),
    data_root: Annotated[Path | None, Parameter(show_default=False)] = None,
    workers: Annotated[Whole | None, Parameter(show_default=False)] = None,
    scheduler: Annotated[str | None, Parameter(show_default=False)] = None,
    dashboard: Annotated[str | None, Parameter(show_default=False)] = None,
    device: str = "cpu",
    acceleration: AccelerationFlags = WHERE_IT_PAYS,
    retry_failed: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    family: str = "question",
    json: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    quiet: Annotated[bool, Parameter(negative="", show_default=False)] = False,
) -> None:
    """Do the runs of a study and answer each of its questions.

    What is done already is not done again, for whichever study or check it was done; an interrupted command goes on
    when it is called again. `prunecheck plan` says beforehand what is going to be done.

    Parameters
    ----------
    study
        A study file.
    out
        Where the run folders and results.csv are written.
    data_root
        Folder that holds data sets (see `prunecheck data list`). [default: PRUNECHECK_DATA, then the cache]
    workers
        Single-thread processes that train at the same time. [default: one per core; 1 on a GPU]
    scheduler
        tcp://HOST:PORT or tls://HOST:PORT of a dask scheduler, or the file that `dask scheduler --scheduler-file`
        writes: its workers do the runs. [default: this machine alone]
    dashboard
        HOST:PORT where the engine shows its dashboard meanwhile. [default: nowhere]
    device
        cpu, cuda or cuda:N.
    acceleration
        What may make training faster.
    retry_failed
        Do failed runs again, and those that could not be done because of them.
    family
        The comparisons over which verdicts are wrong together in 5 % at most: those of each question by itself
        (question), or of all of the study's (report).
    json
        Print one JSON object instead of the tables.
    quiet
        Show no progress.
    """
    if scheduler is not None and (workers is not None or dashboard is not None):
        raise InputError("--scheduler has workers and a dashboard of its own: leave --workers and --dashboard out.")
    workers = 1 if scheduler is not None else read_workers(workers, device)

    scope = read_family(family)
    from prunecheck.cli.places import data_places
    from prunecheck.report.answer_json import answer_json
    from prunecheck.runs.store import RunStore
    from prunecheck.studies.retry import forget_failed
    from prunecheck.studies.study_file import read_study

    asked = read_study(study, data_places(data_root))
    if scheduler is None:
        require_device(device)
    allowed = read_acceleration(acceleration, device, elsewhere=scheduler is not None)
    asked.rehearse()
    store = RunStore(out)
    with store.locked():
        if retry_failed:
            forget_failed(asked, store)
        results = do_missing_runs(
            asked, store, workers, device, allowed, quiet, scheduler=scheduler, dashboard=dashboard
        )
    answers = answers_to(asked, store, results, scope)
    if json:
        print_json({"study": asked.name, "hash": asked.hash, "answers": [answer_json(answer) for answer in answers]})
        return
    for number, answer in enumerate(answers):
        if number:
            print("\n")
        print_answer(answer)
