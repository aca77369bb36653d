"""What was measured beside what was published."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from prunecheck.analysis.comparison import Results
from prunecheck.analysis.statistics import standard_deviation, t_quantile
from prunecheck.models import published_width
from prunecheck.paper.published_accuracies import EpochChoice, PublishedAccuracy
from prunecheck.pruning import DENSE
from prunecheck.pruning.prunable_layers import EVERY_LAYER
from prunecheck.runs.spec import RunSpec
from prunecheck.studies.question import Question
from prunecheck.user_code import is_reference


class Agreement(StrEnum):
    """How a measured number stands to a published one; the values are the labels."""

    WITHIN = "within"
    ABOVE = "above"
    BELOW = "below"
    NO_INTERVAL = "no interval from one seed"
    NOT_COMPARABLE = "not comparable"
    NOT_DONE = "not done"
    COLLAPSED = "collapsed"

    @property
    def is_compared(self) -> bool:
        """Whether the two are compared."""
        return self in (Agreement.WITHIN, Agreement.ABOVE, Agreement.BELOW)


FAMILIES = {"resnet": "resnet32", "vgg": "vgg19_bn", "wrn": "wrn22"}
"""Beside which published network another of its family is shown, though not compared."""


@dataclass(frozen=True)
class Accuracies:
    """Of the tickets of one kind that were trained, percent, on the test set.

    Attributes:
        values: one for each ticket.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float | None:
        """The mean; None if no ticket was trained."""
        return math.fsum(self.values) / len(self.values) if self.values else None

    @property
    def std(self) -> float | None:
        """The sample standard deviation; None for fewer than two tickets."""
        return standard_deviation(self.values) if len(self.values) > 1 else None

    def interval(self, of_one_run: bool) -> tuple[float, float] | None:
        """Return a two-sided 95 % t interval; None for fewer than two tickets.

        Args:
            of_one_run: the prediction interval of one more run, instead of the interval of the mean.
        """
        mean, std, n = self.mean, self.std, len(self.values)
        if mean is None or std is None:
            return None
        half = t_quantile(n - 1, 0.975) * std * math.sqrt(1 / n + (1 if of_one_run else 0))
        return mean - half, mean + half


@dataclass(frozen=True)
class Measured:
    """Tickets of one kind, over the seeds.

    Attributes:
        run: of the first seed.
        network: the model in words, with its width where it offers a choice.
        method: its name, or ``dense``.
        check: what changed the tickets; None for the tickets as they are.
        last: accuracies of the last epoch.
        best: those of the best epoch, which is picked on test data.
        untrained: how many collapsed, diverged or failed.
        runs: how many there are in all; more than the others together if some are not done.
    """

    run: RunSpec
    network: str
    method: str
    check: str | None
    last: Accuracies
    best: Accuracies
    untrained: int
    runs: int

    @property
    def dataset(self) -> str:
        """The data set's name."""
        return self.run.setting.dataset

    @property
    def model(self) -> str:
        """The network's name."""
        return self.run.setting.model

    @property
    def sparsity(self) -> float:
        """Share of weights removed."""
        return self.run.sparsity


