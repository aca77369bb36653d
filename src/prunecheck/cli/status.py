"""``prunecheck status`` and ``prunecheck stop``: a command that is at work, seen from another terminal."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from prunecheck.cli.options import Json
from prunecheck.cli.output import print_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prunecheck.report.table import Table
    from prunecheck.runs.status import State

Folder = Annotated[Path, Parameter(name="DIR")]


def status(
    folder: Folder = Path("runs"),
    /,
    *,
    json: Json = False,
) -> None:
    """Say how far the runs of a folder are, and whether a command is at work there.

    Running are those runs that the command at work has begun or gone on with; interrupted are those that wait for
    their command to be called again, or to come to them. Of the study at work, or else the latest one, it also
    says how many runs it has and how many of them are done.

    Parameters
    ----------
    folder
        What --out of other commands named.
    """
    from prunecheck.cli.results import say_unreadable
    from prunecheck.runs.status import look_at

    state = look_at(folder)
    if json:
        import json as json_module

        print(json_module.dumps(_as_json(folder, state), indent=2, allow_nan=False))
    else:
        _print(folder, state)
    say_unreadable(state.unreadable)


def stop(folder: Folder = Path("runs"), /) -> None:
    """Ask the command that is at work in a folder to finish its epochs, save and stop.

    When it is called again it goes on from there.

    Parameters
    ----------
    folder
        What its --out named.
    """
    from prunecheck.runs.status import request_stop

    request_stop(folder)
    print_text(f"asked the prunecheck in {folder} to stop: it finishes the epochs that are going on, saves and ends")


def _as_json(folder: Path, state: "State") -> dict[str, Any]:
    return {
        "schema": 1,
        "folder": str(folder),
        "at_work": state.at_work,
        "stopping": state.stopping,
        **state.counts(),
        "epochs_done": state.epochs_done,
        "planned": None if state.planned is None else {"runs": state.planned.count, "done": state.planned_done},
        "running_runs": [
            {
                "folder": str(run.path),
                "epochs_done": run.epochs_done,
                "epochs": run.spec.epochs,
                "accuracy": run.latest_accuracy,
            }
            for run in state.running
        ],
        "untrained_runs": [
            {"folder": str(run.path), "status": run.status, "reason": run.reason} for run in state.untrained
        ],
    }


def _print(folder: Path, state: "State") -> None:
    from prunecheck.cli.output import print_out

    asked = ", and was asked to stop" if state.stopping else ""
    print_text(f"a prunecheck is at work in {folder}{asked}" if state.at_work else f"nothing is at work in {folder}")
    counts = ", ".join(f"{count} {name}" for name, count in state.counts().items() if count)
    print_text(f"{counts}; {state.epochs_done} epochs done" if counts else "no run has begun")
    if state.planned is not None:
        study = "its study" if state.at_work else "the latest study"
        print_text(f"{state.planned_done} of the {state.planned.count} runs of {study} are done")
    if state.running:
        print_out(_running_table(state))
    if state.untrained:
        print_out(_untrained_table(state))


def _running_table(state: "State") -> "Table":
    from prunecheck.cli.results import accuracy_text

    rows = ((run.path.name, f"{run.epochs_done}/{run.spec.epochs}", accuracy_text(run)) for run in state.running)
    return _table(("running", "epochs", "accuracy"), rows)


def _untrained_table(state: "State") -> "Table":
    """Count the runs that ended in the same way for the same reason, and name the first of each."""
    from prunecheck.cli.results import status_text

    alike: dict[str, list[str]] = {}
    for run in state.untrained:
        alike.setdefault(status_text(run), []).append(run.path.name)
    rows = (
        (names[0] if len(names) == 1 else f"{names[0]}, ...", len(names), why)
        for why, names in sorted(alike.items(), key=lambda item: -len(item[1]))
    )
    return _table(("not trained", "runs", "why"), rows)


def _table(headings: tuple[str, str, str], rows: "Iterable[Iterable[Any]]") -> "Table":
    from prunecheck.report.table import Table, numbers, one_group, words

    name, number, last = headings
    return Table("", (*words(name), *numbers(number), *words(last)), one_group(rows))
