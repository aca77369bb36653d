"""How many seeds a question needs: the exact power of the tests that verdicts follow from."""

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prunecheck.analysis.statistics import FEWEST_EQUAL, LEVEL, MOST_SEEDS, ROUNDING, t_quantile

if TYPE_CHECKING:
    import numpy

NODES = 400
"""Of the quadrature over the deviations that may be found; it is exact to ten digits."""

NEGLIGIBLE = 1e-14
"""Chance of the deviations that the quadrature leaves out, at either end."""


@dataclass(frozen=True)
class PairedTest:
    """A test of the mean of paired differences, and what is true of them.

    Attributes:
        below: from the true mean up to the bound that it is shown to lie below; infinite for none.
        above: from the true mean down to the bound that it is shown to lie above; infinite for none.
            With both bounds these are the two one-sided tests (TOST).
        deviation: the true standard deviation of the differences, in the same unit.
        level: of the test; of each of the two.
    """

    below: float
    above: float
    deviation: float
    level: float = LEVEL

    def power(self, n: int) -> float:
        """Return the chance that ``n`` pairs, normally distributed, let the test decide.

        It is the mean, over the sample deviation s, of the chance that the mean lies where s lets
        the test decide: for one bound the survival function of the noncentral t distribution, for
        two that of Phillips, Journal of Pharmacokinetics and Biopharmaceutics 18, 1990.

        Raises:
            ValueError: there are less than 2 pairs.
        """
        if n < 2:
            raise ValueError("a paired test needs at least 2 pairs")
        if self.deviation <= ROUNDING:
            return float(n >= FEWEST_EQUAL and min(self.below, self.above) > 0)
        import numpy
        from scipy.special import ndtr

        scale = math.sqrt(n) / self.deviation
        quantile = t_quantile(n - 1, 1 - self.level)
        lowest, highest = _sample_deviations(n - 1)
        # With a larger sample deviation the two tests contradict each other, whatever the mean.
        highest = min(highest, (self.below + self.above) * scale / (2 * quantile))
        if highest <= lowest:
            return 0.0
        nodes, weights = _legendre()
        deviations = (highest - lowest) / 2 * nodes + (highest + lowest) / 2
        decides = ndtr(self.below * scale - quantile * deviations) - ndtr(quantile * deviations - self.above * scale)
        chances = decides * _density(deviations, n - 1)
        return min(max(float(numpy.dot(weights, chances)) * (highest - lowest) / 2, 0.0), 1.0)

    def seeds(self, power: float) -> int | None:
        """Return the least number of pairs with which the test decides with at least this chance.

        Args:
            power: in (0, 1).

        Returns:
            None if it is more than 1000, or if no number is enough: at a bound, or beyond it.
        """
        if min(self.below, self.above) <= 0 or self.power(MOST_SEEDS) < power:
            return None
        low, high = 1, MOST_SEEDS
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.power(middle) >= power else (middle, high)
        return high


def check_test(difference: float, margin: float, deviation: float, level: float = LEVEL) -> PairedTest:
    """Return the test that decides about a check: ``uses it`` beyond the margin, else ``does not use it``.

    Args:
        difference: what the change truly costs, in points of accuracy.
        margin: that makes no practical difference, more than 0.
        deviation: of the paired differences.
        level: of the test.
    """
    if difference > margin:
        return PairedTest(math.inf, difference - margin, deviation, level)
    return PairedTest(margin - difference, math.inf, deviation, level)


def baseline_test(difference: float, margin: float, deviation: float, level: float = LEVEL) -> PairedTest:
    """Return the test that decides about random tickets: ``better`` or ``worse``, or ``equivalent`` within the margin.

    Args:
        difference: by how much the method's tickets are truly better, in points of accuracy.
        margin: that makes no practical difference, more than 0.
        deviation: of the paired differences.
        level: of the test.
    """
    if difference > margin:
        return PairedTest(math.inf, difference - margin, deviation, level)
    if difference < -margin:
        return PairedTest(-margin - difference, math.inf, deviation, level)
    return PairedTest(margin - difference, margin + difference, deviation, level)


def _sample_deviations(degrees: int) -> tuple[float, float]:
    """Return between which sample deviations nearly all lie if the true one is 1."""
    from scipy.special import chdtri

    low, high = float(chdtri(degrees, 1 - NEGLIGIBLE)), float(chdtri(degrees, NEGLIGIBLE))
    return math.sqrt(low / degrees), math.sqrt(high / degrees)


def _density(deviations: "numpy.ndarray", degrees: int) -> "numpy.ndarray":
    """Return the density of sample deviations if the true one is 1: of a chi variable over root of its degrees."""
    import numpy
    from scipy.special import gammaln

    constant = math.log(2) + degrees / 2 * math.log(degrees / 2) - float(gammaln(degrees / 2))
    density: numpy.ndarray = numpy.exp(
        constant + (degrees - 1) * numpy.log(deviations) - degrees / 2 * deviations * deviations
    )
    return density


@functools.cache
def _legendre() -> "tuple[numpy.ndarray, numpy.ndarray]":
    import numpy

    nodes, weights = numpy.polynomial.legendre.leggauss(NODES)
    return nodes, weights
