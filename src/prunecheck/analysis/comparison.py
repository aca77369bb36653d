"""From the results of a study's runs to its verdicts."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from prunecheck.analysis.statistics import (
    LEVEL,
    PairedDifference,
    holm,
    paired_difference,
    seeds_to_decide,
    standard_deviation,
)
from prunecheck.studies import RunResult, RunSpec
from prunecheck.training import Recipe

USES, DOES_NOT_USE, UNDECIDED, COLLAPSED = "uses it", "does not use it", "undecided", "collapsed"
DIVERGED, FAILED = "diverged", "failed"
BETTER, EQUIVALENT, WORSE = "better", "equivalent", "worse"

FindResult = Callable[[RunSpec], RunResult | None]


@dataclass(frozen=True)
class Summary:
    """Accuracies of one kind of ticket over the seeds.

    Attributes:
        accuracy: mean of the last epoch's test accuracy, percent, of the tickets that were trained;
            None if none was.
        deviation: sample standard deviation of it; None for fewer than two.
        n: tickets trained.
        collapsed: layer and reason of each ticket that collapsed, diverged or failed.
    """

    accuracy: float | None
    deviation: float | None
    n: int
    collapsed: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """A method's tickets beside changed ones, or random ones, of the same seeds.

    Attributes:
        against: the check's name, or the name of the method of the other tickets.
        is_check: whether it is a check's name.
        own, other: accuracies of both over all seeds.
        difference: own minus other, percent points, over the seeds where both were trained; None if
            there is no such seed.
        verdict: what follows from it; ``collapsed`` if at least half of the seeds have no such pair.
        p: the p value of the verdict that the difference speaks for, adjusted for all verdicts of
            the study (Holm).
        seeds_needed: for ``undecided``, the number of seeds that would decide if mean and deviation
            stayed as they are; None if unknown or more than 1000.
        same_runs: whether the change cannot reach the method, so that a run is compared with itself;
            that needs no test.
        at_chance: whether the method's own tickets, or the dense networks, are no better than
            guessing, by the margin; that nothing makes them worse then says nothing.
    """

    method: str
    sparsity: float
    against: str
    is_check: bool
    own: Summary
    other: Summary
    difference: PairedDifference | None
    verdict: str
    p: float
    seeds_needed: int | None
    same_runs: bool = False
    at_chance: bool = False


class Named(Protocol):
    """What has a name."""

    @property
    def name(self) -> str:
        """The name on the command line."""


class Question(Protocol):
    """One method on one data set with one network and recipe, at some sparsities, under some checks.

    A :class:`~prunecheck.studies.CheckStudy` is one.
    """

    @property
    def method(self) -> Named:
        """Whose tickets are in question."""

    @property
    def baseline(self) -> Named | None:
        """Whose tickets they are compared with."""

    @property
    def dataset_name(self) -> str:
        """The data set."""

    @property
    def train_images(self) -> int | None:
        """How many training images were used; None for all."""

    @property
    def test_images(self) -> int | None:
        """How many test images measured accuracy; None for all."""

    @property
    def model(self) -> str:
        """The network."""

    @property
    def width(self) -> int | None:
        """Channels of its first stage; None where it offers no choice."""

    @property
    def recipe(self) -> Recipe:
        """How all were trained."""

    @property
    def sparsities(self) -> Sequence[float]:
        """Shares of weights removed."""

    @property
    def checks(self) -> Sequence[str]:
        """The checks, by name."""

    @property
    def seeds(self) -> Sequence[int]:
        """By which runs are paired."""

    @property
    def margin(self) -> float:
        """Points of accuracy that make no practical difference."""

    def dense_run(self, seed: int) -> RunSpec:
        """Return the run of the whole network, done or not."""

    def method_run(self, sparsity: float, check: str | None, seed: int) -> RunSpec:
        """Return the run of the method's ticket, changed by a check or not."""

    def baseline_run(self, sparsity: float, seed: int) -> RunSpec:
        """Return the run of the baseline's ticket."""


@dataclass(frozen=True)
class CheckAnswer:
    """All that a study concluded.

    Attributes:
        chance: accuracy, percent, of always guessing the commonest class of the test set.
        own: the method's tickets, by sparsity.
    """

    study: Question
    chance: float
    dense: Summary
    own: Mapping[float, Summary]
    checks: tuple[Comparison, ...]
    baselines: tuple[Comparison, ...]

    @property
    def compares(self) -> bool:
        """Whether there is a verdict."""
        return bool(self.checks or self.baselines)


