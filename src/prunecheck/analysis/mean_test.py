"""The one-sided test of a mean that every verdict rests on: a t test guarded against skewness.

The t test keeps its level if differences are symmetric about their mean, and breaks it if the tail on
the side of the bound is the longer one: five lognormal differences without a large one look alike, and
lie below their mean. So what t has to exceed is raised by what the skewness of the differences does to
the distribution of t (Hall, Annals of Statistics 11, 1983, of which the Cornish-Fisher
inverse is taken; Johnson, Journal of the American Statistical Association 73, 1978), and since few
differences show little of their skewness, it is taken one standard error longer than it looks. Skewness
never makes a verdict easier.
"""

import functools
import math
from typing import Any

import numpy
from numpy.typing import ArrayLike, NDArray

ROUNDING = 1e-9
"""Differences, in points or the unit of the metric, whose standard deviation is less are equal, but for rounding."""

FEWEST_PAIRS = 3
"""With fewer, nothing is known of the skewness, and next to nothing of the standard deviation."""

GUARD = 1.0
"""By how many of its standard errors the skewness is taken to be longer than it looks."""


def skewness(differences: ArrayLike) -> NDArray[Any]:
    """Return the sample skewness G1 of three or more values, along the last axis; 0 where all are equal.

    Joanes and Gill, The Statistician 47, 1998.
    """
    values = numpy.asarray(differences, dtype=float)
    n = values.shape[-1]
    deviations = values - values.mean(axis=-1, keepdims=True)
    unit = numpy.maximum(numpy.abs(deviations).max(axis=-1, keepdims=True), ROUNDING)
    deviations = deviations / unit  # so that no cube leaves the range of numbers
    variance = (deviations**2).sum(axis=-1) / (n - 1)
    third = n / ((n - 1) * (n - 2)) * (deviations**3).sum(axis=-1)
    spread = numpy.sqrt(variance) * unit[..., 0] > ROUNDING
    found: NDArray[Any] = numpy.where(spread, third / numpy.where(spread, variance, 1.0) ** 1.5, 0.0)
    return found


def standard_error_of_skewness(n: ArrayLike) -> NDArray[Any]:
    """Return the standard deviation of :func:`skewness` over samples of ``n`` normal values, three or more."""
    n = numpy.asarray(n, dtype=float)
    return numpy.asarray(numpy.sqrt(6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3))))


def least_std(bound: float, test_images: int | None) -> float:
    """Return the standard deviation, in points of accuracy, that differences have at least, whatever a sample shows.

    Accuracies on N images are multiples of 100 / N: where all differences are equal, half of the next
    ones may still be an image away, a standard deviation of half an image. And if the true difference is
    ``bound``, that share of the images is lost to at least one side; where chance says which, their
    number is binomial, with a standard deviation of sqrt(bound (100 - bound) / N).

    Args:
        bound: that the mean is tested against, in points of accuracy, from -100 to 100.
        test_images: N; None if it is not known or the values are not shares of images: then 0.
    """
    if test_images is None:
        return 0.0
    lost = min(abs(bound), 100.0)
    return math.sqrt(max((50 / test_images) ** 2, lost * (100 - lost) / test_images))


def granularity(test_images: int | None) -> float:
    """Return what one test image is worth, in points of accuracy; 0 if their number is not known."""
    return 0.0 if test_images is None else 100 / test_images


def critical_value(n: int, level: float, adverse_skewness: ArrayLike) -> NDArray[Any]:
    """Return what t has to exceed: the distance from bound to mean, over the standard error of the mean.

    Args:
        n: number of differences, three or more.
        level: of the test.
        adverse_skewness: sample skewness, positive if the long tail is on the side of the bound.
    """
    from scipy.special import stdtrit

    quantile = -stdtrit(n - 1, level)
    raised = quantile + _guarded(n, adverse_skewness) * (1 + 2 * quantile**2) / (6 * numpy.sqrt(n))
    return numpy.asarray(raised)


def p_value(
    distance: ArrayLike, std: ArrayLike, n: int, adverse_skewness: ArrayLike, least: float, grain: float
) -> NDArray[Any]:
    """Return the p value of the test whose alternative is: the mean lies beyond a bound.

    It is the level at which t equals :func:`critical_value`. Differences that vary by no more than one
    test image show no standard deviation to divide by; for them p is at least 2 ** -n, that of the sign test, for a
    coin falls as often the same way.

    Args:
        distance: by how much the mean of the differences lies beyond the bound; negative if it does not.
        std: their sample standard deviation.
        n: their number.
        adverse_skewness: see :func:`critical_value`.
        least: see :func:`least_std`.
        grain: see :func:`granularity`.

    Returns:
        In [0, 1], of the broadcast shape of the first, second and fourth argument; 1 with fewer than three differences.
    """
    from scipy.special import stdtr

    if n < FEWEST_PAIRS:
        return numpy.ones(numpy.broadcast_shapes(numpy.shape(distance), numpy.shape(std)))
    distance, std, root = numpy.asarray(distance, dtype=float), numpy.asarray(std, dtype=float), math.sqrt(n)
    used = numpy.maximum(std, max(least, ROUNDING))
    t = distance * root / used
    slope = _guarded(n, adverse_skewness) / (6 * root)
    # The root of quantile + slope (1 + 2 quantile^2) = t, in a form that also holds without slope.
    excess = t - slope
    quantile = 2 * excess / (1 + numpy.sqrt(1 + 8 * slope * numpy.maximum(excess, 0)))
    p = numpy.where(excess > 0, stdtr(n - 1, -quantile), numpy.maximum(stdtr(n - 1, -t), 0.5))
    found: NDArray[Any] = numpy.where(std <= _alike(grain), numpy.maximum(p, 2.0**-n), p)
    return found


def can_be_less(level: float, std: float, n: int, grain: float) -> bool:
    """Say whether there is a distance that has :func:`p_value` return less than a level; see there."""
    return n >= FEWEST_PAIRS and (std > _alike(grain) or 2.0**-n < level)


def _alike(grain: float) -> float:
    """Return the standard deviation up to which differences vary by no more than one test image."""
    return max(grain * (1 + ROUNDING), ROUNDING)


def _guarded(n: int, adverse_skewness: ArrayLike) -> NDArray[Any]:
    guarded = numpy.asarray(adverse_skewness, dtype=float) + GUARD * _standard_error(n)
    return numpy.asarray(numpy.maximum(guarded, 0.0))


@functools.cache
def _standard_error(n: int) -> float:
    return float(standard_error_of_skewness(n))
