"""``prunecheck clean`` removes what is only needed to go on."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def clean(
    folder: Annotated[Path, Parameter(name="DIR")] = Path("runs"),
    /,
    *,
    dry_run: Annotated[bool, Parameter(negative="", show_default=False)] = False,
) -> None:
    """Remove what runs needed to go on after an interruption, and need no more.

    That is the optimiser's momentum of runs that have ended (half of last.safetensors), and what kills in the middle
    of a write have left. Trained weights, tickets, results, metrics, curves and logs stay; so do whole runs that are
    not finished, or failed and can be tried again.

    Parameters
    ----------
    folder
        What --out of other commands named.
    dry_run
        Only say what would be removed.
    """
    from prunecheck.cli.results import say_unreadable
    from prunecheck.runs.clean import clean as remove
    from prunecheck.runs.clean import find_removable

    removable = find_removable(folder) if dry_run else remove(folder)
    momentum, leftovers = len(removable.momentum), len(removable.leftovers)
    if momentum or leftovers:
        verb = "would free" if dry_run else "freed"
        of_runs = f"the momentum of {momentum} run{'s' * (momentum != 1)} that ended"
        of_kills = f"{leftovers} file{'s' * (leftovers != 1)} that a kill left half-written"
        what = " and ".join(text for count, text in ((momentum, of_runs), (leftovers, of_kills)) if count)
        print(f"{verb} {removable.size / 1e6:.1f} MB in {folder}: {what}")
    else:
        print(f"there is nothing to remove in {folder}")
    say_unreadable(removable.unreadable)
