"""What a report says, section by section."""

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from prunecheck.analysis.across_settings import across_settings
from prunecheck.analysis.doses import dose_responses
from prunecheck.analysis.estimates import Curve, Dose
from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.sweeps import FEWEST_SPARSITIES
from prunecheck.report.across_settings import across_sentence, across_table
from prunecheck.report.contents import AnsweredSetting, ReportContents
from prunecheck.report.figures import curve_figure, dose_figure, value_figure
from prunecheck.report.forest_plot import chunks_of, forest_figure, has_marks, sparsity_of
from prunecheck.report.in_words import all_remarks, readings
from prunecheck.report.keep_ratios import keep_ratios, of_the_same_layers, ratio_figure, ratio_table
from prunecheck.report.leads import differences_lead, ratios_lead, values_lead
from prunecheck.report.matrix import verdict_matrix
from prunecheck.report.run_table import run_table
from prunecheck.report.svg import SERIES_COUNT
from prunecheck.report.sweeps import sweep_figure, sweep_text
from prunecheck.report.table import Table
from prunecheck.report.tables import (
    curve_table,
    dose_table,
    lost_table,
    seed_table,
    setting_table,
    value_table,
    values_by_method,
    verdict_table,
)
from prunecheck.runs.sparsities import sparsity_text
from prunecheck.runs.spec import RunSpec
from prunecheck.studies.question import Question

MOST_CURVES = 40
"""So many figures of training curves stand in one page; of more, the first of each question do."""

MOST_DOTS = 3_000
"""So many pairs have a dot in one page, and a row of their differences by seed."""