def analyse(study: Question, find_result: FindResult) -> CheckAnswer:
    """Compare the tickets of a study.

    Args:
        study: what is compared; its runs are done.
        find_result: returns a run's result.
    """

    def results(runs: Sequence[RunSpec]) -> list[RunResult | None]:
        return [find_result(run) for run in runs]

    def compare(own: Sequence[RunSpec], other: Sequence[RunSpec], against: str, is_check: bool) -> Comparison:
        comparison = Comparison(
            study.method.name,
            own[0].sparsity,
            against,
            is_check,
            _summary(results(own)),
            _summary(results(other)),
            *(None, COLLAPSED, 1.0, None),
            same_runs=own == other,
        )
        comparison = _judge(comparison, results(own), results(other), study.margin)
        at_chance = any(learned_nothing(summary, chance, study.margin) for summary in (dense, comparison.own))
        return replace(comparison, at_chance=at_chance and comparison.verdict != COLLAPSED)

    dense_results = results([study.dense_run(seed) for seed in study.seeds])
    dense = _summary(dense_results)
    chance = next((result.chance for result in dense_results if result), 0.0)
    comparisons, tickets = [], {}
    for sparsity in study.sparsities:
        own = [study.method_run(sparsity, None, seed) for seed in study.seeds]
        tickets[sparsity] = _summary(results(own))
        for check in study.checks:
            changed = [study.method_run(sparsity, check, seed) for seed in study.seeds]
            comparisons.append(compare(own, changed, check, True))
        if study.baseline:
            others = [study.baseline_run(sparsity, seed) for seed in study.seeds]
            comparisons.append(compare(own, others, study.baseline.name, False))
    corrected = correct(comparisons, study.margin)
    return CheckAnswer(
        study,
        chance,
        dense,
        tickets,
        tuple(comparison for comparison in corrected if comparison.is_check),
        tuple(comparison for comparison in corrected if not comparison.is_check),
    )


def learned_nothing(summary: Summary, chance: float, margin: float) -> bool:
    """Say whether networks are no better than guessing, by the margin, or none could be trained."""
    return summary.accuracy is None or summary.accuracy - chance <= margin


def _summary(results: Sequence[RunResult | None]) -> Summary:
    accuracies = [result.accuracy for result in results if result and result.accuracy is not None]
    collapsed = [_reason(result) for result in results if result and result.status != "trained"]
    return Summary(
        math.fsum(accuracies) / len(accuracies) if accuracies else None,
        standard_deviation(accuracies) if len(accuracies) > 1 else None,
        len(accuracies),
        tuple(collapsed),
    )


def _reason(result: RunResult) -> str:
    if result.status == "diverged":
        return f"{DIVERGED} in epoch {result.epochs}"
    return f"{FAILED}: {result.reason}" if result.status == "failed" else str(result.collapse)


def _judge(
    comparison: Comparison,
    own: Sequence[RunResult | None],
    other: Sequence[RunResult | None],
    margin: float,
) -> Comparison:
    """Return the comparison with its difference, and the verdict that this speaks for."""
    pairs = [
        (a.accuracy, b.accuracy)
        for a, b in zip(own, other, strict=True)
        if a and b and a.accuracy is not None and b.accuracy is not None
    ]
    difference = paired_difference(*zip(*pairs, strict=True)) if pairs else None
    comparison = replace(comparison, difference=difference)
    lost = len(own) - len(pairs)
    if difference is None or 2 * lost >= len(own):
        return comparison
    candidates = possible_verdicts(comparison, margin)
    verdict = min(candidates, key=lambda name: candidates[name][0])
    return replace(comparison, verdict=verdict, p=candidates[verdict][0])


def possible_verdicts(comparison: Comparison, margin: float) -> dict[str, tuple[float, float]]:
    """Return, per possible verdict, its p value and how far the mean lies beyond the bound it is tested against."""
    difference = comparison.difference
    assert difference is not None
    mean = difference.mean
    if not comparison.is_check:
        return {
            EQUIVALENT: (difference.p_within(margin), margin - abs(mean)),
            BETTER: (difference.p_more_than(margin), mean - margin),
            WORSE: (difference.p_less_than(-margin), -margin - mean),
        }
    return {
        DOES_NOT_USE: (difference.p_less_than(margin), margin - mean),
        USES: (difference.p_more_than(margin), mean - margin),
    }


def correct(comparisons: Sequence[Comparison], margin: float) -> list[Comparison]:
    """Keep the verdicts whose p value, adjusted for their number, is below the level.

    A verdict that is not kept needs the seeds that decide it and all those with smaller p values,
    each at the level that its rank leaves it. Tickets at chance have nothing to lose, and no number
    of seeds would show what they do.
    """
    corrected = [_without_test(comparison) for comparison in comparisons]
    judged = [
        index
        for index, comparison in enumerate(corrected)
        if comparison.verdict not in (COLLAPSED, UNDECIDED) and not comparison.same_runs
    ]
    judged.sort(key=lambda index: comparisons[index].p)
    needed: int | None = 0
    for rank, (index, p) in enumerate(zip(judged, holm([comparisons[index].p for index in judged]), strict=True)):
        comparison = comparisons[index]
        corrected[index] = replace(comparison, p=p)
        if p >= LEVEL:
            own = _seeds_needed(comparison, margin, LEVEL / (len(judged) - rank))
            needed = None if own is None or needed is None else max(own, needed)
            corrected[index] = replace(comparison, p=p, verdict=UNDECIDED, seeds_needed=needed)
    return corrected


def _without_test(comparison: Comparison) -> Comparison:
    if comparison.verdict == COLLAPSED:
        return comparison
    if comparison.same_runs:
        return replace(comparison, verdict=DOES_NOT_USE if comparison.is_check else EQUIVALENT, p=0.0)
    if comparison.at_chance and comparison.verdict in (DOES_NOT_USE, EQUIVALENT):
        return replace(comparison, verdict=UNDECIDED, p=1.0)
    return comparison


def _seeds_needed(comparison: Comparison, margin: float, level: float) -> int | None:
    difference = comparison.difference
    if difference is None or difference.deviation is None:
        return None
    _, distance = possible_verdicts(comparison, margin)[comparison.verdict]
    return seeds_to_decide(distance, difference.deviation, level)
