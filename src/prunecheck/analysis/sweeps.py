"""Where a method's tickets fall behind those of its baseline, in a sweep of sparsities."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from prunecheck.analysis.comparison import Comparison
from prunecheck.analysis.families import Conclusion

FEWEST_SPARSITIES = 4
"""Of a sweep: fewer show no course."""


@dataclass(frozen=True)
class FallingBehind:
    """The sparsity at which tickets become worse than the baseline's by more than the margin.

    Attributes:
        baseline: whose tickets those are.
        margin: as differences are counted.
        asked: the least and the greatest sparsity of the sweep.
        sparsity: where the mean difference, a line through its values over the logarithm of the density, first exceeds
            the margin; the least one asked about if it does so there; None if it never does.
        earliest, latest: where the ends of the 95 % t interval of the difference do: the sparsities between them are
            those that the runs do not rule out. ``earliest`` is None if even the lower end never does, ``latest`` if
            the upper end does not.
        collapses_at: the least sparsity at which some of its tickets collapsed or diverged and the baseline's of the
            same seeds were trained, which is falling behind, too; None if there is none.
    """

    baseline: str
    margin: float
    asked: tuple[float, float]
    sparsity: float | None
    earliest: float | None
    latest: float | None
    collapses_at: float | None


def falling_behind(answer: Conclusion) -> FallingBehind | None:
    """Return where a question's method falls behind its baseline; None for what is no sweep with a baseline.

    None, too, where a difference would be a percentage of 0 or less: between others nothing could be told of it.

    The interval holds the sparsities at which a two-sided t test at 5 % does not reject that the difference is minus
    the margin, between those asked about by interpolation: not corrected for the number of sparsities.
    """
    compared = sorted(answer.baselines, key=lambda one: one.sparsity)
    if len(compared) < FEWEST_SPARSITIES or any(one.seeds_without_percentages for one in compared):
        return None
    margin, collapses_at = answer.question.margin.amount, _collapse(compared)
    whole = [one for one in compared if collapses_at is None or one.sparsity < collapses_at]
    known = [one for one in whole if one.difference]
    places = [_place(one.sparsity) for one in known]
    differences = [one.difference for one in known if one.difference]
    means = [difference.mean for difference in differences]
    ends = [difference.interval or (-math.inf, math.inf) for difference in differences]
    at, earliest, latest = (
        _first_below(places, values, -margin)
        for values in (means, [low for low, _ in ends], [high for _, high in ends])
    )
    return FallingBehind(
        compared[0].against,
        margin,
        (compared[0].sparsity, compared[-1].sparsity),
        collapses_at if at is None else at,
        collapses_at if earliest is None else earliest,
        collapses_at if latest is None else latest,
        collapses_at,
    )


def _collapse(compared: Sequence[Comparison]) -> float | None:
    return next((one.sparsity for one in compared if one.lost_without_the_change), None)


def _place(sparsity: float) -> float:
    return -math.log10(1 - sparsity)


def _first_below(places: Sequence[float], values: Sequence[float], level: float) -> float | None:
    """Return the sparsity at which a line through values first falls below a level; None if it does not."""
    for index, value in enumerate(values):
        if value >= level:
            continue
        if index == 0 or not math.isfinite(value) or not math.isfinite(values[index - 1]):
            return _sparsity(places[index])
        before = values[index - 1]
        way = (before - level) / (before - value)
        return _sparsity(places[index - 1] + way * (places[index] - places[index - 1]))
    return None


def _sparsity(place: float) -> float:
    return float(1 - 10.0**-place)
