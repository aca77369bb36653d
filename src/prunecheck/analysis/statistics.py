"""Paired differences, what is known of their mean, and corrections for the number of verdicts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from prunecheck.analysis import mean_test
from prunecheck.analysis.mean_test import FEWEST_PAIRS, ROUNDING, granularity, least_std

LEVEL = 0.05
"""Share of wrong verdicts that is accepted, over all verdicts of one report."""

MOST_SEEDS = 1000
"""Beyond it, :func:`seeds_to_decide` gives up."""

DOUBLINGS, HALVINGS = 24, 40
"""Of a distance in which the end of an interval is looked for, and of what is then left of it."""

LEVEL_OF_APART = 0.001
"""Share of samples of normal differences one of which is said to lie apart."""

ENOUGH_TO_KNOW_WHAT_IS_RARE = 30
"""So many pairs miss what befalls one seed in ten with a chance of 4 %."""


@dataclass(frozen=True)
class PairedDifference:
    """The mean of paired differences and what is known of it.

    Attributes:
        mean: in the unit of the values.
        std: sample standard deviation of the differences; None for a single pair.
        n: number of pairs.
        interval: two-sided t interval of the mean, of 95 % unless it was asked for at another level, as wide at least
            as the granularity of the test set asks for; None for a single pair.
        differences: one per pair, in order; empty if only their mean and standard deviation are known, which
            then are taken to have no skewness.
        test_images: number of test images behind each value, which then is an accuracy in percent; None if it is
            not known, or the values are not shares of images.
    """

    mean: float
    std: float | None
    n: int
    interval: tuple[float, float] | None
    differences: tuple[float, ...] = ()
    test_images: int | None = None

    def p_more_than(self, bound: float) -> float:
        """Return the p value of the one-sided test whose alternative is: the mean is more than ``bound``.

        See :func:`~prunecheck.analysis.mean_test.p_value`; 1 with fewer than three pairs, from which nothing follows.
        """
        return self._p_beyond(self.mean - bound, -self.skewness, bound)

    def p_less_than(self, bound: float) -> float:
        """Return the p value of the one-sided test whose alternative is: the mean is less than ``bound``."""
        return self._p_beyond(bound - self.mean, self.skewness, bound)

    def p_within(self, margin: float) -> float:
        """Return the p value of two one-sided tests (TOST) for: the mean is within +-``margin``.

        Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987.
        """
        return max(self.p_more_than(-margin), self.p_less_than(margin))

    def interval_at(self, level: float) -> tuple[float, float]:
        """Return the bounds that the mean is shown to lie between by two one-sided tests, each at a level.

        A bound beyond them is one that the test rejects: the mean is less than a margin at the level if, and only if,
        the interval ends below it. The ends are infinite where no bound is rejected, with fewer than three pairs.
        """
        return self.mean - self._reach(-1, level), self.mean + self._reach(1, level)

    def _reach(self, side: int, level: float) -> float:
        """Return how far from the mean, to which side of it, a bound must lie to be rejected at a level.

        That is where t reaches its critical value, which asks for no p value of each bound that is tried.
        """
        if self.std is None or not mean_test.can_be_less(level, self.std, self.n, granularity(self.test_images)):
            return math.inf
        std = max(self.std, ROUNDING)
        critical = float(mean_test.critical_value(self.n, level, side * self.skewness)) / math.sqrt(self.n)

        def is_rejected(reach: float) -> bool:
            return reach > critical * max(std, least_std(self.mean + side * reach, self.test_images))

        reach = max(std, least_std(self.mean, self.test_images))
        for _ in range(DOUBLINGS):
            if is_rejected(reach):
                break
            reach *= 2
        else:
            return math.inf
        low, high = 0.0, reach
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if is_rejected(middle) else (middle, high)
        return high

    def pairs_to_show_more_than(self, bound: float, level: float) -> int | None:
        """Return how many pairs would show that the mean is more than ``bound``; see :func:`seeds_to_decide`."""
        return self._pairs_to_show(self.mean - bound, -self.skewness, bound, level)

    def pairs_to_show_less_than(self, bound: float, level: float) -> int | None:
        """Return how many pairs would show that the mean is less than ``bound``; see :func:`seeds_to_decide`."""
        return self._pairs_to_show(bound - self.mean, self.skewness, bound, level)

    @cached_property
    def skewness(self) -> float:
        """Sample skewness of the differences; 0 where it is not known."""
        if len(self.differences) < FEWEST_PAIRS:
            return 0.0
        return float(mean_test.skewness(self.differences))

    @cached_property
    def apart(self) -> int | None:
        """The place of a difference because of which no verdict may rest on them, however small p is; None for none.

        It lies apart from the others, further than in one of a thousand samples of normal
        differences (the largest studentised deleted residual, with Bonferroni's correction; Cook and
        Weisberg, Residuals and Influence in Regression, 1982): whatever made it so befalls a share
        of the seeds that so few do not tell. From thirty pairs on that share is known well enough.
        """
        n = len(self.differences)
        if not FEWEST_PAIRS < n < ENOUGH_TO_KNOW_WHAT_IS_RARE:
            return None
        index = max(range(n), key=lambda place: abs(self.differences[place] - self.mean))
        others = [value for place, value in enumerate(self.differences) if place != index]
        std = max(standard_deviation(others), least_std(0.0, self.test_images))
        if std <= ROUNDING:
            return None  # equal for want of test images, whose number is not known
        spread = std * math.sqrt(1 + 1 / (n - 1))
        residual = abs(self.differences[index] - math.fsum(others) / (n - 1)) / spread
        return index if residual > t_quantile(n - 2, 1 - LEVEL_OF_APART / (2 * n)) else None

    def _p_beyond(self, distance: float, adverse_skewness: float, bound: float) -> float:
        if self.std is None:
            return 1.0
        least, grain = least_std(bound, self.test_images), granularity(self.test_images)
        return float(mean_test.p_value(distance, self.std, self.n, adverse_skewness, least, grain))

    def _pairs_to_show(self, distance: float, adverse_skewness: float, bound: float, level: float) -> int | None:
        if self.std is None:
            return None
        least, grain = least_std(bound, self.test_images), granularity(self.test_images)
        return seeds_to_decide(distance, self.std, level, adverse_skewness=adverse_skewness, least=least, grain=grain)


def paired_difference(
    values: Sequence[float], changed: Sequence[float], *, test_images: int | None = None, level: float = LEVEL
) -> PairedDifference:
    """Return ``values`` minus ``changed``, paired by position.

    Args:
        values: of one side; accuracies in percent if ``test_images`` is given.
        changed: of the other side, of the same length.
        test_images: number of test images behind each accuracy, at least 1; None if it is not known, or the values
            are not shares of images.
        level: share of intervals that may miss the true mean.

    Raises:
        ValueError: there is no pair, or the lengths differ, or there is no test image.
    """
    differences = [float(a - b) for a, b in zip(values, changed, strict=True)]
    return difference_of(differences, test_images=test_images, level=level)


def difference_of(paired: Sequence[float], *, test_images: int | None = None, level: float = LEVEL) -> PairedDifference:
    """Return what is known of the mean of paired differences; see :func:`paired_difference`.

    Args:
        paired: the differences, one per pair.
        test_images: see there.
        level: see there.

    Raises:
        ValueError: there is no pair, or no test image.
    """
    if test_images is not None and test_images < 1:
        raise ValueError(f"accuracies are of at least one test image, not of {test_images}")
    differences, n = tuple(paired), len(paired)
    if n == 0:
        raise ValueError("a paired difference needs at least one pair")
    mean = math.fsum(differences) / n
    if n == 1:
        return PairedDifference(mean, None, 1, None, differences, test_images)
    std = standard_deviation(differences)
    half = t_quantile(n - 1, 1 - level / 2) * max(std, least_std(0.0, test_images)) / math.sqrt(n)
    return PairedDifference(mean, std, n, (mean - half, mean + half), differences, test_images)


def standard_deviation(values: Sequence[float]) -> float:
    """Return the sample standard deviation (n - 1 in the denominator) of two or more values."""
    mean = math.fsum(values) / len(values)
    return math.hypot(*(value - mean for value in values)) / math.sqrt(len(values) - 1)  # no square leaves the range


def t_quantile(degrees: int, probability: float) -> float:
    """Return the quantile of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted for their number, in the given order.

    Holm, Scandinavian Journal of Statistics 6, 1979: rejecting those below a level keeps the chance
    of any wrong rejection below it.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def seeds_to_decide(
    distance: float,
    std: float,
    level: float = LEVEL,
    *,
    adverse_skewness: float = 0.0,
    least: float = 0.0,
    grain: float = 0.0,
) -> int | None:
    """Return how many pairs let a one-sided test decide, if the differences stay as they are.

    Args:
        distance: from the mean of the differences to the bound that it is tested against.
        std: of the differences.
        level: of the test.
        adverse_skewness: of the differences, positive if the long tail is on the side of the bound.
        least: see :func:`~prunecheck.analysis.mean_test.least_std`.
        grain: see :func:`~prunecheck.analysis.mean_test.granularity`.

    Returns:
        The least number, or None if it is more than 1000.
    """

    def decides(n: int) -> bool:
        return float(mean_test.p_value(distance, std, n, adverse_skewness, least, grain)) < level

    if not decides(MOST_SEEDS):
        return None
    low, high = FEWEST_PAIRS - 1, MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high


def unseen_share(n: int, level: float = LEVEL) -> float:
    """Return the share of seeds that may differ from all ``n`` that were seen.

    Whatever befalls a smaller share of all seeds befalls none of ``n`` with a chance of more than ``level``
    (Hanley and Lippman-Hand, Journal of the American Medical Association 249, 1983), and no test of
    the differences that were seen can know of it.
    """
    return 1.0 - math.exp(math.log(level) / n)
