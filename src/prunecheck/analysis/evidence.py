"""What a report rests on: settings, their runs, and the answers to the questions about them."""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from prunecheck.analysis.comparison import CheckAnswer, Question, analyse
from prunecheck.analysis.estimates import Curve, Estimate, estimate
from prunecheck.analysis.joint_answers import answer_together, seeds_left_out
from prunecheck.analysis.recorded import recorded_questions
from prunecheck.analysis.recorded_question import RecordedQuestion, Setting
from prunecheck.pruning import DENSE
from prunecheck.studies import CheckStudy, RunResult, RunSpec, RunStore
from prunecheck.studies.found_runs import FoundRun, FoundRuns, read_run
from prunecheck.studies.store import METRICS

FEW_SEEDS = 3

MOST_EPOCHS = 40
"""So many points of a training curve are drawn and listed."""

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
    answers: tuple[CheckAnswer, ...]

    def result(self, run: RunSpec) -> RunResult | None:
        """Return what a run ended with; None if it was not recorded."""
        found = self.runs.get(run)
        return found.result if found else None

    @property
    def all_results(self) -> list[RunResult]:
        """What all runs ended with."""
        return [run.result for run in self.runs.values() if run.result]

    def methods(self) -> list[Tickets]:
        """Return the unchanged tickets of each method, the baseline's among them."""
        tickets = {}
        for answer in self.answers:
            question = answer.study
            tickets[question.method.name] = _own(question)
        for answer in self.answers:
            question = answer.study
            if question.baseline and question.baseline.name not in tickets:
                tickets[question.baseline.name] = _of_baseline(question)
        return list(tickets.values())

    @property
    def sparsities(self) -> list[float]:
        """Those of any method."""
        return sorted({sparsity for tickets in self.methods() for sparsity in tickets.sparsities})

    def results(self, tickets: Tickets, sparsity: float) -> list[RunResult]:
        """Return what the recorded tickets of a sparsity ended with."""
        found = (self.result(tickets.run(sparsity, seed)) for seed in tickets.seeds)
        return [result for result in found if result]

    def accuracies(self, tickets: Tickets, sparsity: float) -> list[float]:
        """Return the test accuracy, percent, of those that were trained."""
        return trained_accuracies(self.results(tickets, sparsity))

    @property
    def dense_runs(self) -> list[RunSpec]:
        """The dense networks' runs."""
        return [spec for spec in self.runs if spec.method == DENSE]

    def dense(self) -> Estimate | None:
        """Return the dense networks' accuracy, percent."""
        found = [self.result(spec) for spec in self.dense_runs]
        return estimate(trained_accuracies(result for result in found if result))

    @property
    def chance(self) -> float:
        """Accuracy of guessing, percent."""
        return max((result.chance for result in self.all_results), default=0.0)

    def curve(self, specs: Iterable[RunSpec], quantity: str) -> Curve | None:
        """Return a column of ``metrics.csv`` over the trained ones of some runs; None if there are none."""
        columns = [_column(self.runs[spec], quantity) for spec in specs if _is_trained(self.runs.get(spec))]
        columns = [column for column in columns if column]
        if not columns:
            return None
        epochs = listed_epochs(min(map(len, columns)))
        values = [[column[epoch - 1] for column in columns] for epoch in epochs]
        return Curve(
            epochs,
            tuple(math.fsum(of_epoch) / len(of_epoch) for of_epoch in values),
            tuple(map(min, values)),
            tuple(map(max, values)),
            len(columns),
        )


@dataclass(frozen=True)
class Evidence:
    """All that a report rests on.

    Attributes:
        notes: sentences that a reader should know first.
    """

    settings: tuple[AnsweredSetting, ...]
    margin: float
    notes: tuple[str, ...]

    def answers(self) -> Iterator[tuple[AnsweredSetting, CheckAnswer]]:
        """Yield every answer that compares something, with its setting."""
        for setting in self.settings:
            for answer in setting.answers:
                if answer.compares:
                    yield setting, answer


def evidence_of_runs(found: FoundRuns, margin: float, baseline: str | None) -> Evidence:
    """Return the evidence of recorded runs; see :func:`~prunecheck.analysis.recorded.recorded_questions`."""
    records = recorded_questions(found, margin, baseline)
    runs = {spec: run for one in records.settings for spec, run in one.runs.items()}

    def find(spec: RunSpec) -> RunResult | None:
        run = runs.get(spec)
        return run.result if run else None

    questions = [question for one in records.settings for question in one.questions]
    answers = iter(answer_together(questions, find))
    titles = setting_titles([one.setting for one in records.settings])
    settings = tuple(
        AnsweredSetting(title, one.setting, one.runs, tuple(next(answers) for _ in one.questions))
        for title, one in zip(titles, records.settings, strict=True)
    )
    unpaired = _unpaired_notes(settings)
    return Evidence(settings, margin, (*records.notes, *unpaired, *_general_notes(settings)))