class Comparison(NamedTuple):
    """How a measured number stands to a published one, and if it is not compared, what differs, in words."""

    verdict: Agreement | None
    differences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reproduced:
    """A measured number beside a published one.

    Attributes:
        published: None if none is known.
        verdict: ``within``: the published number lies in the measured 95 % interval of the mean, or,
            if it is a single run's, in the prediction interval of one more run; ``above`` and
            ``below``: what was measured is more, or less, than that; else why it is not compared.
            None if nothing is known to compare with.
        differences: what is not the same, and keeps the two from being compared.
    """

    measured: Measured
    published: PublishedAccuracy | None
    verdict: Agreement | None
    differences: tuple[str, ...] = ()

    @property
    def is_of_best_epoch(self) -> bool:
        """Whether the published number is the best epoch's, so that the measured one is, too."""
        return self.published is not None and self.published.epoch_choice == EpochChoice.BEST

    @property
    def accuracies(self) -> Accuracies:
        """What was measured, of the epoch that the published number is of; of the last where that is not said."""
        return self.measured.best if self.is_of_best_epoch else self.measured.last

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval that the verdict is about: of the mean, or of one more run."""
        return self.accuracies.interval(of_one_run=self.is_of_one_run)

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
    published_models = {number.model for number in published}
    rows: list[Reproduced] = []
    for measured in _measured(questions, results):
        model = measured.model if measured.model in published_models else _family(measured.model)
        known: list[PublishedAccuracy | None] = [
            number for number in published if number.model == model and _is_about(number, measured)
        ]
        rows += [Reproduced(measured, number, *_compared(measured, number)) for number in known or [None]]
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
    trained = [result for result in found if result.accuracy is not None]
    return Measured(
        run=runs[0],
        network=question.setting.network,
        method=method,
        check=check,
        last=Accuracies(tuple(result.accuracy for result in trained if result.accuracy is not None)),
        best=Accuracies(tuple(result.best_accuracy for result in trained if result.best_accuracy is not None)),
        untrained=len(found) - len(trained),
        runs=len(runs),
    )


def differences(run: RunSpec, number: PublishedAccuracy) -> tuple[str, ...]:
    """Return what is not the same in a run as in what a published number is about, in words; empty if nothing is known.

    Which epoch is meant is left out: a run has both, the last and the best.
    """
    setting = run.setting
    shortened = setting.train_images is not None or setting.test_images is not None
    is_network = (
        setting.model == number.model
        and setting.width == published_width(setting.model)
        and setting.prunable_layers == EVERY_LAYER
    )
    samples = (run.samples_per_class, run.scoring_rounds)
    found = {
        "network": not is_network,
        "images": setting.dataset_hash is not None or shortened or setting.augment is not None,
        "normalisation": setting.normalize != number.normalize,
        "recipe not said": number.recipe is None,
        "recipe": number.recipe is not None and setting.recipe != number.recipe,
        "samples": samples not in ((0, 0), (number.samples_per_class, number.scoring_rounds)),
        number.differs: bool(number.differs),
    }
    return tuple(name for name, differs in found.items() if differs)


def _family(model: str) -> str | None:
    families = {} if is_reference(model) else FAMILIES
    return next((network for family, network in families.items() if model.startswith(family)), None)


def _is_about(number: PublishedAccuracy, measured: Measured) -> bool:
    return (
        number.dataset == measured.dataset
        and number.method == measured.method
        and number.check == measured.check
        and math.isclose(number.sparsity, measured.sparsity)
    )


def _compared(measured: Measured, number: PublishedAccuracy | None) -> Comparison:
    trained = len(measured.last.values)
    if trained + measured.untrained < measured.runs:
        return Comparison(Agreement.NOT_DONE)
    if 2 * measured.untrained >= measured.runs:
        return Comparison(Agreement.COLLAPSED)
    if number is None:
        return Comparison(None)
    if found := differences(measured.run, number):
        return Comparison(Agreement.NOT_COMPARABLE, found)
    of_last, of_best = _agreement(measured.last, number), _agreement(measured.best, number)
    if number.epoch_choice == EpochChoice.NOT_SAID and of_last != of_best:
        return Comparison(Agreement.NOT_COMPARABLE, ("last or best epoch not said",))
    return Comparison(of_best if number.epoch_choice == EpochChoice.BEST else of_last)


def _agreement(accuracies: Accuracies, number: PublishedAccuracy) -> Agreement:
    interval = accuracies.interval(of_one_run=number.seeds == 1)
    if interval is None:
        return Agreement.NO_INTERVAL
    low, high = interval
    if low <= number.accuracy <= high:
        return Agreement.WITHIN
    return Agreement.ABOVE if low > number.accuracy else Agreement.BELOW
