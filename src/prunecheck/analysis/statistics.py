"""Paired differences, their t intervals, and one-sided tests against a margin stated beforehand."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.05
"""Share of wrong verdicts that is accepted, over all verdicts of one report."""

ROUNDING = 1e-9
"""Differences of accuracies (percent) whose deviation is less are equal, but for rounding."""

FEWEST_EQUAL = 3
"""So many equal differences are not taken for chance."""

MOST_SEEDS = 1000
"""Beyond it, :func:`seeds_to_decide` gives up."""


@dataclass(frozen=True)
class PairedDifference:
    """The mean of paired differences and what is known of it.

    Attributes:
        mean: in the unit of the values.
        deviation: sample standard deviation of the differences; None for a single pair.
        n: number of pairs.
        interval: two-sided 95 % t interval of the mean; None for a single pair.
        differences: pair by pair.
        doubt: why no verdict may rest on this sample, in a clause; None where one may.
    """

    mean: float
    deviation: float | None
    n: int
    interval: tuple[float, float] | None
    differences: tuple[float, ...] = ()
    doubt: str | None = None

    def p_more_than(self, bound: float) -> float:
        """Return the p value of the one-sided t test whose alternative is: the mean is more than ``bound``.

        1 for a single pair, from which nothing follows. Differences without any deviation, as of
        runs that are the same, decide with certainty from three on: accuracies are multiples of one
        image, and two differences may be equal by chance.
        """
        if self.deviation is None:
            return 1.0
        if self.deviation <= ROUNDING:
            return 0.0 if self.mean > bound and self.n >= FEWEST_EQUAL else 1.0
        from scipy.special import stdtr

        standard_error = self.deviation / math.sqrt(self.n)
        return float(stdtr(self.n - 1, -(self.mean - bound) / standard_error))

    def p_less_than(self, bound: float) -> float:
        """Return the p value of the one-sided t test whose alternative is: the mean is less than ``bound``."""
        return PairedDifference(-self.mean, self.deviation, self.n, None).p_more_than(-bound)

    def p_within(self, margin: float) -> float:
        """Return the p value of the two one-sided tests (TOST) for: the mean is within +-``margin``.

        Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987.
        """
        return max(self.p_more_than(-margin), self.p_less_than(margin))


def paired_difference(
    values: Sequence[float], changed: Sequence[float], *, test_images: int | None = None
) -> PairedDifference:
    """Return ``values`` minus ``changed``, paired by position.

    Args:
        values: accuracies, percent.
        changed: those of the changed tickets, of the same seeds.
        test_images: by how many images they were measured; None if that is not known.

    Raises:
        ValueError: there is no pair, or the lengths differ.
    """
    differences = tuple(a - b for a, b in zip(values, changed, strict=True))
    n = len(differences)
    if n == 0:
        raise ValueError("a paired difference needs at least one pair")
    mean = math.fsum(differences) / n
    if n == 1:
        return PairedDifference(mean, None, 1, None, differences)
    deviation = standard_deviation(differences)
    half = t_quantile(n - 1, 0.975) * deviation / math.sqrt(n)
    return PairedDifference(mean, deviation, n, (mean - half, mean + half), differences)


def standard_deviation(values: Sequence[float]) -> float:
    """Return the sample standard deviation (n - 1 in the denominator) of two or more values."""
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


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


def seeds_to_decide(distance: float, deviation: float, level: float = LEVEL) -> int | None:
    """Return how many pairs let a one-sided test decide, if mean and deviation stay as they are.

    Args:
        distance: from the mean of the differences to the bound that it is tested against.
        deviation: of the differences.
        level: of the test.

    Returns:
        The least number, or None if it is more than 1000.
    """
    fewest = 2 if deviation > ROUNDING else FEWEST_EQUAL
    for n in range(fewest, MOST_SEEDS + 1):
        if distance > t_quantile(n - 1, 1 - level) * deviation / math.sqrt(n):
            return n
    return None
