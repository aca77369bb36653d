"""The report that stands beside runs, as a file that follows what becomes of them."""

import shlex
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from prunecheck.errors import InputError

if TYPE_CHECKING:
    from prunecheck.analysis.comparison import Results


def require_report(out: Path) -> None:
    """Raise :class:`InputError` if there is a file in the place of the report that is not one."""
    from prunecheck.io import require_output
    from prunecheck.report.page import REPORT, is_report

    if out.is_dir():
        require_output(out / REPORT, is_own=is_report)


def write_report(out: Path, known: "Results" = MappingProxyType({})) -> Path:
    """Write the report of all that was asked in a folder of runs, beside them, and return its path.

    Args:
        out: the folder.
        known: what was read of the runs before, and is not read again.
    """
    from prunecheck.api.recorded import recorded_contents
    from prunecheck.io import atomic_write
    from prunecheck.report.page import REPORT, report_html

    file = out / REPORT
    command = shlex.join(["prunecheck", "report", str(out), "-o", str(file)])
    atomic_write(file, report_html(recorded_contents((out,), known=known), command))
    return file


def renew_report(out: Path, *, is_wanted: bool = False) -> None:
    """Write the report beside runs anew if there is one, or it is wanted; where no finished run is left, remove it.

    Raises:
        InputError: there are finished runs, of which no report can be made; one that is there stays as it is.
    """
    from prunecheck.report.page import REPORT, is_report
    from prunecheck.runs.index import find_runs

    file = out / REPORT
    is_there = file.exists()
    if is_there and not is_report(file):
        return  # somebody else's, under that name
    if not is_there and not is_wanted:
        return
    try:
        known = {run.spec: run.result for run in find_runs([out]).runs if run.result}
    except InputError:
        known = {}  # not even a folder of a run
    if known:
        write_report(out, known)
    else:
        file.unlink(missing_ok=True)
