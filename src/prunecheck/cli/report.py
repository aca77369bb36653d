"""``prunecheck report`` makes one page of everything that some runs show."""

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from prunecheck.cli.options import Family
from prunecheck.errors import InputError
from prunecheck.io import require_output, write_output


def report(
    *folders: Annotated[Path, Parameter(name="DIR", show_default=False)],
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], show_default=False)] = None,
    markdown: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    latex: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    csv: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    margin: Annotated[float | None, Parameter(show_default=False)] = None,
    baseline: Annotated[str | None, Parameter(show_default=False)] = None,
    family: Family = "question",
) -> None:
    """Make a report of recorded runs: verdicts, figures and tables, in one page that needs nothing else.

    Questions that commands asked are answered as they were asked, and what else lies there is gathered to one question
    a method. Runs of several folders are taken together; those of different data, networks or recipes are never
    compared with each other. Nothing is trained.

    Parameters
    ----------
    folders
        Folders that --out of other commands named, or single runs'. [default: runs]
    output
        File to write. [default: report.html; tables are printed]
    markdown
        Print the tables in Markdown instead.
    latex
        Print the tables in LaTeX instead, for the package booktabs.
    csv
        Print the verdicts as CSV instead, one comparison a row.
    margin
        What makes no practical difference, in the unit of what runs are judged by, stated before the runs. [default:
        as it was asked, or 2 points of what is measured in percent]
    baseline
        Method whose tickets the others' are compared with; none for nothing. [default: as it was asked, or
        random-smart, where it was run]
    """
    if sum((markdown, latex, csv)) > 1:
        raise InputError("one form at a time: give --markdown, --latex or --csv.")
    is_page = not (markdown or latex or csv)

    from prunecheck.api.arguments import read_family
    from prunecheck.report.page import REPORT

    scope = read_family(family)
    file = output or (Path(REPORT) if is_page else None)
    if file:
        from prunecheck.report.page import is_report

        require_output(file, is_own=is_report if is_page else None)

    from prunecheck.report.contents import contents_of_runs
    from prunecheck.report.page import paper_tables, report_html
    from prunecheck.runs.index import find_runs
    from prunecheck.studies.question_log import read_questions

    roots = folders or (Path("runs"),)
    found = find_runs(roots)
    logged = [entry for root in dict.fromkeys(roots) for entry in read_questions(root)]
    contents = contents_of_runs(found, margin, baseline, scope, logged)
    form = "--markdown" if markdown else "--latex" if latex else "--csv" if csv else None
    command = _command(folders, output, form, margin, baseline, family)
    if is_page:
        content = report_html(contents, command)
    else:
        from prunecheck.report.formats.csv import csv_text
        from prunecheck.report.formats.latex import latex as in_latex
        from prunecheck.report.formats.markdown import markdown as in_markdown
        from prunecheck.report.tables import verdict_values

        if csv:
            content = csv_text(verdict_values(contents))
        elif markdown:
            content = in_markdown(paper_tables(contents))
        else:
            content = in_latex(paper_tables(contents), f"made by: {command}")
    if file is None:
        print(content, end="")
        return
    if is_page:
        from prunecheck.io import atomic_write

        atomic_write(file, content)
    else:
        write_output(content, file)
    print(f"wrote {file}")


def _command(
    folders: tuple[Path, ...],
    output: Path | None,
    form: str | None,
    margin: float | None,
    baseline: str | None,
    family: str,
) -> str:
    words = ["prunecheck", "report", *map(str, folders)]
    words += ["-o", str(output)] if output else []
    words += [form] if form else []
    words += ["--margin", f"{margin:g}"] if margin is not None else []
    words += ["--baseline", baseline] if baseline else []
    words += ["--family", family] if family != "question" else []
    return shlex.join(words)
