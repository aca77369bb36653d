"""Failed runs, done again."""

from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RESULT, RunStore
from prunecheck.studies.plan import FAILED
from prunecheck.studies.study import Study


def forget_failed(study: Study, store: RunStore) -> list[RunSpec]:
    """Remove the results of a study's failed runs, so that they are done again.

    Likewise those of runs that collapsed because a run whose weights they need had failed. What else
    is in their folders stays: a run that has a checkpoint goes on from there.

    Args:
        study: whose runs are meant.
        store: where they are; the caller holds its lock.

    Returns:
        The runs whose results were removed.
    """
    forgotten: dict[RunSpec, str] = {}
    for planned in study.planned_runs:
        result = store.result(planned.spec)
        if result is None:
            continue
        needs_forgotten = not forgotten.keys().isdisjoint(planned.dependencies)
        if result.status == FAILED or (result.status == "collapsed" and needs_forgotten):
            forgotten[planned.spec] = result.reason or str(result.collapse)
    # Last what others need: a kill in between leaves a failed run, by which the others are found again.
    for spec, reason in reversed(forgotten.items()):
        folder = store.folder(spec)
        folder.log(f"tried again: {reason}")
        (folder.path / RESULT).unlink()
    return list(forgotten)
