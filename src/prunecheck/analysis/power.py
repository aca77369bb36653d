"""How many seeds a question needs: the power of the test that verdicts follow from."""

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from prunecheck.analysis.mean_test import (
    FEWEST_PAIRS,
    ROUNDING,
    critical_value,
    granularity,
    least_std,
    p_value,
    skewness,
    standard_error_of_skewness,
)
from prunecheck.analysis.statistics import LEVEL, MOST_SEEDS

NODES = 400
"""Of the quadrature over the standard deviations that may be found."""

NEGLIGIBLE = 1e-14
"""Chance of the standard deviations that the quadrature leaves out, at either end."""

SAMPLES = 20_000
"""Normal samples from which the distribution of their skewness is known."""

SKEWNESSES = 64
"""Equally likely values that stand for that distribution."""

NEARLY_NORMAL = 50
"""The skewness of more pairs than these is taken as normally distributed."""


@dataclass(frozen=True)
class PairedTest:
    """A test of the mean of paired differences, and what is true of them.

    Attributes:
        below: from the true mean up to the bound that it is shown to lie below; infinite for none.
        above: from the true mean down to the bound that it is shown to lie above; infinite for none.
            With both bounds these are the two one-sided tests (TOST).
        std: the true standard deviation of the differences, in the same unit.
        level: of the test; of each of the two.
        least: see :func:`~prunecheck.analysis.mean_test.least_std`.
        grain: see :func:`~prunecheck.analysis.mean_test.granularity`.
    """

    below: float
    above: float
    std: float
    level: float = LEVEL
    least: float = 0.0
    grain: float = 0.0

    def power(self, n: int) -> float:
        """Return the chance that ``n`` pairs, normally distributed, let the test decide.

        Mean, standard deviation and skewness of normal values are independent. So it is the mean, over
        the sample skewness and the sample standard deviation s, of the chance that the mean lies where they let the
        test decide: given the skewness, for one bound a survival function of the noncentral t distribution, for
        two that of Phillips, Journal of Pharmacokinetics and Biopharmaceutics 18, 1990.

        Raises:
            ValueError: there are less than 2 pairs.
        """
        if n < 2:
            raise ValueError("a paired test needs at least 2 pairs")
        if n < FEWEST_PAIRS:
            return 0.0
        if self.std <= ROUNDING:
            distance = min(self.below, self.above)
            return float(p_value(distance, self.std, n, 0.0, self.least, self.grain) < self.level)
        skewnesses = skewnesses_of_normal_samples(n)
        upper = critical_value(n, self.level, skewnesses)
        lower = critical_value(n, self.level, -skewnesses) if math.isfinite(self.above) else upper
        return self._power_given(n, upper, lower)

    def _power_given(self, n: int, upper: NDArray[Any], lower: NDArray[Any]) -> float:
        """Return the power where t has to exceed values that are equally likely, one each for the two bounds."""
        from scipy.special import ndtr

        scale = math.sqrt(n) / self.std
        lowest, highest = _sample_stds(n - 1)
        if 2.0**-n >= self.level:  # what varies by no more than one test image does not decide
            lowest = max(lowest, self.grain / self.std)
        # With a larger sample standard deviation the two tests contradict each other, whatever the mean.
        highest = min(highest, (self.below + self.above) * scale / float(numpy.min(upper + lower)))
        if highest <= lowest:
            return 0.0
        nodes, weights = _legendre()
        stds = (highest - lowest) / 2 * nodes + (highest + lowest) / 2
        used = numpy.maximum(stds, self.least / self.std)
        decides = ndtr(self.below * scale - upper[:, None] * used) - ndtr(lower[:, None] * used - self.above * scale)
        chances = numpy.maximum(decides, 0.0).mean(axis=0) * _density(stds, n - 1)
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
        low, high = FEWEST_PAIRS - 1, MOST_SEEDS
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.power(middle) >= power else (middle, high)
        return high


def check_test(
    difference: float, margin: float, std: float, level: float = LEVEL, test_images: int | None = None
) -> PairedTest:
    """Return the test that decides about a check: ``uses it`` beyond the margin, else ``does not use it``.

    Args:
        difference: what the change truly costs, in the unit of the standard deviation.
        margin: that makes no practical difference, more than 0.
        std: of the paired differences.
        level: of the test.
        test_images: number of test images behind each accuracy; None if it is not known, or values are no such shares.
    """
    images = (least_std(margin, test_images), granularity(test_images))
    if difference > margin:
        return PairedTest(math.inf, difference - margin, std, level, *images)
    return PairedTest(margin - difference, math.inf, std, level, *images)


def baseline_test(
    difference: float, margin: float, std: float, level: float = LEVEL, test_images: int | None = None
) -> PairedTest:
    """Return the test that decides about random tickets: ``better`` or ``worse``, or ``equivalent`` within the margin.

    Args:
        difference: by how much the method's tickets are truly better, in the unit of the standard deviation.
        margin: that makes no practical difference, more than 0.
        std: of the paired differences.
        level: of the test.
        test_images: number of test images behind each accuracy; None if it is not known, or values are no such shares.
    """
    images = (least_std(margin, test_images), granularity(test_images))
    if difference > margin:
        return PairedTest(math.inf, difference - margin, std, level, *images)
    if difference < -margin:
        return PairedTest(-margin - difference, math.inf, std, level, *images)
    return PairedTest(margin - difference, margin + difference, std, level, *images)


@functools.cache
def skewnesses_of_normal_samples(n: int) -> NDArray[Any]:
    """Return equally likely values that stand for the sample skewness of ``n`` normal values, three or more.

    Quantiles of simulated samples, always the same ones, of a distribution that is symmetric; of many
    values those of a normal distribution.
    """
    levels = (numpy.arange(SKEWNESSES) + 0.5) / SKEWNESSES
    if n > NEARLY_NORMAL:
        from scipy.special import ndtri

        normal: NDArray[Any] = ndtri(levels) * standard_error_of_skewness(n)
        return normal
    found = skewness(numpy.random.default_rng(n).standard_normal((SAMPLES, n)))
    return numpy.asarray(numpy.quantile(numpy.concatenate([found, -found]), levels))


def _sample_stds(degrees: int) -> tuple[float, float]:
    """Return between which sample standard deviations nearly all lie if the true one is 1."""
    from scipy.special import chdtri

    low, high = float(chdtri(degrees, 1 - NEGLIGIBLE)), float(chdtri(degrees, NEGLIGIBLE))
    return math.sqrt(low / degrees), math.sqrt(high / degrees)


def _density(stds: NDArray[Any], degrees: int) -> NDArray[Any]:
    """Return the density of sample standard deviations if the true one is 1: chi over the root of its degrees."""
    from scipy.special import gammaln

    constant = math.log(2) + degrees / 2 * math.log(degrees / 2) - float(gammaln(degrees / 2))
    density: NDArray[Any] = numpy.exp(constant + (degrees - 1) * numpy.log(stds) - degrees / 2 * stds * stds)
    return density


@functools.cache
def _legendre() -> tuple[NDArray[Any], NDArray[Any]]:
    nodes, weights = numpy.polynomial.legendre.leggauss(NODES)
    return nodes, weights
