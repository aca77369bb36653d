"""Tables in LaTeX, which fit the width of a page of two columns."""

import re
import textwrap
from collections.abc import Iterable

from prunecheck.printable import printable
from prunecheck.report.escaping import in_latex
from prunecheck.report.table import Column, Row, Table

PACKAGES = ("booktabs", "array", "graphicx")

LONG = 34
"""A column of words with a longer cell is broken into lines."""

SHARE_OF_LONG = 0.34
"""Of the width, for such a column."""

WIDTH_OF_COMMENTS = 110

FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
"""What is wider than the page becomes as wide, and what is narrower stays."""


def latex(tables: Iterable[Table], about: str, comments: Iterable[str] = ()) -> str:
    """Return tables as LaTeX for the packages :data:`PACKAGES`, each in a ``table*`` with a label.

    Args:
        tables: with titles.
        about: what they are of, a comment above them.
        comments: what else is said there.
    """
    packages = "".join(rf"\usepackage{{{name}}}" for name in PACKAGES)
    head = f"% {printable(' '.join(about.split()))}\n% needs {packages}\n"
    head += "".join(map(_comment, ["", *said])) if (said := list(comments)) else ""
    labels: dict[str, int] = {}
    return head + "\n".join(_table(table, _label(table, labels)) for table in tables)


def _comment(text: str) -> str:
    """Return text as lines of a comment; none of its words is broken."""
    words = printable(" ".join(text.split()))
    lines = textwrap.wrap(words, WIDTH_OF_COMMENTS, break_long_words=False, break_on_hyphens=False) or [""]
    return "".join(f"{f'% {line}'.rstrip()}\n" for line in lines)


def _label(table: Table, labels: dict[str, int]) -> str:
    """Return a label that no other table has: its name, or its title, in plain letters."""
    name = re.sub(r"[^a-z0-9]+", "-", (table.name or table.title).lower()).strip("-") or "table"
    labels[name] = labels.get(name, 0) + 1
    return name if labels[name] == 1 else f"{name}-{labels[name]}"


def _table(table: Table, label: str) -> str:
    lines = [
        r"\begin{table*}",
        r"  \centering",
        r"  \footnotesize",
        rf"  \caption{{{in_latex(table.title)}. {_numbers(in_latex(' '.join(table.notes)))}}}",
        rf"  \label{{tab:{label}}}",
        f"  {FIT}",
        rf"  \begin{{tabular}}{{@{{}}{_columns(table)}@{{}}}}",
        r"    \toprule",
        _line(table.headings),
    ]
    for group in table.groups:
        lines.append(r"    \midrule")
        if group.title:
            title = _numbers(in_latex(group.title))
            lines.append(rf"    \multicolumn{{{len(table.columns)}}}{{@{{}}l}}{{\emph{{{title}}}}} \\")
        lines += [_line(table.padded(row)) for row in group.rows]
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}}", r"\end{table*}", ""])


def _columns(table: Table) -> str:
    cells = zip(*table.rows, strict=True) if table.rows else ((),) * len(table.columns)
    return "".join(_column(column, tuple(of_column)) for column, of_column in zip(table.columns, cells, strict=True))


def _column(column: Column, cells: Row) -> str:
    if column.is_number:
        return "r"
    if max(map(len, cells), default=0) <= LONG:
        return "l"
    return rf">{{\raggedright\arraybackslash}}p{{{SHARE_OF_LONG}\linewidth}}"


def _line(cells: Row) -> str:
    return f"    {' & '.join(_numbers(in_latex(cell)) for cell in cells)} \\\\"


def _numbers(text: str) -> str:
    """Return text with true minus signs, and dashes where a number is missing."""
    text = re.sub(r"(?<![\w.}-])-(?=\d)", "$-$", text)
    return "--" if text == "-" else text
