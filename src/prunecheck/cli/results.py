"""``prunecheck results`` shows all runs in one table."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from prunecheck.cli.options import Json, Select
from prunecheck.cli.output import print_content, print_text, say
from prunecheck.errors import InputError
from prunecheck.extras import extra
from prunecheck.io import require_output

if TYPE_CHECKING:
    from prunecheck.runs.index import FoundRun, UnreadableRun

PARQUET_SIGN = b"PAR1"
"""What parquet files begin with."""

SAID_ONCE = ("dataset", "model", "width")
"""What is said above the table if it is the same for all runs."""


def results(
    *folders: Annotated[Path, Parameter(name="DIR", show_default=False)],
    csv: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    json: Json = False,
    parquet: Annotated[Path | None, Parameter(show_default=False)] = None,
    select: Select = None,
) -> None:
    """Show every run of one or several folders, the half-finished ones too.

    The same as a data frame: prunecheck.load_results(DIR, ..., select=...).

    Parameters
    ----------
    folders
        Folders that --out of other commands named, or single runs'. [default: runs]
    csv
        Print comma-separated values, with all that a run was and all that it ended with.
    parquet
        Write what --csv prints to a parquet file instead; needs pyarrow.
    """
    if csv + json + (parquet is not None) > 1:
        raise InputError("one form at a time: give one of --csv, --json and --parquet.")
    if parquet:
        _require_parquet(parquet)

    from prunecheck.api.selections import select_runs
    from prunecheck.runs.index import find_runs
    from prunecheck.studies.selection import read_selection

    selection, roots = read_selection(select), folders or (Path("runs"),)
    found = select_runs(find_runs(roots), selection, roots)
    if csv:
        from prunecheck.runs.table import runs_csv

        print_content(runs_csv(found.runs))
    elif json:
        from prunecheck.cli.study_runs import print_json
        from prunecheck.runs.table import runs_json

        print_json(runs_json(found))
    elif parquet:
        _write_parquet(found.runs, parquet)
    else:
        _print_table(found.runs)
    say_unreadable(found.unreadable)


def say_unreadable(unreadable: "Sequence[UnreadableRun | str]") -> None:
    """Say on stderr which folders, or questions in clauses, were left out."""
    if unreadable:
        say(f"left out what cannot be read: {'; '.join(map(str, unreadable))}.")


def _require_parquet(file: Path) -> None:
    """Raise :class:`InputError` unless a parquet file can be written there, over another one at most."""
    with extra("parquet", "--parquet"):
        import pandas  # type: ignore[import-untyped] # noqa: F401
        import pyarrow  # type: ignore[import-untyped] # noqa: F401
    require_output(file, is_own=_is_parquet)


def _is_parquet(file: Path) -> bool:
    with file.open("rb") as there:
        return there.read(len(PARQUET_SIGN)) == PARQUET_SIGN


def _write_parquet(runs: "Sequence[FoundRun]", file: Path) -> None:
    import io

    from prunecheck.io import atomic_write
    from prunecheck.runs.table import data_frame

    content = io.BytesIO()
    data_frame(runs).to_parquet(content, engine="pyarrow", index=False)
    atomic_write(file, content.getvalue())
    print_text(f"wrote {file}: {_count(runs)}")


def _print_table(runs: "Sequence[FoundRun]") -> None:
    from prunecheck.cli.output import print_out
    from prunecheck.metrics import ACCURACY
    from prunecheck.report.table import Column, Table, numbers, one_group, words
    from prunecheck.runs.names import cell, distinguishing_columns, heading, sorting_key
    from prunecheck.runs.table import spec_row

    rows = [spec_row(run.spec) for run in runs]
    columns = [name for name in distinguishing_columns(rows) if name != "epochs"]
    judged_otherwise = any(run.spec.setting.quantity != ACCURACY for run in runs)
    shown = (Column(heading(name), any(isinstance(row[name], int | float) for row in rows)) for name in columns)
    sparsities = _sparsity_texts(rows)
    cells = (
        (
            *(sparsities[_sparsity(row)] if name == "sparsity" else cell(row[name]) for name in columns),
            f"{run.epochs_done}/{run.spec.epochs}",
            accuracy_text(run),
            *([value_text(run)] if judged_otherwise else []),
            status_text(run),
        )
        for row, run in sorted(zip(rows, runs, strict=True), key=lambda pair: sorting_key(pair[0], columns))
    )
    values = numbers("epochs", "accuracy", *(["judged by"] if judged_otherwise else []))
    table = Table("", (*shown, *values, *words("status")), one_group(cells))
    same = {name: cell(rows[0][name]) for name in SAID_ONCE if rows and name not in columns}
    said = [f"{heading(name)} {text}" for name, text in same.items() if text]
    print_out(", ".join([_count(runs), *said]), *([table] if runs else []))


def _sparsity(row: dict[str, Any]) -> tuple[str, float]:
    return row["method"], row["sparsity"]


def _sparsity_texts(rows: "Sequence[dict[str, Any]]") -> dict[tuple[str, float], str]:
    """Return each method's sparsities as they are shown, those of one method apart from each other."""
    from prunecheck.runs.sparsities import sparsity_text

    found: dict[str, list[float]] = {}
    for method, sparsity in dict.fromkeys(map(_sparsity, rows)):
        found.setdefault(method, []).append(sparsity)
    return {(method, one): sparsity_text(one, every) for method, every in found.items() for one in every}


def _count(runs: "Sequence[FoundRun]") -> str:
    return "1 run" if len(runs) == 1 else f"{len(runs)} runs"


def accuracy_text(run: "FoundRun") -> str:
    """Return the test accuracy in percent; of an unfinished run the latest one."""
    return "" if run.latest_accuracy is None else f"{run.latest_accuracy:.2f}"


def value_text(run: "FoundRun") -> str:
    """Return what a run is judged by, with its name and unit; empty unless it was trained."""
    quantity = run.spec.setting.quantity
    value = run.result.value if run.result else None
    return quantity.name if value is None else f"{quantity.name} {quantity.with_unit(value)}"


def status_text(run: "FoundRun") -> str:
    """Return the status, and the reason for any but ``trained``."""
    return f"{run.status}: {run.reason}" if run.reason else run.status
