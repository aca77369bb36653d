"""``prunecheck report`` makes one page of everything that some runs show, and tables and figures for papers."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prunecheck.cli.arguments import Amount
from prunecheck.cli.options import OUT, FailOn, Json, RecordedFamily, Select
from prunecheck.cli.output import print_content, print_text
from prunecheck.cli.study_runs import exit_unless_decided, read_fail_on
from prunecheck.errors import InputError
from prunecheck.io import require_output, require_output_folder, write_output

if TYPE_CHECKING:
    from prunecheck.api.answers import RecordedAnswers

FORMS = {".tex": "latex", ".md": "markdown", ".csv": "csv", ".json": "json"}
"""What a file is that has such an ending, unless an option says so; another one is the page."""

OF_FIGURES = (".pdf", ".png", ".svg", ".jpg", ".jpeg")
"""Endings of files that no page is written to."""

Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Chosen = Annotated[str | None, Parameter(show_default=False)]


def report(
    *folders: Annotated[Path, Parameter(name="DIR", show_default=False)],
    out: Annotated[Path | None, Parameter(name=OUT, show_default=False)] = None,
    markdown: Flag = False,
    latex: Flag = False,
    csv: Flag = False,
    json: Json = False,
    table: Chosen = None,
    figures: Annotated[Path | None, Parameter(show_default=False)] = None,
    select: Select = None,
    name: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
    margin: Annotated[Amount | None, Parameter(show_default=False)] = None,
    baseline: Chosen = None,
    family: RecordedFamily = None,
    fail_on: FailOn = None,
) -> None:
    """Make a report of recorded runs: verdicts, figures and tables, in one page that needs nothing else.

    Questions that commands asked are answered as they were asked, and what else lies there is gathered to one question
    a method. Runs of several folders are taken together; those of different data, networks or recipes are never
    compared with each other. Nothing is trained.

    --select chooses what is shown: verdicts, and their families, stay what they are. Of your own code only the latest
    version is shown, unless it says version=latest,old.

    Parameters
    ----------
    folders
        Folders that --out of other commands named, or single runs'. [default: runs]
    out
        File to write; its ending says what it is: .tex, .md, .csv and .json what the options of these names print, any
        other the page. [default: report.html; tables are printed]
    markdown
        Print a document in Markdown instead: what the verdicts mean, what a reader must know, and the tables.
    latex
        Print the tables in LaTeX instead, for the packages booktabs, array and graphicx; what they mean stands in
        comments above them.
    csv
        Print the verdicts as CSV instead, one comparison a row.
    table
        In Markdown and LaTeX, only this table: verdicts, seeds, values, doses, keep-ratios, lost or settings.
        [default: all]
    figures
        Write the figures into this folder instead, each by its name as SVG, PDF and PNG (needs prunecheck[figures]).
    name
        What a method is to be called: --name 'my.py:fisher=Fisher (ours)'; once for each.
    margin
        What makes no practical difference, stated before the runs: in the unit of what they are judged by, or 1% of its
        value. [default: as it was asked, or 2 points of what is measured in percent]
    baseline
        Method whose tickets the others' are compared with; none for nothing. [default: as it was asked, or
        random-smart, where it was run]
    """
    form = _form({"markdown": markdown, "latex": latex, "csv": csv, "json": json}, out, figures)
    if table is not None and form not in ("markdown", "latex"):
        raise InputError("--table chooses one of the tables in Markdown or LaTeX: give --markdown or --latex.")

    from prunecheck.report.page import REPORT, is_report

    failing = read_fail_on(fail_on)
    names = dict(map(_read_name, name))
    file = out or (Path(REPORT) if form == "html" else None)
    if file:
        require_output(file, is_own=is_report if form == "html" else None)
    if figures:
        require_output_folder(figures)

    from prunecheck.api.recorded import load_answers
    from prunecheck.cli.results import say_unreadable
    from prunecheck.report.selection import renamed

    answers = load_answers(*folders, margin=margin, baseline=baseline, family=family, select=select)
    say_unreadable(answers.contents.unreadable)
    answers = answers.of(renamed(answers.contents, names))
    if figures:
        _write_figures(answers, figures)
    else:
        command = _command(
            folders,
            **{"--out": out, f"--{form}": form != "html" and form != FORMS.get(out.suffix if out else "")},
            **{"--table": table, "--select": select, "--name": name},
            **{
                "--margin": f"{margin:g}" if isinstance(margin, float) else margin,
                "--baseline": baseline,
                "--family": family,
            },
        )
        _write(_content(answers, form, table, command), file, is_page=form == "html", answers=answers)
    exit_unless_decided(answers, failing)


def _form(asked: dict[str, bool], out: Path | None, figures: Path | None) -> str:
    """Return what is made: what an option asks for, or the ending of the file says."""
    forms = [form for form, is_asked in asked.items() if is_asked]
    if len(forms) > 1:
        raise InputError("one form at a time: give --markdown, --latex, --csv or --json.")
    if figures and (forms or out):
        raise InputError("--figures writes figures alone: leave the other forms and -o out.")
    if forms or out is None:
        return forms[0] if forms else "html"
    if out.suffix.lower() in OF_FIGURES:
        raise InputError(
            f"{out} is to hold the page, which is HTML: give -o a name that ends in .html, print that page to PDF "
            "in a browser, or take --figures DIR for figures."
        )
    return FORMS.get(out.suffix.lower(), "html")


def _read_name(text: str) -> tuple[str, str]:
    method, sign, name = text.rpartition("=")
    if not (sign and method and name):
        raise InputError(f"--name takes METHOD=NAME, such as 'snip=SNIP', not {text!r}.", field="name")
    return method, name


def _write_figures(answers: "RecordedAnswers", folder: Path) -> None:
    from prunecheck.io import atomic_write
    from prunecheck.report.figure_names import named_figures
    from prunecheck.report.formats.figures import FORMATS, figure_bytes, is_figure

    figures = named_figures(answers.contents)
    files = {folder / f"{name}.{format}": (svg, format) for name, svg in figures.items() for format in FORMATS}
    contents = {file: figure_bytes(*drawn) for file, drawn in files.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for file in contents:
        require_output(file, is_own=lambda path: is_figure(path.read_bytes()))
    for file, content in contents.items():
        atomic_write(file, content)
    count = "1 figure" if len(figures) == 1 else f"{len(figures)} figures"
    print_text("\n  ".join([f"wrote {count} into {folder}, each as {', '.join(FORMATS)}:", *figures]))


def _write(content: str, file: Path | None, *, is_page: bool, answers: "RecordedAnswers") -> None:
    if file is None:
        print_content(content)
        return
    if is_page:
        from prunecheck.io import atomic_write

        atomic_write(file, content)
        _print_matrix(answers)
    else:
        write_output(content, file)
    print_text(f"wrote {file}")


def _print_matrix(answers: "RecordedAnswers") -> None:
    from prunecheck.cli.output import print_out
    from prunecheck.report.in_words import subtitle
    from prunecheck.report.matrix import verdict_matrix

    if matrix := verdict_matrix(answers.contents):
        print_out(subtitle(answers.contents), "", matrix, "")


def _content(answers: "RecordedAnswers", form: str, table: str | None, command: str) -> str:
    """Return what is printed or written."""
    from prunecheck.report.page import report_html
    from prunecheck.report.papers import report_latex, report_markdown

    contents = answers.contents
    if form == "json":
        return answers.to_json() + "\n"
    if form == "csv":
        from prunecheck.report.formats.csv import csv_text
        from prunecheck.report.tables import verdict_values

        return csv_text(verdict_values(contents))
    if form == "markdown":
        return report_markdown(contents, command, table)
    if form == "latex":
        return report_latex(contents, f"made by: {command}", table)
    return report_html(contents, command)


def _command(folders: tuple[Path, ...], **options: object) -> str:
    """Return the command that makes this again: its folders, and the options that were given."""
    words = ["prunecheck", "report", *map(str, folders)]
    for option, value in options.items():
        spelled = "-o" if option == "--out" else option
        for one in value if isinstance(value, tuple) else (value,):
            if one is True:
                words.append(spelled)
            elif one not in (None, False):
                words += [spelled, str(one)]
    return shlex.join(words)
