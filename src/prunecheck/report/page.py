"""The report: one page that holds everything, opens offline, and can be read on a phone and printed."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import prunecheck
from prunecheck.report.contents import ReportContents
from prunecheck.report.escaping import in_html
from prunecheck.report.formats.html import html_in_page
from prunecheck.report.in_words import subtitle, title
from prunecheck.report.reading import headline
from prunecheck.report.sections import report_sections
from prunecheck.report.svg import COLOURS, FIGURES

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATE = Path(__file__).parent / "report_template.html.j2"

SIGN = '<meta name="generator" content="prunecheck report'
"""Stands in the head of every report."""

REPORT = "report.html"
"""What a report is called unless the user says otherwise."""


def report_html(contents: ReportContents, command: str) -> str:
    """Return the report as one HTML page, without scripts and without anything to load.

    Args:
        contents: what it rests on.
        command: that makes it again.
    """
    answers = [answer for _, answer in contents.answers()]
    return _template().render(
        title=title(contents),
        subtitle=subtitle(contents),
        answer=headline(answers),
        notes=contents.notes,
        sections=[section for section in report_sections(contents) if section.groups],
        command=command,
        colours=COLOURS,
        figures=FIGURES,
        version=prunecheck.__version__,
    )


@functools.cache
def _template() -> "Template":
    """Return the template, compiled, which takes longer than to fill it."""
    from jinja2 import Environment
    from markupsafe import Markup

    def escaped(value: Any) -> Markup:
        return value if isinstance(value, Markup) else Markup(in_html(str(value)))

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=escaped)
    environment.filters |= {"as_it_is": Markup, "as_table": lambda table: Markup(html_in_page(table))}
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def is_report(file: Path) -> bool:
    """Say whether a file is a report that was made here."""
    with file.open("rb") as content:
        return SIGN.encode() in content.read(2048)
