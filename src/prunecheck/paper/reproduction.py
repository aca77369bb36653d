"""What was measured beside what was published."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from prunecheck.analysis.comparison import Results
from prunecheck.analysis.statistics import standard_deviation, t_quantile
from prunecheck.models import published_width
from prunecheck.paper.published_accuracies import PublishedAccuracy
from prunecheck.pruning import DENSE
from prunecheck.pruning.prunable_layers import EVERY_LAYER
from prunecheck.runs.spec import RunSpec
from prunecheck.studies.question import Question
from prunecheck.training import Recipe
from prunecheck.user_code import is_reference


class Agreement(StrEnum):
    """How a measured number stands to a published one; the values are the labels."""

    WITHIN = "within"
    ABOVE = "above"
    BELOW = "below"
    NO_INTERVAL = "no interval from one seed"
    NOT_COMPARABLE = "not comparable at this scale"
    NOT_DONE = "not done"
    COLLAPSED = "collapsed"

    @property
    def is_compared(self) -> bool:
        """Whether the two are compared."""
        return self in (Agreement.WITHIN, Agreement.ABOVE, Agreement.BELOW)


PUBLISHED_RECIPE = Recipe()
"""Behind all the published numbers that are known, but for the batches that :mod:`.published` names."""

PUBLISHED_SAMPLES = 10
"""Of each class, that criteria saw."""

FAMILIES = {"resnet": "resnet32", "vgg": "vgg19_bn"}
"""Beside which published network another of its family is shown, though not compared."""


@dataclass(frozen=True)
class Measured:
    """Tickets of one kind, over the seeds.

    Attributes:
        network: the model in words, with its width where it offers a choice.
        method: its name, or ``dense``.
        check: what changed the tickets; None for the tickets as they are.
        is_published_setting: whether data, network, recipe and samples are the published ones.
        accuracies: of the last epoch, on the test set, percent, of the tickets that were trained.
        untrained: how many collapsed, diverged or failed.
        runs: how many there are in all; more than the others together if some are not done.
    """

    dataset: str
    model: str
    network: str
    method: str
    check: str | None
    sparsity: float
    is_published_setting: bool
    accuracies: tuple[float, ...]
    untrained: int
    runs: int

    @property
    def mean(self) -> float | None:
        """The mean accuracy, percent; None if no ticket was trained."""
        return math.fsum(self.accuracies) / len(self.accuracies) if self.accuracies else None

    @property
    def std(self) -> float | None:
        """The sample standard deviation; None for fewer than two tickets."""
        return standard_deviation(self.accuracies) if len(self.accuracies) > 1 else None

    def interval(self, of_one_run: bool) -> tuple[float, float] | None:
        """Return a two-sided 95 % t interval, percent; None for fewer than two trained tickets.

        Args:
            of_one_run: the prediction interval of one more run, instead of the interval of the mean.
        """
        mean, std, n = self.mean, self.std, len(self.accuracies)
        if mean is None or std is None:
            return None
        half = t_quantile(n - 1, 0.975) * std * math.sqrt(1 / n + (1 if of_one_run else 0))
        return mean - half, mean + half


@dataclass(frozen=True)
class Reproduced:
    """A measured number beside a published one.

    Attributes:
        published: None if none is known.
        verdict: ``within``: the published number lies in the measured 95 % interval of the mean, or,
            if it is a single run's, in the prediction interval of one more run; ``above`` and
            ``below``: what was measured is more, or less, than that; else why it is not compared.
            None if nothing is known to compare with.
    """

    measured: Measured
    published: PublishedAccuracy | None
    verdict: Agreement | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval that the verdict is about: of the mean, or of one more run."""
        return self.measured.interval(of_one_run=self.is_of_one_run)

    @property
    def is_of_one_run(self) -> bool:
        """Whether the published number is a single run's."""
        return self.published is not None and self.published.seeds == 1


