"""A table, whatever it is shown in: terminal, Markdown, LaTeX, CSV, HTML (see :mod:`prunecheck.report.formats`)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prunecheck.analysis.verdicts import Verdict

if TYPE_CHECKING:
    from rich.console import Group

Row = tuple[str, ...]
"""Cells of text, of any characters; what is missing at the end is empty."""


class VerdictCell(str):
    """A cell that says a verdict, which has a colour and a sign where these can be shown."""

    verdict: Verdict

    def __new__(cls, text: str, verdict: Verdict) -> "VerdictCell":
        """Give a text its verdict."""
        cell = super().__new__(cls, text)
        cell.verdict = verdict
        return cell


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        is_number: whether it is aligned at the right, and its cells are never broken into lines.
    """

    heading: str
    is_number: bool = False


@dataclass(frozen=True)
class RowGroup:
    """Rows that belong together.

    Attributes:
        title: what they have in common; may be empty.
    """

    rows: tuple[Row, ...]
    title: str = ""


@dataclass(frozen=True)
class Table:
    """Cells of text in named columns.

    Attributes:
        title: stands above it; may be empty.
        groups: of rows, from top to bottom.
        notes: sentences that stand below it.
        kind: the class of the page's style sheet that lays it out.
        name: what it is called in labels and where it is chosen; empty for its title.
    """

    title: str
    columns: tuple[Column, ...]
    groups: tuple[RowGroup, ...]
    notes: tuple[str, ...] = ()
    kind: str = ""
    name: str = ""

    @property
    def headings(self) -> Row:
        """Of the columns."""
        return tuple(column.heading for column in self.columns)

    @property
    def rows(self) -> tuple[Row, ...]:
        """Those of all groups, each with a cell for every column."""
        return tuple(self.padded(row) for group in self.groups for row in group.rows)

    def padded(self, row: Row) -> Row:
        """Return a row with an empty cell for each that is missing at its end."""
        return (*row, *("",) * (len(self.columns) - len(row)))

    def __rich__(self) -> "Group":
        """Return what rich prints."""
        from prunecheck.report.formats.terminal import rich_table

        return rich_table(self)


def words(*headings: str) -> tuple[Column, ...]:
    """Return columns of words."""
    return tuple(Column(heading) for heading in headings)


def numbers(*headings: str) -> tuple[Column, ...]:
    """Return columns of numbers."""
    return tuple(Column(heading, is_number=True) for heading in headings)


def one_group(rows: Iterable[Iterable[Any]]) -> tuple[RowGroup, ...]:
    """Return rows as one group without a title; cells are made texts, None an empty one."""
    return (RowGroup(tuple(tuple("" if cell is None else str(cell) for cell in row) for row in rows)),)
