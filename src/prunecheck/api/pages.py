"""Where a report may be written."""

from pathlib import Path

from prunecheck.errors import InputError
from prunecheck.report.page import is_report

REPORT = "report.html"
"""What a report is called unless the user says otherwise."""


def require_report_place(file: Path, is_page: bool = True) -> None:
    """Raise :class:`InputError` unless a report can be written there, over another one at most.

    Args:
        file: where.
        is_page: whether it is one as HTML.
    """
    if file.is_dir():
        raise InputError(f"{file} is a folder: give the report the name of a file.")
    if not file.parent.is_dir():
        raise InputError(f"there is no folder {file.parent}: make it, or write the report elsewhere.")
    if is_page and file.exists() and not (file.is_file() and is_report(file)):
        raise InputError(f"{file} exists and is no report of prunecheck: write it elsewhere, or remove that file.")
