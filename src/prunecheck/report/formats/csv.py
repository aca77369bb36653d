"""Tables as comma-separated values."""

import csv
import io

from prunecheck.report.table import Table


def csv_text(table: Table) -> str:
    """Return a table's headings and rows; titles of groups stand in a first column ``group``, where there are any."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    has_titles = any(group.title for group in table.groups)
    writer.writerow(("group", *table.headings) if has_titles else table.headings)
    for group in table.groups:
        writer.writerows((*[group.title] * has_titles, *table.padded(row)) for row in group.rows)
    return text.getvalue()
