"""The report: one page that holds everything, opens offline, and can be read on a phone and printed."""

import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import prunecheck
from prunecheck.analysis.across_settings import across_settings
from prunecheck.analysis.doses import dose_responses
from prunecheck.errors import InputError
from prunecheck.registry import unknown_name
from prunecheck.report.across_settings import across_sentence, across_table
from prunecheck.report.afterwards import afterwards_texts
from prunecheck.report.contents import ReportContents
from prunecheck.report.escaping import in_html
from prunecheck.report.formats.html import html_in_page
from prunecheck.report.keep_ratios import keep_ratios, of_the_same_layers, ratio_table
from prunecheck.report.looks import looks_so_far, named_looks
from prunecheck.report.reading import headline, joined
from prunecheck.report.sections import report_sections
from prunecheck.report.svg import COLOURS, FIGURES
from prunecheck.report.table import Table
from prunecheck.report.tables import dose_table, lost_table, seed_table, setting_table, value_table, verdict_table

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
        title=_title(contents),
        subtitle=_subtitle(contents),
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


TABLES = ("verdicts", "seeds", "across-settings", "values", "doses", "keep-ratios", "lost", "settings")
"""The names of the tables that papers need."""


def paper_tables(contents: ReportContents, name: str | None = None) -> list[Table]:
    """Return the tables that papers need: all but the curves and the list of runs.

    Args:
        contents: what the report says.
        name: of :data:`TABLES`, those that are wanted; None for all.

    Raises:
        InputError: an unknown name, or there is no such table here.
    """
    if name is not None and name not in TABLES:
        raise unknown_name("table", name, TABLES, field="table")
    tables = [replace(table, name=of_table) for of_table, table in _named_tables(contents) if name in (None, of_table)]
    if not tables:
        raise InputError(f"these runs have no table {name}: choose another, or leave it out.", field="table")
    return tables


def _named_tables(contents: ReportContents) -> Iterator[tuple[str, Table]]:
    if answers := [answer for _, answer in contents.answers()]:
        verdicts = verdict_table(contents)
        looks = named_looks(answers, looks_so_far)
        afterwards = named_looks(answers, lambda answer: " ".join(afterwards_texts(answer)))
        yield "verdicts", replace(verdicts, notes=(*verdicts.notes, *afterwards, *looks))
        yield "seeds", seed_table(contents)
    for across in across_settings([answer for _, answer in contents.answers()]):
        table = across_table(across)
        yield "across-settings", replace(table, notes=(*table.notes, across_sentence(across)))
    for setting in contents.settings:
        yield "values", value_table(setting)
        for answer in setting.answers:
            for check, doses in dose_responses(answer).items():
                question = answer.question
                told = question.quantity, check, question.method, setting.title, question.paired_by
                yield "doses", dose_table(doses, *told)
        for sparsity in setting.sparsities:
            for methods in of_the_same_layers(keep_ratios(setting, sparsity)):
                title = f"Keep ratios by layer at sparsity {sparsity:g}, {setting.title}"
                yield "keep-ratios", ratio_table(methods, title, setting.paired_by)
    if lost := lost_table(contents):
        yield "lost", lost
    yield "settings", setting_table(contents.settings)


def _title(contents: ReportContents) -> str:
    methods = list(dict.fromkeys(answer.question.method for _, answer in contents.answers()))
    if not methods:
        return "What these runs show"
    if len(methods) > 3:
        return f"What {len(methods)} pruning methods use"
    return f"What {joined(methods, 'and')} use{'s' if len(methods) == 1 else ''}"


def _subtitle(contents: ReportContents) -> str:
    runs = sum(len(setting.runs) for setting in contents.settings)
    first = contents.settings[0].title
    where = first if len(contents.settings) == 1 else f"{len(contents.settings)} settings"
    return f"{where}; {runs:,} runs{_margins(contents)}"


def _margins(contents: ReportContents) -> str:
    if not contents.margins:
        return ""
    if contents.quantity is None:
        return f", margins {joined([quantity.amount_of(margin) for quantity, margin in contents.margins], 'and')}"
    *others, (quantity, last) = contents.margins
    return f", margin {' and '.join([*(f'{margin:g}' for _, margin in others), quantity.amount(last)])}"
