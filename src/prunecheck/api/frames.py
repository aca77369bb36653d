"""Answers as data frames."""

import io
from typing import TYPE_CHECKING

from prunecheck.report.contents import Evidence
from prunecheck.report.exports import CSV_COLUMNS, verdicts_csv

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

WORDS = ("setting", "method", "against", "family", "verdict", "why", "looks")
COUNTS = ("pairs", "family_size", "lost_by_the_change", "lost_without_the_change")


def verdict_frame(evidence: Evidence) -> "pd.DataFrame":
    """Return every comparison in a row; see :meth:`prunecheck.Answer.to_frame`."""
    import pandas as pd

    kinds = dict.fromkeys(CSV_COLUMNS, "float64") | dict.fromkeys(WORDS, "string") | dict.fromkeys(COUNTS, "Int64")
    # One schema: that of the CSV file, whose empty cells are what is missing, and whose words are never numbers.
    return pd.read_csv(
        io.StringIO(verdicts_csv(evidence)),
        dtype=kinds | {"is_check": "bool"},
        keep_default_na=False,
        na_values=[""],
        float_precision="round_trip",
    )