QUANTITIES = {"test_accuracy": "test accuracy, %", "train_loss": "training loss, nats"}
"""The columns of ``metrics.csv`` whose curves are drawn."""


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        table: its numbers; None if they stand in the table of verdicts.
    """

    svg: str
    caption: str
    table: Table | None


@dataclass(frozen=True)
class Group:
    """What a section says of one setting or method, which its title names unless there is only one.

    Attributes:
        listed: sentences that stand in a list.
        folded: tables that are opened by their titles.
    """

    title: str
    paragraphs: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    folded: tuple[Table, ...] = ()


@dataclass(frozen=True)
class Section:
    """A section of the page."""

    identity: str
    title: str
    lead: str
    groups: tuple[Group, ...]


def report_sections(contents: ReportContents) -> Iterator[Section]:
    """Yield the sections; some of them may have nothing to show."""
    identities = (f"figure{number}" for number in itertools.count(1))
    answers = list(contents.answers())
    if matrix := verdict_matrix(contents):
        yield Section("glance", matrix.title, "", (Group("", tables=(matrix,)),))
    if answers:
        folded = (seed_table(contents),) if _has_dots(contents) else ()
        group = Group("", all_remarks(contents), readings(contents), tables=(verdict_table(contents),), folded=folded)
        yield Section("verdicts", "Verdicts", "", (group,))
    if across := across_settings([answer for _, answer in answers]):
        groups = (Group("", (across_sentence(one),), tables=(across_table(one),)) for one in across)
        yield Section("settings", "What hangs on the setting", "", tuple(groups))
    yield Section(
        "differences",
        "What each change costs",
        differences_lead(contents, has_dots=_has_dots(contents)),
        tuple(_forest_groups(contents, identities)),
    )
    quantity = contents.quantity
    yield Section(
        "accuracy",
        f"{quantity.title if quantity else 'Values'} by sparsity",
        values_lead(contents),
        tuple(_value_groups(contents, identities)),
    )
    yield Section(
        "dose-response",
        "Dose and response",
        "What a corruption costs by the share to which it is done, with 95 % intervals.",
        tuple(_dose_groups(contents, identities)),
    )
    yield Section(
        "keep-ratios",
        "Keep ratios by layer",
        ratios_lead(contents),
        tuple(_ratio_groups(contents, identities)),
    )
    yield Section(
        "curves",
        "Training curves",
        "Mean over the seeds of the tickets that were trained; the band reaches from the least to the most.",
        _curve_groups(contents, identities),
    )
    if lost := lost_table(contents):
        yield Section("collapsed", lost.title, "", (Group("", tables=(lost,)),))
    runs = run_table(contents.settings)
    made = Group("", tables=(setting_table(contents.settings),), folded=(runs,))
    yield Section("made", "How it was made", "", (made,))


def _has_dots(contents: ReportContents) -> bool:
    pairs = sum(one.difference.n for _, answer in contents.answers() for one in answer.comparisons if one.difference)
    return pairs <= MOST_DOTS


def _group_title(setting: AnsweredSetting, contents: ReportContents, method: str = "") -> str:
    """Return what tells a group from the others of its section."""
    parts = [method] if method and sum(1 for _ in contents.answers()) > 1 else []
    if len(contents.settings) > 1:
        parts.append(setting.title)
    return ", ".join(parts)


def _forest_groups(contents: ReportContents, identities: Iterator[str]) -> Iterator[Group]:
    for setting, answers in _by_setting(contents):
        figures, lost = [], []
        for answer in answers:
            name = answer.question.method
            every = sorted(answer.comparisons, key=sparsity_of)  # stable: the baseline stays last
            for chunk in chunks_of(every):
                if not has_marks(chunk):
                    sparsities = dict.fromkeys(sparsity_text(one.sparsity, answer.question.sparsities) for one in chunk)
                    lost.append(f"{name} at sparsity {' and '.join(sparsities)}")
                    continue
                titles = next(identities), chunk, answer.question.margin.amount, f"{name}, {setting.title}"
                svg = forest_figure(*titles, has_dots=_has_dots(contents))
                figures.append(Figure(svg, name, None))
        said = (f"Of {'; of '.join(lost)} there is nothing to draw: too few tickets are left.",) if lost else ()
        yield Group(_group_title(setting, contents), said, figures=tuple(figures))


def _by_setting(contents: ReportContents) -> Iterator[tuple[AnsweredSetting, list[Conclusion]]]:
    """Yield each setting with those of its answers that compare something."""
    for setting in contents.settings:
        answers = [answer for answer in setting.answers if answer.comparisons]
        if answers:
            yield setting, answers


def _value_groups(contents: ReportContents, identities: Iterator[str]) -> Iterator[Group]:
    for setting in contents.settings:
        methods = list(values_by_method(setting).items())
        figures = tuple(
            Figure(
                value_figure(
                    *(next(identities), dict(some), setting.dense(), setting.chance, setting.quantity, setting.title),
                    own=own_series(setting),
                ),
                f"Methods beside each other{_without_a_line(setting)}",
                None,
            )
            for some in _batched(methods, SERIES_COUNT)
        )
        swept = tuple(
            Figure(
                sweep_figure(
                    *(next(identities), dict(some), setting.dense(), setting.chance, setting.quantity, setting.title),
                    own=own_series(setting),
                ),
                f"By density, on a logarithmic axis, with bands of 95 % intervals{_without_a_line(setting)}",
                None,
            )
            for some in _batched(methods, SERIES_COUNT)
            if len({sparsity for _, of_method in some for sparsity in of_method}) >= FEWEST_SPARSITIES
        )
        paragraphs = tuple(text for text in map(sweep_text, setting.answers) if text)
        title = _group_title(setting, contents)
        yield Group(title, paragraphs, figures=(*swept, *figures), tables=(value_table(setting),))


def _without_a_line(setting: AnsweredSetting) -> str:
    """Return which methods have no value at any sparsity, in a clause; nothing if all have one."""
    asked = dict.fromkeys(answer.question.method for answer in setting.answers)
    lost = [method for method in asked if method not in values_by_method(setting)]
    return f"; without a line, because all of its tickets were lost: {', '.join(lost)}" if lost else ""


def _dose_groups(contents: ReportContents, identities: Iterator[str]) -> Iterator[Group]:
    for setting, answers in _by_setting(contents):
        figures = []
        for answer, check, doses in _doses(answers):
            name = answer.question.method
            for some in _batched(doses.items(), SERIES_COUNT):
                title = f"{name}, {setting.title}"
                margin, quantity = answer.question.margin.amount, answer.question.quantity
                svg = dose_figure(next(identities), dict(some), margin, quantity, check, title)
                table = dose_table(dict(some), quantity, check, name, setting.title, answer.question.paired_by)
                figures.append(Figure(svg, f"{name}: {check}", table))
        if figures:
            yield Group(_group_title(setting, contents), figures=tuple(figures))


def _doses(answers: Sequence[Conclusion]) -> Iterator[tuple[Conclusion, str, dict[float, list[Dose]]]]:
    for answer in answers:
        for check, doses in dose_responses(answer).items():
            yield answer, check, doses


Item = TypeVar("Item")


def _batched(items: Iterable[Item], most: int) -> Iterator[tuple[Item, ...]]:
    """Divide items into tuples of so many, the last one of what is left."""
    rest = iter(items)
    while batch := tuple(itertools.islice(rest, most)):
        yield batch


def own_series(setting: AnsweredSetting) -> dict[str, int]:
    """Return the place of each method among a setting's, by which it has one colour and marker in all figures."""
    return {tickets.name: place for place, tickets in enumerate(setting.methods())}


