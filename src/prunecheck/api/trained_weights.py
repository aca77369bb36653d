"""The trained network that methods after training prune, outside of a study's own runs."""

from pathlib import Path

from prunecheck.api.study_runs import Execution, do_runs
from prunecheck.engine.tickets import build_network
from prunecheck.errors import InputError
from prunecheck.pruning.tickets import Weights, copy_weights
from prunecheck.runs.dependencies import TRAINED_SEED
from prunecheck.runs.store import RunStore
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
        InputError: the training ended without weights; see also :func:`prunecheck.api.study_runs.do_runs`.
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
    checkpoint = store.folder(run).checkpoint()
    if result is None or checkpoint is None:
        how = f"has {result.status}" if result else "could not be trained"
        raise InputError(
            f"the dense network that {study.method.name} prunes {how} (see {store.folder(run).path}): change the "
            "recipe, or remove that folder."
        )
    return checkpoint.weights
