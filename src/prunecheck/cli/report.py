"""``prunecheck report`` makes one page of everything that some runs show."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prunecheck.cli.output import write_output
from prunecheck.cli.study_runs import read_family
from prunecheck.errors import InputError

if TYPE_CHECKING:
    from prunecheck.analysis.comparison import Results
    from prunecheck.analysis.families import Conclusion

REPORT = "report.html"
"""What a report is called unless the user says otherwise."""


def report(
    *folders: Annotated[Path, Parameter(name="DIR", show_default=False)],
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], show_default=False)] = None,
    markdown: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    latex: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    csv: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    margin: Annotated[float | None, Parameter(show_default=False)] = None,
    baseline: Annotated[str | None, Parameter(show_default=False)] = None,
    family: str = "question",
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
        Points of accuracy that make no practical difference, stated before the runs. [default: as it was asked, or 2]
    baseline
        Method whose tickets the others' are compared with; none for nothing. [default: as it was asked, or
        random-smart, where it was run]
    family
        The comparisons over which verdicts are wrong together in 5 % at most: those of each question by itself
        (question), or of the whole report (report).
    """
    if sum((markdown, latex, csv)) > 1:
        raise InputError("one form at a time: give --markdown, --latex or --csv.")
    is_page = not (markdown or latex or csv)
    scope = read_family(family)
    file = output or (Path(REPORT) if is_page else None)
    if file:
        require_report_place(file, is_page)

    from prunecheck.analysis.recorded import require_margin
    from prunecheck.report.contents import contents_of_runs
    from prunecheck.report.page import paper_tables, report_html
    from prunecheck.runs.index import find_runs
    from prunecheck.studies.question_log import read_questions

    if margin is not None:
        require_margin(margin)
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
        from prunecheck.io import write_whole

        write_whole(file, content)
    else:
        write_output(content.encode(), file)
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


def require_report_place(file: Path, is_page: bool = True, option: str = "--output") -> None:
    """Raise :class:`InputError` unless a report can be written there, over another one at most.

    Args:
        file: where.
        is_page: whether it is one as HTML.
        option: that the user can change.
    """
    from prunecheck.report.page import is_report

    if file.is_dir():
        raise InputError(f"{file} is a folder: give --output the name of a file.")
    if not file.parent.is_dir():
        raise InputError(f"there is no folder {file.parent}: make it, or choose another {option}.")
    if is_page and file.exists() and not (file.is_file() and is_report(file)):
        raise InputError(f"{file} exists and is no report of prunecheck: choose another {option}, or remove it.")


def write_check_report(answer: "Conclusion", results: "Results", root: Path, quiet: bool) -> None:
    """Write the report of a check beside its runs, and say on stderr where.

    Args:
        answer: to its question.
        results: of its runs.
        root: where they are.
        quiet: whether to say nothing.
    """
    from prunecheck.io import write_whole
    from prunecheck.report.contents import contents_of_conclusions
    from prunecheck.report.page import report_html

    file = root / REPORT
    words = [word for word in sys.argv[1:] if word not in ("--json", "--quiet")]  # these change no report
    page = report_html(contents_of_conclusions([answer], results, root), shlex.join(["prunecheck", *words]))
    write_whole(file, page)
    if not quiet:
        print(f"wrote {file}", file=sys.stderr)
