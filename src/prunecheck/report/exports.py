"""A report's tables in Markdown and LaTeX, for papers, and its verdicts as CSV."""

import csv
import io
from collections.abc import Sequence

from prunecheck.report.contents import ReportContents
from prunecheck.report.tables import Row, Table
from prunecheck.report.terminal import why_undecided

LATEX_SIGNS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "…": r"\ldots{}",
}

MARKDOWN_SIGNS = {sign: f"\\{sign}" for sign in "\\`*_[]<>|#~"}


def markdown(titled: Sequence[tuple[str, Table]]) -> str:
    """Return tables as Markdown, each below its title; names in them are text and no markup."""
    return "\n".join(_markdown_table(title, table) for title, table in titled)


def _markdown_table(title: str, table: Table) -> str:
    rules = ("---" if column in table.words else "---:" for column in range(len(table.headings)))
    lines = [f"## {_in_markdown(title)}", "", _in_markdown(table.caption), ""]
    lines += [_markdown_line(map(_in_markdown, table.headings)), f"|{'|'.join(rules)}|"]
    for group, rows in table.groups:
        if group:
            lines.append(_markdown_line([f"**{_in_markdown(group)}**", *[""] * (len(table.headings) - 1)]))
        lines += [_markdown_line(map(_in_markdown, row)) for row in rows]
    return "\n".join([*lines, ""])


def _markdown_line(cells: "Sequence[str] | map[str]") -> str:
    return f"| {' | '.join(cells)} |"


def _in_markdown(text: str) -> str:
    return "".join(MARKDOWN_SIGNS.get(sign, sign) for sign in " ".join(text.split()))


def latex(titled: Sequence[tuple[str, Table]], about: str) -> str:
    """Return tables as LaTeX for the package booktabs, each in a ``table``.

    Args:
        titled: tables and their titles.
        about: what they are of, a comment above them.
    """
    head = f"% {' '.join(about.split())}\n% needs \\usepackage{{booktabs}}\n"
    return head + "\n".join(_latex_table(title, table) for title, table in titled)


def _latex_table(title: str, table: Table) -> str:
    columns = "".join("l" if column in table.words else "r" for column in range(len(table.headings)))
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_in_latex(title)}. {_in_latex(table.caption)}}}",
        rf"  \begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"    \toprule",
        _latex_line(table.headings),
    ]
    for group, rows in table.groups:
        lines.append(r"    \midrule")
        if group:
            lines.append(rf"    \multicolumn{{{len(table.headings)}}}{{@{{}}l}}{{\emph{{{_in_latex(group)}}}}} \\")
        lines += [_latex_line(row) for row in rows]
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}", ""])


def _latex_line(cells: Row) -> str:
    return f"    {' & '.join(map(_in_latex, cells))} \\\\"


def _in_latex(text: str) -> str:
    # A line that begins with [ would be taken for an argument of the line break before it.
    escaped = "".join(LATEX_SIGNS.get(sign, sign) for sign in " ".join(text.split()))
    return f"{{}}{escaped}" if escaped.startswith(("[", "*")) else escaped


CSV_COLUMNS = (
    *("setting", "method", "sparsity", "against", "is_check", "accuracy", "changed_accuracy", "difference"),
    *("low", "high", "pairs", "p", "p_adjusted", "family", "family_size", "margin", "verdict", "why"),
    *("lost_by_the_change", "lost_without_the_change", "looks"),
)


def verdicts_csv(contents: ReportContents) -> str:
    """Return every comparison in a row, with the family that its p value is adjusted within; empty where unknown."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for setting, answer in contents.answers():
        for one in answer.comparisons:
            difference = one.difference
            low, high = difference.interval if difference and difference.interval else (None, None)
            writer.writerow(
                [
                    *(setting.title, one.method, one.sparsity, one.against, one.is_check),
                    *(one.own.accuracy, one.other.accuracy, difference and difference.mean, low, high, len(one.pairs)),
                    *((one.p, one.adjusted_p) if one.is_tested else (None, None)),
                    *(answer.family.scope.value, answer.family.size, one.margin, one.verdict.value),
                    why_undecided(one, answer.dense_at_chance),
                    *(len(one.lost_by_the_change), len(one.lost_without_the_change)),
                    " ".join(map(str, answer.looks)),
                ]
            )
    return text.getvalue()
