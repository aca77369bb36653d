"""What a report rests on: settings, their runs, and the answers to the questions about them."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from prunecheck.analysis.comparison import Results
from prunecheck.analysis.estimates import Curve, Estimate, estimate
from prunecheck.analysis.families import Conclusion, answer_in_families
from prunecheck.analysis.looks import with_looks, with_terms
from prunecheck.analysis.recorded import RecordedSetting, recorded_questions
from prunecheck.metrics import Quantity
from prunecheck.pruning import DENSE
from prunecheck.report.curves import curves_of
from prunecheck.report.notes import afterwards_notes, other_notes
from prunecheck.runs.index import FoundRun, FoundRuns
from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.spec import RunSpec, Setting
from prunecheck.runs.store import METRICS, RunStore
from prunecheck.studies.question import Question, Scope, what_pairs
from prunecheck.studies.question_log import NO_QUESTIONS, QuestionLog

RunOf = Callable[[float, int], RunSpec]
"""From a sparsity and a seed to the run of a ticket."""


@dataclass(frozen=True)
class Tickets:
    """Tickets of one kind, at some sparsities, over some seeds."""

    name: str
    sparsities: tuple[float, ...]
    seeds: tuple[int, ...]
    run: RunOf


@dataclass(frozen=True)
class AnsweredSetting:
    """One setting.

    Attributes:
        title: tells it from the others.
        runs: what was recorded, half-finished runs left out.
        answers: to each question, which need not compare anything.
    """

    title: str
    setting: Setting
    runs: Mapping[RunSpec, FoundRun]
    answers: tuple[Conclusion, ...]

    def result(self, run: RunSpec) -> RunResult | None:
        """Return what a run ended with; None if it was not recorded."""
        found = self.runs.get(run)
        return found.result if found else None

    @property
    def quantity(self) -> Quantity:
        """What its runs are judged by."""
        return self.setting.quantity

    @property
    def paired_by(self) -> str:
        """What a seed decides, in a word; see :attr:`prunecheck.studies.question.Question.paired_by`."""
        return what_pairs(answer.question for answer in self.answers)

    @property
    def all_results(self) -> list[RunResult]:
        """What all runs ended with."""
        return [run.result for run in self.runs.values() if run.result]

    def methods(self) -> list[Tickets]:
        """Return the unchanged tickets of each method, the baselines' among them, each once."""
        own = [_own(answer.question) for answer in self.answers]
        others = [_of_baseline(answer.question) for answer in self.answers if answer.question.others]
        joined: dict[str, Tickets] = {}
        for tickets in (*own, *others):
            before = joined.get(tickets.name, tickets)
            sparsities = sorted({*before.sparsities, *tickets.sparsities})
            seeds = sorted({*before.seeds, *tickets.seeds})
            joined[tickets.name] = Tickets(tickets.name, tuple(sparsities), tuple(seeds), before.run)
        return list(joined.values())

    @property
    def sparsities(self) -> list[float]:
        """Those of any method."""
        return sorted({sparsity for tickets in self.methods() for sparsity in tickets.sparsities})

    def results(self, tickets: Tickets, sparsity: float) -> list[RunResult]:
        """Return what the recorded tickets of a sparsity ended with."""
        found = (self.result(tickets.run(sparsity, seed)) for seed in tickets.seeds)
        return [result for result in found if result]

    def values(self, tickets: Tickets, sparsity: float) -> list[float]:
        """Return what those that were trained are judged by."""
        return trained_values(self.results(tickets, sparsity))

    @property
    def dense_runs(self) -> list[RunSpec]:
        """The dense networks' runs."""
        return [spec for spec in self.runs if spec.method == DENSE]

    def dense(self) -> Estimate | None:
        """Return what the dense networks are judged by."""
        found = [self.result(spec) for spec in self.dense_runs]
        return estimate(trained_values(result for result in found if result))

    @property
    def chance(self) -> float | None:
        """What guessing gets; None where the metric has no such level."""
        return next((one.chance_level for one in self.all_results if one.chance_level is not None), None)

    def curves(self, specs: Iterable[RunSpec], quantities: Iterable[str]) -> dict[str, Curve]:
        """Return columns of ``metrics.csv`` over the trained ones of some runs; see :func:`curves_of`."""
        runs = [run for run in map(self.runs.get, specs) if run and run.status == Status.TRAINED]
        return curves_of([run.path / METRICS for run in runs], quantities)


@dataclass(frozen=True)
class ReportContents:
    """All that a report rests on.

    Attributes:
        found_notes: sentences about what was left out where the runs lie.
        unreadable: folders and recorded questions that cannot be read, and why; the notes say so too.
    """

    settings: tuple[AnsweredSetting, ...]
    found_notes: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    @functools.cached_property
    def notes(self) -> tuple[str, ...]:
        """Sentences that a reader should know first, about what is shown and under the names that it is shown with."""
        return *afterwards_notes(self.settings), *self.found_notes, *other_notes(self.settings)

    def answers(self) -> Iterator[tuple[AnsweredSetting, Conclusion]]:
        """Yield every answer that compares something, with its setting."""
        for setting in self.settings:
            for answer in setting.answers:
                if answer.comparisons:
                    yield setting, answer

    @property
    def quantity(self) -> Quantity | None:
        """What all runs are judged by, and how differences are counted; None if that is not the same for all."""
        quantities = {
            quantity
            for setting in self.settings
            for quantity in ([answer.question.quantity for answer in setting.answers] or [setting.quantity])
        }
        return quantities.pop() if len(quantities) == 1 else None

    @property
    def paired_by(self) -> str:
        """What a seed decides, in a word; where questions differ in that, ``seed``."""
        return what_pairs(answer.question for setting in self.settings for answer in setting.answers)

    @property
    def margins(self) -> list[tuple[Quantity, float]]:
        """The margins of the questions and what they are of, each once, by its name and from small to large."""
        questions = [answer.question for setting in self.settings for answer in setting.answers]
        margins = {(question.quantity, question.margin.amount) for question in questions}
        return sorted(margins, key=lambda one: (one[0].name, one[0].unit, one[1]))


