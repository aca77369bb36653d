"""``prunecheck run`` does what a study asks, and answers it."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from prunecheck.api.report_files import require_report
from prunecheck.cli.acceleration import read_acceleration
from prunecheck.cli.arguments import read_optional_list, read_workers, require_device
from prunecheck.cli.options import (
    ClusterOptions,
    DataRoot,
    EngineOptions,
    FailOn,
    Family,
    Json,
    Out,
    Quiet,
    RetryFailed,
    Set,
    require_own_workers,
)
from prunecheck.cli.study_runs import (
    begin_workers,
    exit_unless_answered,
    print_json,
    print_rendered,
    read_fail_on,
    write_report,
)


def run(
    study: Annotated[Path, Parameter(name="STUDY.toml")],
    /,
    *,
    set: Set = (),
    out: Out = Path("runs"),
    data_root: DataRoot = None,
    engine: EngineOptions = EngineOptions(),
    cluster: ClusterOptions = ClusterOptions(),
    retry_failed: RetryFailed = False,
    fail_on: FailOn = None,
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
    is_here = require_own_workers(engine, cluster)
    workers = read_workers(engine.workers, engine.device) if is_here else 1

    if is_here:
        require_device(engine.device)
    if study.is_file():  # that it is none is said at once
        begin_workers(workers, out)
    failing = read_fail_on(fail_on)
    require_report(out)

    import prunecheck
    from prunecheck.studies.overrides import read_overrides

    answers = prunecheck.run(
        study,
        set=read_overrides(set),
        out=out,
        data_root=data_root,
        workers=workers,
        scheduler=cluster.scheduler,
        dashboard=cluster.dashboard,
        device=engine.device,
        acceleration=read_acceleration(engine.acceleration, engine.device, elsewhere=not is_here),
        retry_failed=retry_failed,
        track=read_optional_list("track", engine.track) or (),
        quiet=quiet,
        family=family,
    )
    if json:
        print_json(answers.to_dict())
    else:
        print_rendered(answers)
    write_report(answers, out, quiet=quiet)
    exit_unless_answered(answers, failing)
