"""``prunecheck run`` does what a study asks, and answers it."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from prunecheck.cli.acceleration import read_acceleration
from prunecheck.cli.arguments import read_workers, require_device
from prunecheck.cli.options import ClusterOptions, DataRoot, EngineOptions, Family, Json, Out, Quiet, RetryFailed
from prunecheck.cli.study_runs import answers_to, do_missing_runs, print_answer, print_json, read_family
from prunecheck.errors import InputError


def run(
    study: Annotated[Path, Parameter(name="STUDY.toml")],
    /,
    *,
    out: Out = Path("runs"),
    data_root: DataRoot = None,
    engine: EngineOptions = EngineOptions(),
    cluster: ClusterOptions = ClusterOptions(),
    retry_failed: RetryFailed = False,
    family: Family = "question",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Do the runs of a study and answer each of its questions.

    What is done already is not done again, for whichever study or check it was done; an interrupted command goes on
    when it is called again. `prunecheck plan` says beforehand what is going to be done.

    Parameters
    ----------
    study
        A study file.
    """
    is_here = cluster.scheduler is None
    if not is_here and (engine.workers is not None or cluster.dashboard is not None):
        raise InputError("--scheduler has workers and a dashboard of its own: leave --workers and --dashboard out.")
    workers = read_workers(engine.workers, engine.device) if is_here else 1

    scope = read_family(family)
    from prunecheck.cli.places import data_places
    from prunecheck.report.terminal import answer_json
    from prunecheck.runs.store import RunStore
    from prunecheck.studies.retry import forget_failed
    from prunecheck.studies.study_file import read_study

    asked = read_study(study, data_places(data_root))
    if is_here:
        require_device(engine.device)
    allowed = read_acceleration(engine.acceleration, engine.device, elsewhere=not is_here)
    asked.rehearse()
    store = RunStore(out)
    with store.locked():
        if retry_failed:
            forget_failed(asked, store)
        results = do_missing_runs(
            asked,
            store,
            workers,
            engine.device,
            allowed,
            quiet,
            scheduler=cluster.scheduler,
            dashboard=cluster.dashboard,
        )
    answers = answers_to(asked, store, results, scope)
    if json:
        print_json({"study": asked.name, "hash": asked.hash, "answers": [answer_json(answer) for answer in answers]})
        return
    for number, answer in enumerate(answers):
        if number:
            print("\n")
        print_answer(answer)
