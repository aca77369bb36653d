"""``prunecheck report`` makes one page of everything that some runs show."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prunecheck.cli.output import write_output
from prunecheck.errors import InputError

if TYPE_CHECKING:
    from prunecheck.studies import CheckStudy

REPORT = "report.html"
"""What a report is called unless the user says otherwise."""


def report(
    *folders: Annotated[Path, Parameter(name="DIR", show_default=False)],
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], show_default=False)] = None,
    markdown: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    latex: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    margin: float = 2.0,
    baseline: Annotated[str | None, Parameter(show_default=False)] = None,
) -> None:
    """Make a report of recorded runs: verdicts, figures and tables, in one page that needs nothing else.

    Runs of several folders are taken together; those of different data, networks or recipes are never compared with
    each other. Nothing is trained.

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
    margin
        Points of accuracy that make no practical difference, stated before the runs.
    baseline
        Method whose tickets the others' are compared with; none for nothing. [default: random-smart, where it was run]
    """
    if markdown and latex:
        raise InputError("one form at a time: give --markdown or --latex.")
    is_page = not (markdown or latex)
    file = output or (Path(REPORT) if is_page else None)
    if file:
        require_report_place(file, is_page)

    from prunecheck.analysis.evidence import evidence_of_runs
    from prunecheck.analysis.recorded import USUAL_BASELINE, require_margin
    from prunecheck.analysis.report import paper_tables, report_html
    from prunecheck.studies.found_runs import find_runs

    require_margin(margin)
    found = find_runs(folders or (Path("runs"),))
    usual = USUAL_BASELINE if baseline is None else baseline
    evidence = evidence_of_runs(found, margin, None if usual == "none" else usual)
    command = _command(folders, output, markdown, latex, margin, baseline)
    if is_page:
        content = report_html(evidence, command)
    else:
        from prunecheck.analysis.exports import latex as in_latex
        from prunecheck.analysis.exports import markdown as in_markdown

        tables = paper_tables(evidence)
        content = in_markdown(tables) if markdown else in_latex(tables, f"made by: {command}")
    if file is None:
        print(content, end="")
        return
    if is_page:
        from prunecheck.files import write_whole

        write_whole(file, content)
    else:
        write_output(content.encode(), file)
    print(f"wrote {file}")


def _command(
    folders: tuple[Path, ...], output: Path | None, markdown: bool, latex: bool, margin: float, baseline: str | None
) -> str:
    words = ["prunecheck", "report", *map(str, folders)]
    words += ["-o", str(output)] if output else []
    words += ["--markdown"] if markdown else ["--latex"] if latex else []
    words += ["--margin", f"{margin:g}"]
    words += ["--baseline", baseline] if baseline else []
    return shlex.join(words)


def require_report_place(file: Path, is_page: bool = True, option: str = "--output") -> None:
    """Raise :class:`InputError` unless a report can be written there, over another one at most.

    Args:
        file: where.
        is_page: whether it is one as HTML.
        option: that the user can change.
    """
    from prunecheck.analysis.report import is_report

    if file.is_dir():
        raise InputError(f"{file} is a folder: give --output the name of a file.")
    if not file.parent.is_dir():
        raise InputError(f"there is no folder {file.parent}: make it, or choose another {option}.")
    if is_page and file.exists() and not (file.is_file() and is_report(file)):
        raise InputError(f"{file} exists and is no report of prunecheck: choose another {option}, or remove it.")


def write_check_report(question: "CheckStudy", root: Path, quiet: bool) -> None:
    """Write the report of a check beside its runs, and say on stderr where.

    Args:
        question: whose runs are done.
        root: where they are.
        quiet: whether to say nothing.
    """
    from prunecheck.analysis.evidence import evidence_of_study
    from prunecheck.analysis.report import report_html
    from prunecheck.files import write_whole

    file = root / REPORT
    words = [word for word in sys.argv[1:] if word not in ("--json", "--quiet")]  # these change no report
    write_whole(file, report_html(evidence_of_study(question, root), shlex.join(["prunecheck", *words])))
    if not quiet:
        print(f"wrote {file}", file=sys.stderr)