def beside_published(
    questions: Iterable[Question], results: Results, published: Sequence[PublishedAccuracy]
) -> list[Reproduced]:
    """Return every kind of ticket of some questions once, with each published number about it.

    Args:
        questions: whose runs are done.
        results: of their runs.
        published: what is known, see :func:`prunecheck.paper.published_accuracies.published_accuracies`.
    """
    rows = []
    for measured in _measured(questions, results):
        known: list[PublishedAccuracy | None] = [number for number in published if _is_about(number, measured)]
        rows += [Reproduced(measured, number, _verdict(measured, number)) for number in known or [None]]
    return rows


def _measured(questions: Iterable[Question], results: Results) -> list[Measured]:
    found: dict[tuple[tuple[RunSpec, ...], str | None], Measured] = {}
    for question in questions:
        for runs, method, check in _kinds_of_ticket(question):
            # A check that cannot reach a method leaves its runs as they are, and has a published number of its own.
            if (runs, check) not in found:
                found[runs, check] = _of_runs(question, runs, method, check, results)
    return list(found.values())


def _kinds_of_ticket(question: Question) -> Iterable[tuple[tuple[RunSpec, ...], str, str | None]]:
    """Yield runs over the seeds, and the method and the check that they are about."""
    seeds = question.seeds
    yield tuple(question.dense_run(seed) for seed in seeds), DENSE, None
    for sparsity in question.sparsities:
        for check in (None, *question.checks):
            yield tuple(question.method_run(sparsity, check, seed) for seed in seeds), question.method, check
        if question.baseline is not None:
            yield tuple(question.baseline_run(sparsity, seed) for seed in seeds), question.baseline, None


def _of_runs(question: Question, runs: Sequence[RunSpec], method: str, check: str | None, results: Results) -> Measured:
    found = [results[run] for run in runs if run in results]
    accuracies = tuple(result.accuracy for result in found if result.accuracy is not None)
    return Measured(
        dataset=runs[0].setting.dataset,
        model=runs[0].setting.model,
        network=question.setting.network,
        method=method,
        check=check,
        sparsity=runs[0].sparsity,
        is_published_setting=is_published_setting(runs[0]),
        accuracies=accuracies,
        untrained=len(found) - len(accuracies),
        runs=len(runs),
    )


def is_published_setting(run: RunSpec) -> bool:
    """Say whether a run's data, network, recipe and samples are those behind the published numbers."""
    return (
        run.setting.dataset_hash is None
        and run.setting.train_images is None
        and run.setting.test_images is None
        and run.setting.model in FAMILIES.values()
        and run.setting.width == published_width(run.setting.model)
        and run.setting.prunable_layers == EVERY_LAYER
        and run.setting.recipe == PUBLISHED_RECIPE
        and run.samples_per_class in (0, PUBLISHED_SAMPLES)
        and run.scoring_rounds in (0, 1)
    )


def _is_about(number: PublishedAccuracy, measured: Measured) -> bool:
    families = {} if is_reference(measured.model) else FAMILIES
    family = next((network for family, network in families.items() if measured.model.startswith(family)), None)
    return (
        number.dataset == measured.dataset
        and number.model == (measured.model if measured.is_published_setting else family)
        and number.method == measured.method
        and number.check == measured.check
        and math.isclose(number.sparsity, measured.sparsity)
    )


def _verdict(measured: Measured, number: PublishedAccuracy | None) -> Agreement | None:
    trained = len(measured.accuracies)
    if trained + measured.untrained < measured.runs:
        return Agreement.NOT_DONE
    if 2 * measured.untrained >= measured.runs:
        return Agreement.COLLAPSED
    return None if number is None else _comparison(measured, number)


def _comparison(measured: Measured, number: PublishedAccuracy) -> Agreement:
    if not measured.is_published_setting:
        return Agreement.NOT_COMPARABLE
    interval = measured.interval(of_one_run=number.seeds == 1)
    if interval is None:
        return Agreement.NO_INTERVAL
    low, high = interval
    if low <= number.accuracy <= high:
        return Agreement.WITHIN
    return Agreement.ABOVE if low > number.accuracy else Agreement.BELOW
