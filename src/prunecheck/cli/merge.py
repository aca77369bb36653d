"""``prunecheck merge`` makes several folders of runs one."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from prunecheck.cli.options import DryRun, Into
from prunecheck.cli.output import print_text, say


def merge(
    *folders: Annotated[Path, Parameter(name="DIR", show_default=False)],
    out: Into,
    dry_run: DryRun = False,
) -> None:
    """Copy the runs of several folders into one, with the questions that were asked about them.

    Of a run that lies in several folders, that is taken which is finished or has most epochs; what is in --out already
    stays, unless another is finished and it is not. The folders themselves stay as they are. Where a run ended
    otherwise in two of them, both are named, and the exit code is 1.

    Parameters
    ----------
    folders
        Folders that --out of other commands named.
    """
    from prunecheck.api import housekeeping
    from prunecheck.cli.results import say_unreadable
    from prunecheck.cli.study_runs import FAILED

    merged = housekeeping.merge(*folders, out=out, dry_run=dry_run)
    count, verb = len(merged.copied), "would copy" if dry_run else "copied"
    runs = f"{count:,} run{'s' * (count != 1)}"
    print_text(
        f"{verb} {runs} ({merged.size / 1e6:.1f} MB) into {out}, beside {merged.present:,} that stay as they are"
    )
    say_unreadable(merged.unreadable)
    for text in (*merged.unreadable_questions, *map(str, merged.conflicts)):
        say(f"{text}.")
    if merged.conflicts:
        sys.exit(FAILED)
