"""Tables in LaTeX."""

from collections.abc import Iterable

from prunecheck.report.escaping import in_latex, printable
from prunecheck.report.table import Row, Table


def latex(tables: Iterable[Table], about: str) -> str:
    """Return tables as LaTeX for the package booktabs, each in a ``table``.

    Args:
        tables: with titles.
        about: what they are of, a comment above them.
    """
    head = f"% {printable(' '.join(about.split()))}\n% needs \\usepackage{{booktabs}}\n"
    return head + "\n".join(map(_table, tables))


def _table(table: Table) -> str:
    columns = "".join("r" if column.is_number else "l" for column in table.columns)
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{in_latex(table.title)}. {in_latex(' '.join(table.notes))}}}",
        rf"  \begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"    \toprule",
        _line(table.headings),
    ]
    for group in table.groups:
        lines.append(r"    \midrule")
        if group.title:
            lines.append(rf"    \multicolumn{{{len(table.columns)}}}{{@{{}}l}}{{\emph{{{in_latex(group.title)}}}}} \\")
        lines += [_line(table.padded(row)) for row in group.rows]
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}", ""])


def _line(cells: Row) -> str:
    return f"    {' & '.join(map(in_latex, cells))} \\\\"
