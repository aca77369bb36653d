"""Rules by which differences may show that their mean is less than a bound, each as its p values."""

import itertools
from collections.abc import Callable, Iterator

import numpy
from numpy.typing import NDArray

from benchmarks.error_rates.populations import Array
from prunecheck.analysis.mean_test import (
    GUARD,
    ROUNDING,
    granularity,
    least_std,
    p_value,
    skewness,
    standard_error_of_skewness,
)

Rule = Callable[[Array, float], Array]

ENUMERATED = 12
"""Up to so many differences all choices of signs are tried; beyond, a thousand, always the same."""

RESAMPLES = 1000

CHUNK = 1000
"""Samples treated at once."""


def t_test(differences: Array, bound: float) -> Array:
    """Student's test; certain where three or more differences are equal, as verdicts used to be."""
    from scipy.special import stdtr

    n = differences.shape[1]
    deviation = differences.std(axis=1, ddof=1)
    distance = bound - differences.mean(axis=1)
    t = distance * numpy.sqrt(n) / numpy.maximum(deviation, ROUNDING)
    p: Array = numpy.where(deviation > ROUNDING, stdtr(n - 1, -t), numpy.where(distance > 0, 0.0, 1.0))
    return p


def sign_flips(differences: Array, bound: float) -> Array:
    """Fisher's test: how many choices of signs leave the mean as far below the bound, or further."""
    n = differences.shape[1]
    if n <= ENUMERATED:
        signs = numpy.array(list(itertools.product([1.0, -1.0], repeat=n)))
    else:
        signs = numpy.random.default_rng(n).choice([1.0, -1.0], (1000, n))
        signs[0] = 1.0  # that of the sample

    def of(chunk: Array) -> Array:
        centred = chunk - bound
        share: Array = (numpy.abs(centred) @ signs.T <= centred.sum(axis=1)[:, None] + ROUNDING).mean(axis=1)
        return share

    return _in_chunks(of, differences)


def t_and_sign_flips(differences: Array, bound: float) -> Array:
    """Both tests."""
    return numpy.maximum(t_test(differences, bound), sign_flips(differences, bound))


def bootstrap_t(differences: Array, bound: float) -> Array:
    """The t statistic against those of resampled differences, always resampled alike; never less than the t test's."""
    n = differences.shape[1]
    weights = numpy.random.default_rng(n).multinomial(n, numpy.full(n, 1 / n), RESAMPLES).astype(float) / n

    def of(chunk: Array) -> Array:
        centred = chunk - chunk.mean(axis=1, keepdims=True)
        means = centred @ weights.T
        spread = numpy.sqrt(numpy.maximum((centred**2) @ weights.T - means**2, 0) / (n - 1))
        found = (chunk.mean(axis=1) - bound) * numpy.sqrt(n) / numpy.maximum(chunk.std(axis=1, ddof=1), ROUNDING)
        below = means <= found[:, None] * numpy.maximum(spread, ROUNDING)
        share: Array = (1 + below.sum(axis=1)) / (RESAMPLES + 1)
        return share

    return numpy.maximum(_in_chunks(of, differences), t_test(differences, bound))


def guarded(guard: float = GUARD, test_images: int | None = None) -> Rule:
    """Return the rule of verdicts, with the skewness taken so many standard errors longer than it looks."""

    def rule(differences: Array, bound: float) -> Array:
        n = differences.shape[1]
        longer = skewness(differences) + (guard - GUARD) * standard_error_of_skewness(n)
        return p_value(
            bound - differences.mean(axis=1),
            differences.std(axis=1, ddof=1),
            n,
            longer,
            least_std(bound, test_images),
            granularity(test_images),
        )

    return rule


def guarded_without_seeds_apart(differences: Array, bound: float) -> Array:
    """The rule of verdicts where no difference lies apart, at a level of 1 %; else nothing is said."""
    return numpy.where(_apart(differences), 1.0, guarded()(differences, bound))


RULES: dict[str, Rule] = {
    "t": t_test,
    "flips": sign_flips,
    "t, flips": t_and_sign_flips,
    "bootstrap": bootstrap_t,
    "guard 0": guarded(0.0),
    "guard 1": guarded(1.0),
    "guard 2": guarded(2.0),
    "guard 1, apart": guarded_without_seeds_apart,
}
"""By name. ``guard 1`` is that of the verdicts."""


def _apart(differences: Array) -> NDArray[numpy.bool_]:
    from scipy.special import stdtr

    n = differences.shape[1]
    rows = numpy.arange(len(differences))
    places = numpy.abs(differences - differences.mean(axis=1, keepdims=True)).argmax(axis=1)
    furthest = differences[rows, places]
    others = differences[numpy.arange(n) != places[:, None]].reshape(len(differences), n - 1)
    spread = numpy.maximum(others.std(axis=1, ddof=1), ROUNDING) * numpy.sqrt(1 + 1 / (n - 1))
    found: NDArray[numpy.bool_] = 2 * n * stdtr(n - 2, -numpy.abs(furthest - others.mean(axis=1)) / spread) < 0.01
    return found


def _in_chunks(rule: Callable[[Array], Array], differences: Array) -> Array:
    def parts() -> Iterator[Array]:
        for first in range(0, len(differences), CHUNK):
            yield rule(differences[first : first + CHUNK])

    return numpy.concatenate(list(parts()))
