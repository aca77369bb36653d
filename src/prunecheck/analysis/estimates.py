"""Means over the seeds, with what is known of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from prunecheck.analysis.statistics import standard_deviation, t_quantile


@dataclass(frozen=True)
class Estimate:
    """The mean of independent values.

    Attributes:
        interval: two-sided 95 % t interval of the mean; None for a single value.
        n: how many values there are.
    """

    mean: float
    interval: tuple[float, float] | None
    n: int


def estimate(values: Sequence[float]) -> Estimate | None:
    """Return the mean of values and its interval, in their unit; None if there are none."""
    n = len(values)
    if n == 0:
        return None
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean, None, 1)
    half = t_quantile(n - 1, 0.975) * standard_deviation(values) / math.sqrt(n)
    return Estimate(mean, (mean - half, mean + half), n)


@dataclass(frozen=True)
class Curve:
    """A quantity over a training, over several runs.

    Attributes:
        epochs: counted from 1; of a long training some of them, the last among them.
        mean, low, high: over the runs, at each of these.
        n: how many runs there are.
    """

    epochs: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: int


@dataclass(frozen=True)
class Dose:
    """What a check that is done to a share costs.

    Attributes:
        share: in [0, 1], as the check's name says it.
        cost: in the unit of the metric, paired by seed.
        interval: two-sided 95 % t interval; None for a single pair.
    """

    share: float
    cost: float
    interval: tuple[float, float] | None
