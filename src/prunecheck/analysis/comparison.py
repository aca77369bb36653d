"""From the results of a study's runs to its verdicts."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from prunecheck.analysis.statistics import (
    LEVEL,
    PairedDifference,
    holm,
    paired_difference,
    seeds_to_decide,
    standard_deviation,
)
from prunecheck.studies import BASELINE, CheckStudy, RunResult, RunSpec

USES, DOES_NOT_USE, UNDECIDED, COLLAPSED = "uses it", "does not use it", "undecided", "collapsed"
DIVERGED = "diverged"
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
        collapsed: layer and reason of each ticket that collapsed or diverged.
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
        own, other: accuracies of both over all seeds.
        difference: own minus other, percent points, over the seeds where both were trained; None if
            there is no such seed.
        verdict: what follows from it; ``collapsed`` if at least half of the seeds have no such pair.
        p: the p value of the verdict that the difference speaks for, adjusted for all verdicts of
            the study (Holm).
        seeds_needed: for ``undecided``, the number of seeds that would decide if mean and deviation
            stayed as they are; None if unknown or more than 1000.
    """

    method: str
    sparsity: float
    against: str
    own: Summary
    other: Summary
    difference: PairedDifference | None
    verdict: str
    p: float
    seeds_needed: int | None


@dataclass(frozen=True)
class CheckAnswer:
    """All that a study concluded."""

    study: CheckStudy
    dense: Summary
    checks: tuple[Comparison, ...]
    baselines: tuple[Comparison, ...]


def analyse(study: CheckStudy, find_result: FindResult) -> CheckAnswer:
    """Compare the tickets of a study.

    Args:
        study: whose runs are done.
        find_result: returns a run's result.
    """

    def results(runs: Sequence[RunSpec]) -> list[RunResult | None]:
        return [find_result(run) for run in runs]

    dense = _summary(results([study.dense_run(seed) for seed in study.seeds]))
    comparisons = []
    for sparsity in study.sparsities:
        own = results([study.method_run(sparsity, None, seed) for seed in study.seeds])
        for check in study.checks:
            changed = results([study.method_run(sparsity, check, seed) for seed in study.seeds])
            comparisons.append(_compare(study, sparsity, check, own, changed))
        random = results([study.baseline_run(sparsity, seed) for seed in study.seeds])
        comparisons.append(_compare(study, sparsity, BASELINE, own, random))
    corrected = _correct(comparisons, study.margin)
    return CheckAnswer(
        study,
        dense,
        tuple(comparison for comparison in corrected if comparison.against != BASELINE),
        tuple(comparison for comparison in corrected if comparison.against == BASELINE),
    )


def _summary(results: Sequence[RunResult | None]) -> Summary:
    accuracies = [result.accuracy for result in results if result and result.accuracy is not None]
    collapsed = [
        str(result.collapse) if result.collapse else f"{DIVERGED} in epoch {result.epochs}"
        for result in results
        if result and result.status != "trained"
    ]
    return Summary(
        math.fsum(accuracies) / len(accuracies) if accuracies else None,
        standard_deviation(accuracies) if len(accuracies) > 1 else None,
        len(accuracies),
        tuple(collapsed),
    )


def _compare(
    study: CheckStudy,
    sparsity: float,
    against: str,
    own: Sequence[RunResult | None],
    other: Sequence[RunResult | None],
) -> Comparison:
    pairs = [
        (a.accuracy, b.accuracy)
        for a, b in zip(own, other, strict=True)
        if a and b and a.accuracy is not None and b.accuracy is not None
    ]
    difference = paired_difference(*zip(*pairs, strict=True)) if pairs else None
    comparison = Comparison(
        study.method.name, sparsity, against, _summary(own), _summary(other), difference, COLLAPSED, 1.0, None
    )
    lost = len(own) - len(pairs)
    if difference is None or 2 * lost >= len(own):
        return comparison
    candidates = _candidates(comparison, study.margin)
    verdict = min(candidates, key=lambda name: candidates[name][0])
    return replace(comparison, verdict=verdict, p=candidates[verdict][0])


def _candidates(comparison: Comparison, margin: float) -> dict[str, tuple[float, float]]:
    """Return, per possible verdict, its p value and how far the mean lies beyond the bound it is tested against."""
    difference = comparison.difference
    assert difference is not None
    mean = difference.mean
    if comparison.against == BASELINE:
        return {
            EQUIVALENT: (difference.p_within(margin), margin - abs(mean)),
            BETTER: (difference.p_more_than(margin), mean - margin),
            WORSE: (difference.p_less_than(-margin), -margin - mean),
        }
    return {
        DOES_NOT_USE: (difference.p_less_than(margin), margin - mean),
        USES: (difference.p_more_than(margin), mean - margin),
    }


def _correct(comparisons: Sequence[Comparison], margin: float) -> list[Comparison]:
    """Keep the verdicts whose p value, adjusted for their number, is below the level.

    A verdict that is not kept needs the seeds that decide it and all those with smaller p values,
    each at the level that its rank leaves it.
    """
    judged = [index for index, comparison in enumerate(comparisons) if comparison.verdict != COLLAPSED]
    judged.sort(key=lambda index: comparisons[index].p)
    corrected = list(comparisons)
    needed: int | None = 0
    for rank, (index, p) in enumerate(zip(judged, holm([comparisons[index].p for index in judged]), strict=True)):
        comparison = comparisons[index]
        corrected[index] = replace(comparison, p=p)
        if p >= LEVEL:
            own = _seeds_needed(comparison, margin, LEVEL / (len(judged) - rank))
            needed = None if own is None or needed is None else max(own, needed)
            corrected[index] = replace(comparison, p=p, verdict=UNDECIDED, seeds_needed=needed)
    return corrected


def _seeds_needed(comparison: Comparison, margin: float, level: float) -> int | None:
    difference = comparison.difference
    if difference is None or difference.deviation is None:
        return None
    _, distance = _candidates(comparison, margin)[comparison.verdict]
    return seeds_to_decide(distance, difference.deviation, level)
