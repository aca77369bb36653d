"""``prunecheck clean`` removes what is not needed any more."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from prunecheck.cli.options import DryRun, Select
from prunecheck.cli.output import print_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prunecheck.runs.clean import Removable


def clean(
    folder: Annotated[Path, Parameter(name="DIR")] = Path("runs"),
    /,
    *,
    remove: Literal["momentum", "weights", "runs"] = "momentum",
    select: Select = None,
    dry_run: DryRun = False,
) -> None:
    """Remove what runs needed to go on after an interruption, and need no more; or weights, or whole runs.

    Results, metrics, curves and logs stay unless whole runs are removed: all that verdicts and reports are made of.
    Runs that are not finished, or failed and can be tried again, stay as they are unless they are removed as a whole.
    What kills in the middle of a write have left is always removed. `clean --select "status=failed" --remove runs
    --dry-run` says what would go.

    Parameters
    ----------
    folder
        What --out of other commands named.
    remove
        momentum: the optimiser's, of runs that have ended (half of last.safetensors). weights: trained weights and
        tickets of runs that have ended, which exports, lottery tickets and rewound ones are made of; those that runs
        which are not finished start from stay. runs: whole runs, which --select has to choose; they are done anew when
        they are asked for again.
    """
    from prunecheck.api import housekeeping
    from prunecheck.cli.results import say_unreadable

    removable = housekeeping.clean(folder, remove=remove, select=select, dry_run=dry_run)
    what = " and ".join(_descriptions(removable))
    if what:
        verb = "would free" if dry_run else "freed"
        print_text(f"{verb} {removable.size / 1e6:.1f} MB in {folder}: {what}")
    else:
        print_text(f"there is nothing to remove in {folder}")
    if dry_run and removable.runs:
        print_text("\n".join(sorted(path.name for path in removable.runs)))
    if removable.needed:
        print_text(
            f"the weights of {_count(len(removable.needed), 'run')} stay: runs that are not finished start from them"
        )
    say_unreadable(removable.unreadable)


def _descriptions(removable: "Removable") -> "Iterator[str]":
    if removable.runs:
        yield f"{_count(len(removable.runs), 'run')} as a whole"
    if removable.weights:
        yield f"the weights of {_count(len({file.parent for file in removable.weights}), 'run')}"
    if removable.momentum:
        yield f"the momentum of {_count(len(removable.momentum), 'run')} that ended"
    if removable.leftovers:
        yield f"{_count(len(removable.leftovers), 'file')} that a kill left half-written"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