def contents_of_runs(
    found: FoundRuns,
    margin: float | str | None = None,
    baseline: str | None = None,
    family: Scope | None = None,
    log: QuestionLog = NO_QUESTIONS,
    every: tuple[FoundRuns, QuestionLog] | None = None,
) -> ReportContents:
    """Return the contents of a report of recorded runs.

    Args:
        found: the runs, the half-finished ones too.
        margin: see :func:`~prunecheck.analysis.recorded.recorded_questions`, as for ``baseline`` and ``family``.
        baseline: see there.
        family: see there.
        log: the questions that were asked where the runs lie.
        every: all runs and questions, those too that are not to be shown, on which families may rest; None for no more.
    """
    every_run, every_question = every or (found, log)
    records = recorded_questions(found, margin, baseline, log.entries, family, every_question.entries)
    results = {run.spec: run.result for run in every_run.runs if run.result}
    in_order = [_in_order_asked(one, log) for one in records.settings]
    recorded = [question for one in in_order for question in one.recorded]
    asked = [*((one.question, one.together) for one in recorded), *records.unshown]
    found_answers = answer_in_families(asked, results)[: len(recorded)]
    answers = iter(with_terms(with_looks(found_answers, log.entries), [one.asked for one in recorded]))
    titles = setting_titles([one.setting for one in in_order])
    settings = tuple(
        AnsweredSetting(title, one.setting, one.runs, tuple(next(answers) for _ in one.questions))
        for title, one in zip(titles, in_order, strict=True)
    )
    unreadable = [f"Left out what cannot be read of the questions that were asked: {one}." for one in log.unreadable]
    return ReportContents(settings, (*unreadable, *records.notes), (*map(str, found.unreadable), *log.unreadable))


def _in_order_asked(setting: RecordedSetting, log: QuestionLog) -> RecordedSetting:
    """Return a setting's questions in the order in which they were asked; what nobody asked stays behind them."""
    places = {id(entry): place for place, entry in enumerate(log.entries)}
    recorded = sorted(setting.recorded, key=lambda one: places.get(id(one.asked), len(places)))
    return replace(setting, recorded=tuple(recorded))


def contents_of_conclusions(
    answers: Sequence[Conclusion], results: Results, root: Path, paths: Mapping[RunSpec, Path] | None = None
) -> ReportContents:
    """Return the contents of a report of what was just concluded, without what else lies beside its runs.

    Args:
        answers: to them.
        results: of their runs.
        root: where their runs are.
        paths: of the folders of those that lie elsewhere.
    """
    store, paths = RunStore(root), paths or {}
    grouped: dict[Setting, list[Conclusion]] = {}
    for answer in answers:
        grouped.setdefault(answer.question.setting, []).append(answer)
    settings = []
    for title, (setting, of_setting) in zip(setting_titles(list(grouped)), grouped.items(), strict=True):
        specs = {spec for answer in of_setting for spec in answer.question.runs() if spec in results}
        runs = {
            spec: FoundRun(
                paths.get(spec, store.folder(spec).path),
                *(spec, results[spec], results[spec].epochs, results[spec].accuracy),
            )
            for spec in sorted(specs, key=lambda spec: spec.folder_name)
        }
        settings.append(AnsweredSetting(title, setting, runs, tuple(of_setting)))
    return ReportContents(tuple(settings))


def trained_values(results: Iterable[RunResult]) -> list[float]:
    """Return what those that were trained are judged by."""
    return [result.value for result in results if result.value is not None]


def measured_when(answers: Iterable[Conclusion]) -> str:
    """Say when what runs are judged by was measured, in a clause that follows it; nothing where none is trained."""
    are_trained = {not answer.question.is_after_training for answer in answers}
    if len(are_trained) > 1:
        return " after the last epoch, where there is one"
    return "" if are_trained == {False} else " after the last epoch"


def setting_titles(settings: Sequence[Setting]) -> list[str]:
    """Return a title for each setting that tells it from the others."""
    titles = [str(setting) for setting in settings]
    for title in {title for title in titles if titles.count(title) > 1}:
        same = [index for index, other in enumerate(titles) if other == title]
        parts = [_telling_parts(settings[index]) for index in same]
        for index, part in zip(same, parts, strict=True):
            telling = [text for name, text in part.items() if len({other[name] for other in parts}) > 1]
            titles[index] = ", ".join([title, *telling])
    return titles


def _own(question: Question) -> Tickets:
    def run(sparsity: float, seed: int) -> RunSpec:
        return question.method_run(sparsity, None, seed)

    return Tickets(question.method, question.sparsities, question.seeds, run)


def _of_baseline(question: Question) -> Tickets:
    assert question.baseline is not None
    return Tickets(question.baseline, question.sparsities, question.seeds, question.baseline_run)


def _telling_parts(setting: Setting) -> dict[str, str]:
    parts = {
        "dataset_hash": f"data {(setting.dataset_hash or 'built in')[:8]}",
        "model_hash": f"{setting.model} {(setting.model_hash or 'built in')[:8]}",
        "metric_hash": f"{setting.metric} {(setting.metric_hash or 'built in')[:8]}",
    }
    for field in fields(setting.recipe):
        value = getattr(setting.recipe, field.name)
        parts[field.name] = f"{field.name.replace('_', ' ')} {value_text(value)}"
    return parts


def value_text(value: object) -> str:
    """Return a field of a recipe as a table shows it."""
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
