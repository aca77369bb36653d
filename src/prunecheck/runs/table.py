"""One table of all runs: a row for each, with all that it was and all that it ended with."""

import csv
import io
import types
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_args

from prunecheck.runs.index import FoundRun, FoundRuns
from prunecheck.runs.spec import DESCRIBED, RunSpec
from prunecheck.training import Recipe

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

SCHEMA = 1
"""Of the JSON object; raised when a key changes its meaning."""

VERSIONS = ("prunecheck", "python", "torch")

COPIED = ("value", "accuracy", "best_accuracy", "chance", "seconds", "device", "reason")
"""The columns that are fields of the result."""

RECIPE_FIELDS = tuple(field.name for field in fields(Recipe))

ENDED_WITH: dict[str, Any] = {
    "status": str,
    "value": float,
    "accuracy": float,
    "best_accuracy": float,
    "chance": float,
    "seconds": float,
    "device": str,
    "epochs_done": int,
    "measured_sparsity": float,
    "kept_weights": int,
    "prunable_weights": int,
    "empty_layers": str,
    "share_by_lot": float,
    "collapsed_layer": str,
    "collapse_reason": str,
    "reason": str,
    **{f"{name}_version": str for name in VERSIONS},
    "folder": str,
}
"""The columns that follow those of the spec and the recipe, and the types of their values."""


def data_frame(runs: Sequence[FoundRun]) -> "pd.DataFrame":
    """Return the rows of runs as a data frame; see :func:`prunecheck.load_results`."""
    import pandas as pd

    rows = [run_row(run) for run in runs]
    columns = {name: pd.array([row[name] for row in rows], dtype=_dtype(kind)) for name, kind in COLUMNS.items()}
    return pd.DataFrame(columns)


def runs_csv(runs: Iterable[FoundRun]) -> str:
    """Return the rows of runs below the names of the columns, as comma-separated values; what is missing is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(run_row, runs))
    return text.getvalue()


def runs_json(found: FoundRuns) -> dict[str, Any]:
    """Return the rows of runs as one object for JSON, with the folders that cannot be read and why."""
    unreadable = [{"folder": str(one.path), "reason": one.reason} for one in found.unreadable]
    return {"schema": SCHEMA, "runs": [run_row(run) for run in found.runs], "unreadable": unreadable}


def run_row(run: FoundRun) -> dict[str, Any]:
    """Return a run's row of the table by column; what is missing is None."""
    result = run.result
    row: dict[str, Any] = spec_row(run.spec) | dict.fromkeys(ENDED_WITH)
    row |= {"status": run.status, "epochs_done": run.epochs_done, "folder": str(run.path)}
    if result is None:
        return row
    row |= {name: getattr(result, name) for name in COPIED}
    row["measured_sparsity"] = result.sparsity
    if result.kept:
        row |= {"empty_layers": " ".join(result.empty_layers) or None, "share_by_lot": result.share_by_lot}
        row["kept_weights"] = sum(kept for kept, _ in result.kept.values())
        row["prunable_weights"] = sum(total for _, total in result.kept.values())
    if result.collapse:
        row |= {"collapsed_layer": result.collapse.layer, "collapse_reason": result.collapse.reason}
    return row | {f"{name}_version": result.versions.get(name) for name in VERSIONS}


def spec_row(spec: RunSpec) -> dict[str, Any]:
    """Return the fields of a spec and its recipe; tuples as words with spaces between them."""
    row = spec.described()
    row |= {field: getattr(spec.setting.recipe, field) for field in RECIPE_FIELDS}
    return {name: " ".join(map(str, value)) if isinstance(value, tuple) else value for name, value in row.items()}


def _columns() -> dict[str, Any]:
    return DESCRIBED | {field.name: field.type for field in fields(Recipe)} | ENDED_WITH


COLUMNS = _columns()
"""The columns in order, and the types of their values."""


def _dtype(kind: Any) -> str:
    """Return the type of a column whose values have a declared type, or are None."""
    if isinstance(kind, types.UnionType):
        kind = next(one for one in get_args(kind) if one is not types.NoneType)
    return {int: "Int64", float: "float64", bool: "boolean"}.get(kind, "string")