def evidence_of_study(question: CheckStudy, root: Path) -> Evidence:
    """Return the evidence of a check whose runs are done.

    Args:
        question: what was asked.
        root: where its runs are.
    """
    store = RunStore(root)
    specs = {spec for seed in question.seeds for spec, _ in question.runs_of_seed(seed)}
    runs = {}
    for spec in sorted(specs, key=lambda spec: spec.folder_name):
        with contextlib.suppress(FileNotFoundError):  # what it needs failed, so that it was never begun
            run = read_run(store.folder(spec).path)
            if run.result:
                runs[spec] = run
    setting = Setting.of(question.dense_run(question.seeds[0]))
    answered = AnsweredSetting(setting_titles([setting])[0], setting, runs, (analyse(question, store.result),))
    return Evidence((answered,), question.margin, tuple(_general_notes((answered,))))


def trained_accuracies(results: Iterable[RunResult]) -> list[float]:
    """Return the test accuracy, percent, of those that were trained."""
    return [result.accuracy for result in results if result.accuracy is not None]


def listed_epochs(count: int) -> tuple[int, ...]:
    """Return which of so many epochs, counted from 1, are shown: all, or some at equal distances and the last."""
    step = math.ceil(count / MOST_EPOCHS)
    return tuple(sorted({*range(1, count + 1, step), count}))


def setting_titles(settings: Sequence[Setting]) -> list[str]:
    """Return a title for each setting that tells it from the others."""
    titles = [_title(setting) for setting in settings]
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

    return Tickets(question.method.name, tuple(question.sparsities), tuple(question.seeds), run)


def _of_baseline(question: Question) -> Tickets:
    assert question.baseline
    return Tickets(question.baseline.name, tuple(question.sparsities), tuple(question.seeds), question.baseline_run)


def _is_trained(run: FoundRun | None) -> bool:
    return bool(run and run.result and run.result.status == "trained")


def _column(run: FoundRun, quantity: str) -> list[float]:
    """Return a column of a run's metrics; empty if they cannot be read."""
    try:
        names, *rows = (run.path / METRICS).read_text(encoding="utf-8").splitlines()
        index = names.split(",").index(quantity)
        return [float(row.split(",")[index]) for row in rows]
    except (OSError, ValueError, IndexError):
        return []


def _title(setting: Setting) -> str:
    network = setting.model if setting.width is None else f"{setting.model} of width {setting.width}"
    shortened = []
    if setting.train_images is not None:
        shortened.append(f"{setting.train_images} training images")
    if setting.test_images is not None:
        shortened.append(f"{setting.test_images} test images")
    data = setting.dataset + (f" ({', '.join(shortened)})" if shortened else "")
    epochs = setting.recipe.epochs
    return f"{data}, {network}, {epochs} epoch{'s' if epochs > 1 else ''}"


def _telling_parts(setting: Setting) -> dict[str, str]:
    parts = {
        "dataset_hash": f"data {(setting.dataset_hash or 'built in')[:8]}",
        "model_hash": f"{setting.model} {(setting.model_hash or 'built in')[:8]}",
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


def _unpaired_notes(settings: Iterable[AnsweredSetting]) -> Iterator[str]:
    for setting in settings:
        for answer in setting.answers:
            question = answer.study
            if isinstance(question, RecordedQuestion):
                lost = seeds_left_out(question, answer, setting.result)
                if lost:
                    listed = ", ".join(f"{name} ({number})" for name, number in lost.items())
                    yield (
                        f"{question.method.name} on {setting.title}: tickets without a partner of the same seed were "
                        f"left out of the comparisons with {listed}."
                    )


def _general_notes(settings: Sequence[AnsweredSetting]) -> Iterator[str]:
    pairs = [
        comparison.difference.n
        for setting in settings
        for answer in setting.answers
        for comparison in (*answer.checks, *answer.baselines)
        if comparison.difference
    ]
    if not pairs:
        yield "Nothing is compared with anything: there are no verdicts."
    elif max(pairs) == 1:
        yield "There is one seed only: there are no intervals, and one seed cannot decide anything."
    elif min(pairs) == 1:
        yield "Some comparisons have one pair only: they have no interval and decide nothing."
    elif min(pairs) <= FEW_SEEDS:
        yield f"Some comparisons have no more than {min(pairs)} pairs, which seldom decide anything."
    results = [result for setting in settings for result in setting.all_results]
    for what, values in (
        ("devices", {result.device for result in results}),
        ("versions of torch", {result.versions.get("torch", "unknown") for result in results}),
        ("versions of prunecheck", {result.versions.get("prunecheck", "unknown") for result in results}),
    ):
        if len(values) > 1:
            yield f"The runs were done with different {what} ({', '.join(sorted(values))})."
    without = [setting.title for setting in settings if not setting.dense_runs]
    if without:
        yield f"No dense network was recorded for {'; '.join(without)}: whether tickets learned is judged without it."
