"""All runs of folders, or those that are chosen, in one table."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from prunecheck.api.selections import RUNS, select_runs
from prunecheck.extras import extra
from prunecheck.runs.index import find_runs
from prunecheck.runs.table import data_frame
from prunecheck.studies.selection import read_selection

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]


def load_results(*folders: str | Path, select: str | None = None) -> "pd.DataFrame":
    """Return a table with a row for every run that folders hold, or of those that are chosen.

    Its columns are the fields of :class:`RunSpec` and :class:`Recipe` (milestones as words with
    spaces between them), and:

    - ``status``: ``trained``, ``collapsed``, ``diverged``, ``failed`` or, without a result yet,
      ``unfinished``.
    - ``value``: what the run is judged by, ``metric`` in ``metric_unit``, after the last epoch; missing unless
      ``trained``, so that no mean takes in a half-trained network.
    - ``accuracy``, ``best_accuracy``: test accuracy after the last and the best epoch, percent;
      likewise. ``chance``: that of guessing the commonest class.
    - ``seconds``: spent by the call that finished the run; ``device``: where.
    - ``epochs_done``: of the ``epochs`` of the recipe.
    - ``measured_sparsity``: share of prunable weights that the mask removes, in [0, 1);
      ``kept_weights`` of ``prunable_weights``: the counts, missing for a dense network.
    - ``empty_layers``: those of which no weight is kept, with spaces between them; ``share_by_lot``: of
      the kept weights, those drawn by lot among equal scores, in [0, 1].
    - ``collapsed_layer``, ``collapse_reason``, ``reason`` (of a failure).
    - ``prunecheck_version``, ``python_version``, ``torch_version``; ``folder``.

    Whole numbers have the type ``Int64``, texts ``string``, yes and no ``boolean``; what is missing is NA. A run that
    lies in several of the folders has one row. Folders that cannot be read are left out with a warning.

    Args:
        folders: that runs were written to, or of single runs; ``runs`` if there are none.
        select: which runs: ``"method=snip,grasp sparsity>=0.9 status=trained"``, see
            :mod:`prunecheck.studies.selection`; None for all.

    Raises:
        InputError: there is no such folder, it holds no runs, or the selection is wrong.
    """
    with extra("pandas", "load_results()"):
        import pandas  # noqa: F401 - before anything is read
    selection, roots = read_selection(select), tuple(map(Path, folders)) or (RUNS,)
    found = find_runs(roots)
    if found.unreadable:
        listed = "; ".join(map(str, found.unreadable))
        warnings.warn(f"left out what cannot be read: {listed}", stacklevel=2)
    return data_frame(select_runs(found, selection, roots).runs)
