"""The trained network that methods after training prune, outside of a study's own runs."""

from pathlib import Path

from prunecheck.api.study_runs import Execution, do_runs
from prunecheck.engine.tickets import build_network
from prunecheck.errors import InputError
from prunecheck.pruning.tickets import Weights, copy_weights
from prunecheck.runs.dependencies import TRAINED_SEED
from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.store import RunFolder, RunStore
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.study import Study


def weights_after_training(study: CheckStudy, root: Path, device: str) -> Weights | None:
    """Return the weights that the study's method prunes, if it prunes a trained network; else None.

    Those of a network that comes trained are its own. Others are those of the dense run that `prunecheck check` keeps,
    which is done where it is not there yet.

    Args:
        study: whose network is meant; validated before.
        root: where its runs are; it is made, and held meanwhile, if the network has to be trained.
        device: where it is trained.

    Raises:
        InputError: the training failed, diverged or collapsed, or its weights are no longer there; see also
            :func:`prunecheck.api.study_runs.do_runs`.
    """
    if not study.method.is_after_training:
        return None
    run = study.dense_run(TRAINED_SEED)
    if run.is_evaluated_only:
        return copy_weights(build_network(run, study.data, study.builder))
    store = RunStore(root)
    result = store.result(run)
    if result is None:
        with store.locked():
            result = do_runs(Study(study.method.name, (study,)), [run], store, Execution(device=device)).get(run)
    return _weights_of(store.folder(run), result, study.method.name)


def _weights_of(folder: RunFolder, result: RunResult | None, method: str) -> Weights:
    """Return the weights of a dense run; raise :class:`InputError` unless it was trained and they are there."""
    whose = f"the dense network that {method} prunes"
    if result is None or result.status is not Status.TRAINED:
        how = str(result.status) if result else "was not trained"
        reason = f": {result.reason}" if result and result.reason else ""
        raise InputError(f"{whose} {how}{reason} (see {folder.path}): change the recipe, or remove that folder.")
    checkpoint = folder.checkpoint()
    if checkpoint is None:
        raise InputError(
            f"{whose} was trained, and its weights are not in {folder.path} any more: remove that folder, so that it "
            "is trained again."
        )
    return checkpoint.weights
