"""The test that verdicts rest on: its formula, and how often it errs on differences of known shapes."""

import math
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from numpy.typing import NDArray
from scipy import optimize, stats

from prunecheck.analysis.mean_test import (
    critical_value,
    granularity,
    least_std,
    p_value,
    skewness,
    standard_error_of_skewness,
)

Array = NDArray[Any]
REPETITIONS = 4000


def most(share: float) -> float:
    """Return a share that a simulation exceeds once in 700 times if the true one is ``share``."""
    return share + 3 * math.sqrt(share * (1 - share) / REPETITIONS)


def p_less_than(differences: Array, bound: float, images: int | None = None) -> Array:
    return p_value(
        bound - differences.mean(axis=1),
        differences.std(axis=1, ddof=1),
        differences.shape[1],
        skewness(differences),
        least_std(bound, images),
        granularity(images),
    )


def t_test(differences: Array, bound: float) -> Array:
    with numpy.errstate(divide="ignore", invalid="ignore"):
        return numpy.asarray(stats.ttest_1samp(differences, bound, axis=1, alternative="less").pvalue)


@pytest.mark.parametrize("n", [3, 5, 40])
def test_skewness_and_its_standard_error_are_those_of_scipy_and_of_simulation(n: int) -> None:
    values = numpy.random.default_rng(n).normal(3, 2, (20_000, n))
    found = skewness(values)
    assert found[:50] == pytest.approx(stats.skew(values[:50], axis=1, bias=False), rel=1e-9)
    assert found.std() == pytest.approx(standard_error_of_skewness(n), rel=0.03)


def test_equal_values_are_not_skewed() -> None:
    assert skewness([[1.0, 1.0, 1.0, 1.0], [91.1, 91.1, 91.1, 91.1 + 1e-12]]).tolist() == [0.0, 0.0]


def test_critical_value_by_hand() -> None:
    """Of n = 5, whose skewness of 0.5 has a standard error of 0.9129 and whose t quantile is 2.1318."""
    expected = 2.1318 + (0.5 + 0.9129) * (1 + 2 * 2.1318**2) / (6 * math.sqrt(5))
    assert float(critical_value(5, 0.05, 0.5)) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("n", [3, 4, 9, 100])
@pytest.mark.parametrize("skew", [-3.0, 0.0, 1.1])
@pytest.mark.parametrize("t", [0.3, 1.5, 4.0, 30.0])
def test_p_is_the_level_whose_critical_value_t_equals(n: int, skew: float, t: float) -> None:
    p = float(p_value(t / math.sqrt(n), 1.0, n, skew, 0.0, 0.0))
    if p < 0.5:
        assert float(critical_value(n, p, skew)) == pytest.approx(t, rel=1e-9)
    else:
        assert t <= float(critical_value(n, 0.5, skew))


@pytest.mark.parametrize("n", [3, 7])
def test_p_falls_as_the_mean_moves_beyond_the_bound(n: int) -> None:
    p = p_value(numpy.linspace(-4, 20, 400), 1.3, n, 0.8, 0.0, 0.0)
    assert (numpy.diff(p) <= 0).all()
    assert p[0] > 0.9
    assert p[-1] < 0.03


def test_without_a_long_tail_towards_the_bound_it_is_the_t_test() -> None:
    found = p_value([-1.0, 0.0, 1.0, 2.5], 1.7, 8, -5.0, 0.0, 0.0)
    expected = stats.t.sf(numpy.array([-1.0, 0.0, 1.0, 2.5]) * math.sqrt(8) / 1.7, 7)
    assert found == pytest.approx(expected, rel=1e-12)


def test_least_std_is_half_an_image_or_the_binomial_one_of_what_is_lost() -> None:
    assert least_std(0.0, 50) == 1.0
    assert least_std(2.0, 50) == pytest.approx(100 * stats.binom.std(50, 0.02) / 50)
    assert least_std(-2.0, 400) == least_std(2.0, 400) == pytest.approx(0.7)
    assert least_std(2.0, None) == granularity(None) == 0.0
    assert granularity(50) == 2.0


SYMMETRIC: dict[str, Callable[[numpy.random.Generator, tuple[int, int]], Array]] = {
    "normal": lambda draws, shape: draws.standard_normal(shape),
    "t with 3 degrees": lambda draws, shape: draws.standard_t(3, shape),
    "uniform": lambda draws, shape: draws.uniform(-1, 1, shape),
    "laplace": lambda draws, shape: draws.laplace(size=shape),
}


