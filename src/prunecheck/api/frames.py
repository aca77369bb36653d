"""Answers as data frames."""

import csv
import io
from typing import TYPE_CHECKING

from prunecheck.report.contents import ReportContents
from prunecheck.report.formats.csv import csv_text
from prunecheck.report.tables import verdict_values

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

WORDS = (
    "setting",
    "method",
    "against",
    "family",
    "family_text",
    "verdict",
    "why",
    "looks",
    "metric",
    "unit",
    "differences_in",
)
ASKED = ("asked_baseline", "chosen_afterwards", "asked_differences_in")
YES_OR_NO = ("is_check", "higher_is_better")
COUNTS = ("pairs", "family_size", "lost_by_the_change", "lost_without_the_change")


def verdict_frame(contents: ReportContents) -> "pd.DataFrame":
    """Return every comparison in a row; see :meth:`prunecheck.Answer.to_frame`."""
    import pandas as pd

    # One schema: that of the CSV file, whose empty cells are what is missing.
    table = verdict_values(contents)
    rows = list(csv.DictReader(io.StringIO(csv_text(table))))
    return pd.DataFrame({name: _column(name, [row[name] or None for row in rows]) for name in table.headings})


def _column(name: str, cells: list[str | None]) -> "pd.api.extensions.ExtensionArray":
    import pandas as pd

    if name in WORDS or name in ASKED:
        return pd.array(cells, dtype="string")
    if name in YES_OR_NO:
        return pd.array([cell == "True" for cell in cells], dtype="bool")
    read, kind = (int, "Int64") if name in COUNTS else (float, "float64")
    return pd.array([None if cell is None else read(cell) for cell in cells], dtype=kind)
