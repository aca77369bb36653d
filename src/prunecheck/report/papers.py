"""What papers take from a report: documents in Markdown and LaTeX, and their tables."""

from collections.abc import Iterator
from dataclasses import replace

import prunecheck
from prunecheck.analysis.across_settings import across_settings
from prunecheck.analysis.doses import dose_responses
from prunecheck.errors import InputError
from prunecheck.registry import unknown_name
from prunecheck.report.across_settings import across_sentence, across_table
from prunecheck.report.contents import ReportContents
from prunecheck.report.formats.latex import latex
from prunecheck.report.formats.markdown import code, heading, listed, markdown, paragraph
from prunecheck.report.in_words import all_remarks, limits, readings, subtitle, sweeps, title
from prunecheck.report.keep_ratios import keep_ratios, of_the_same_layers, ratio_table
from prunecheck.report.looks import looks_so_far, named_looks
from prunecheck.report.reading import headline
from prunecheck.report.table import Table
from prunecheck.report.tables import dose_table, lost_table, seed_table, setting_table, value_table, verdict_table
from prunecheck.runs.sparsities import sparsity_text

TABLES = ("verdicts", "seeds", "across-settings", "values", "doses", "keep-ratios", "lost", "settings")
"""The names of the tables that papers need."""


def report_markdown(contents: ReportContents, command: str, name: str | None = None) -> str:
    """Return a report as a document in Markdown, which says in words what its tables show and what to know first.

    Args:
        contents: what it rests on.
        command: that makes it again.
        name: of :data:`TABLES`: that table alone, with what a reader must know in its notes.

    Raises:
        InputError: see :func:`paper_tables`.
    """
    if name is not None:
        return markdown(paper_tables(contents, name))
    parts = [heading(title(contents), 1), paragraph(subtitle(contents)), *map(paragraph, _headline(contents))]
    for named, sentences in _in_words(contents).items():
        parts += [heading(named, 2), listed(sentences)]
    parts.append(markdown(table for _, table in _named_tables(contents)))
    made = f"Made by prunecheck {prunecheck.__version__}. This command makes it again:"
    return "\n".join([*parts, paragraph(made), code(command)])


def report_latex(contents: ReportContents, about: str, name: str | None = None) -> str:
    """Return a report's tables in LaTeX, below comments that say in words what they show and what to know first.

    Args:
        contents: what they rest on.
        about: what made them.
        name: of :data:`TABLES`: that table alone.

    Raises:
        InputError: see :func:`paper_tables`.
    """
    comments = [f"{title(contents)}: {subtitle(contents)}", *_headline(contents)]
    for named, sentences in _in_words(contents).items():
        comments += ["", f"{named}:", *(f"- {sentence}" for sentence in sentences)]
    return latex(paper_tables(contents, name), about, comments)


def paper_tables(contents: ReportContents, name: str | None = None) -> list[Table]:
    """Return the tables that papers need: all but the curves and the list of runs.

    What a reader must know of verdicts stands in the notes of their table, and of a table that stands alone in its own.

    Args:
        contents: what the report says.
        name: of :data:`TABLES`, those that are wanted; None for all.

    Raises:
        InputError: an unknown name, or there is no such table here.
    """
    if name is not None and name not in TABLES:
        raise unknown_name("table", name, TABLES, field="table")
    tables = [table for of_table, table in _named_tables(contents) if name in (None, of_table)]
    if not tables:
        raise InputError(f"these runs have no table {name}: choose another, or leave it out.", field="table")
    if name is None and tables[0].name != "verdicts":
        return tables
    return [replace(tables[0], notes=(*tables[0].notes, *_to_know(contents))), *tables[1:]]


def _headline(contents: ReportContents) -> tuple[str, str]:
    return headline([answer for _, answer in contents.answers()])


def _in_words(contents: ReportContents) -> dict[str, tuple[str, ...]]:
    """Return the sentences that stand before the tables, by what they are; those that there are."""
    found = {
        "What the verdicts mean": readings(contents) or limits(contents),
        "Remarks": (*all_remarks(contents), *sweeps(contents)),
        "Notes": contents.notes,
    }
    return {named: sentences for named, sentences in found.items() if sentences}


def _to_know(contents: ReportContents) -> tuple[str, ...]:
    """Return what must not be lost where a table stands without the words of its report."""
    looks = named_looks([answer for _, answer in contents.answers()], looks_so_far)
    return *limits(contents), *looks, *contents.notes


def _named_tables(contents: ReportContents) -> Iterator[tuple[str, Table]]:
    """Yield the tables by their names; of one setting, each title says which it is."""
    where = f", {contents.settings[0].title}" if len(contents.settings) == 1 else ""
    for name, table in _tables(contents):
        named = table.title if table.title.endswith(where) else f"{table.title}{where}"
        yield name, replace(table, name=name, title=named)


def _tables(contents: ReportContents) -> Iterator[tuple[str, Table]]:
    if answers := [answer for _, answer in contents.answers()]:
        yield "verdicts", verdict_table(contents)
        yield "seeds", seed_table(contents)
    for across in across_settings(answers):
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
                at = sparsity_text(sparsity, setting.sparsities)
                named = f"Keep ratios by layer at sparsity {at}, {setting.title}"
                yield "keep-ratios", ratio_table(methods, named, setting.paired_by)
    if lost := lost_table(contents):
        yield "lost", lost
    yield "settings", setting_table(contents.settings)