@pytest.mark.parametrize("n", [3, 5, 12])
@pytest.mark.parametrize("shape", SYMMETRIC)
@pytest.mark.parametrize("level", [0.05, 0.05 / 6])
def test_of_symmetric_differences_the_level_holds(shape: str, n: int, level: float) -> None:
    differences = SYMMETRIC[shape](numpy.random.default_rng(3), (REPETITIONS, n))
    assert (p_less_than(differences, 0.0) < level).mean() <= most(level)


def lognormal(n: int, sigma: float) -> Array:
    """Differences whose mean is 0, with the long tail above it."""
    draws = numpy.random.default_rng(8).normal(0, sigma, (REPETITIONS, n))
    return numpy.exp(draws) - math.exp(sigma**2 / 2)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_of_slightly_skewed_differences_the_level_holds_where_the_t_test_breaks_it(n: int) -> None:
    differences = lognormal(n, 0.25)  # skewness 0.78
    assert (t_test(differences, 0.0) < 0.05).mean() > most(0.05)
    assert (p_less_than(differences, 0.0) < 0.05).mean() <= most(0.05)


@pytest.mark.parametrize(("sigma", "promised"), [(0.5, 0.075), (1.0, 0.155)])
@pytest.mark.parametrize("n", [3, 5, 10])
def test_of_skewed_differences_it_errs_less_often_than_the_t_test(n: int, sigma: float, promised: float) -> None:
    differences = lognormal(n, sigma)
    found = (p_less_than(differences, 0.0) < 0.05).mean()
    assert found <= most(promised)
    assert found < 0.72 * (t_test(differences, 0.0) < 0.05).mean()


@pytest.mark.parametrize("n", [3, 5, 10])
def test_a_long_tail_away_from_the_bound_makes_no_errors(n: int) -> None:
    assert (p_less_than(-lognormal(n, 1.0), 0.0) < 0.05).mean() <= most(0.05)


@pytest.mark.parametrize(("n", "images", "margin"), [(3, 50, 2.0), (3, 50, 3.0), (4, 100, 2.0), (5, 50, 3.0)])
def test_differences_of_whole_images_err_at_most_at_the_level(n: int, images: int, margin: float) -> None:
    """True differences at the margin: few images, which chance chooses, or one more or less with the same chance."""
    draws = numpy.random.default_rng(4)
    step = 100 / images
    lost = step * draws.binomial(images, margin / 100, (REPETITIONS, n))
    low = step * math.floor(margin / step - 1e-9)
    neighbours = numpy.where(draws.random((REPETITIONS, n)) < (margin - low) / step, low + step, low)
    around: Array = margin + numpy.where(draws.random((REPETITIONS, n)) < 0.5, step, -step) * (2 if n > 4 else 1)
    for differences in (lost, neighbours, around):
        assert (p_less_than(differences, margin, images) < 0.05).mean() <= most(0.05)


def test_three_equal_differences_of_fifty_images_were_wrong_in_one_of_eight() -> None:
    """What the t test without the error of the test images does: three that are equal have no deviation."""
    draws = numpy.random.default_rng(6)
    differences = 2.0 * draws.integers(0, 2, (REPETITIONS, 3))
    wrong = t_test(differences, 1.0) < 0.05
    assert wrong.mean() == pytest.approx(0.125, abs=0.02)
    assert (p_less_than(differences, 1.0, 50) < 0.05).mean() == 0.0
    assert (p_less_than(differences, 1.0) < 0.05).mean() == 0.0


@pytest.mark.parametrize("n", [5, 10, 20])
def test_no_rule_knows_of_what_none_of_the_seeds_met(n: int) -> None:
    """One seed in ten loses much: of n seeds none does with a chance of 0.9^n, and the others look like no loss."""
    draws = numpy.random.default_rng(7)
    befallen = draws.random((REPETITIONS, n)) < 0.1
    differences = draws.normal(0, 0.5, (REPETITIONS, n)) + numpy.where(befallen, 20.0, 0.0)
    wrong = p_less_than(differences, 2.0) < 0.05
    assert wrong.mean() == pytest.approx(0.9**n, abs=0.02)
    assert wrong[befallen.any(axis=1)].mean() < 0.05


def test_the_root_is_found_where_a_solver_finds_it() -> None:
    n, t, skew = 6, 5.0, 0.7
    level = optimize.brentq(lambda level: float(critical_value(n, level, skew)) - t, 1e-9, 0.4)
    assert float(p_value(t / math.sqrt(n), 1.0, n, skew, 0.0, 0.0)) == pytest.approx(level, rel=1e-6)