def _ratio_groups(contents: ReportContents, identities: Iterator[str]) -> Iterator[Group]:
    for setting in contents.settings:
        figures = []
        for sparsity in setting.sparsities:
            for same in of_the_same_layers(keep_ratios(setting, sparsity)):
                for some in _batched(same.items(), SERIES_COUNT):
                    at, unit = f"sparsity {sparsity_text(sparsity, setting.sparsities)}", setting.paired_by
                    title = f"{at}, {setting.title}"
                    svg = ratio_figure(next(identities), dict(some), title, own_series(setting), unit)
                    figures.append(Figure(svg, at, ratio_table(dict(some), title, unit)))
        if figures:
            yield Group(_group_title(setting, contents), figures=tuple(figures))


Draw = Callable[[], Figure]
"""Draws a figure, of hundreds of which a page may show a few."""


def _curve_groups(contents: ReportContents, identities: Iterator[str]) -> tuple[Group, ...]:
    """Return the curves of each question; no more of them than a page has room for, and then without their tables."""
    found: list[tuple[str, list[Draw]]] = []
    for setting, answer in contents.answers():
        others = [other for other in setting.answers if other is not answer]
        if any(answer.question.is_part_of(other.question) for other in others):
            continue  # its curves are among those of the wider question
        if figures := list(_curve_figures(setting, answer, identities)):
            found.append((_group_title(setting, contents, answer.question.method), figures))
    if sum(len(figures) for _, figures in found) <= MOST_CURVES:
        return tuple(Group(title, figures=tuple(draw() for draw in figures)) for title, figures in found)
    each = max(1, MOST_CURVES // len(found))
    return tuple(
        Group(
            title,
            paragraphs=(f"The first {each} of {len(figures)} figures; a report of fewer methods has all.",),
            figures=tuple(replace(draw(), table=None) for draw in figures[:each]),
        )
        for title, figures in found[:MOST_CURVES]
    )


def _curve_figures(setting: AnsweredSetting, answer: Conclusion, identities: Iterator[str]) -> Iterator[Draw]:
    """Yield what draws a method's own tickets beside the changed ones, at most five of these in a figure."""
    of_dense = setting.curves(setting.dense_runs, QUANTITIES)
    for sparsity in answer.question.sparsities:
        tickets, at = _tickets_of(answer.question, sparsity), sparsity_text(sparsity, answer.question.sparsities)
        found = {name: setting.curves(runs, QUANTITIES) for name, runs in tickets.items()}
        for column, quantity in QUANTITIES.items():
            curves = {name: of_name[column] for name, of_name in found.items() if column in of_name}
            own = {name: curves.pop(name) for name in [answer.question.method] if name in curves}
            dense = of_dense.get(column)
            panels = math.ceil(len(curves) / (SERIES_COUNT - 1))
            for some in _batched(curves.items(), math.ceil(len(curves) / panels)) if curves else [()] if own else []:
                drawn = {**own, **dict(some)}
                titled = f"{answer.question.method} at {at}, {setting.title}"
                caption = f"{quantity.partition(',')[0].capitalize()} at sparsity {at}"
                yield functools.partial(
                    _curve_figure, setting, next(identities), drawn, dense, quantity, titled, caption
                )


def _curve_figure(
    setting: AnsweredSetting,
    identity: str,
    drawn: Mapping[str, Curve],
    dense: Curve | None,
    quantity: str,
    title: str,
    caption: str,
) -> Figure:
    svg = curve_figure(identity, drawn, dense, quantity, title, own_series(setting))
    listed = {**drawn, **({"dense": dense} if dense else {})}
    return Figure(svg, caption, curve_table(listed, quantity))


def _tickets_of(question: Question, sparsity: float) -> dict[str, list[RunSpec]]:
    """Return the runs of each kind of ticket of a question."""
    tickets = {question.method: [question.method_run(sparsity, None, seed) for seed in question.seeds]}
    for check in question.checks:
        runs = [question.method_run(sparsity, check, seed) for seed in question.seeds]
        if runs != tickets[question.method]:
            tickets[check] = runs
    if question.baseline:
        tickets[question.baseline] = [question.baseline_run(sparsity, seed) for seed in question.seeds]
    return tickets
