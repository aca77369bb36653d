import math
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower

from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.mean_test import granularity, least_std, p_value, skewness
from prunecheck.analysis.power import PairedTest, baseline_test, check_test, skewnesses_of_normal_samples
from prunecheck.analysis.statistics import LEVEL, paired_difference

MARGIN = 2.0
NUMBERS = pytest.mark.parametrize("n", [3, 5, 30, 1000])
LEVELS = pytest.mark.parametrize("level", [0.05, 0.05 / 16])


def share(power: float, repetitions: int) -> Any:
    """Return what a simulation finds of a chance, but once in 15,000 times."""
    return pytest.approx(power, abs=4 * math.sqrt(power * (1 - power) / repetitions) + 1e-9)


@NUMBERS
@LEVELS
@pytest.mark.parametrize("effect", [-0.4, 0.0, 0.02, 0.3, 1.0, 4.0])
@pytest.mark.parametrize("factor", [1.0, 1.6])
def test_given_the_skewness_power_is_the_noncentral_t_on_either_side(
    n: int, level: float, effect: float, factor: float
) -> None:
    critical = factor * stats.t.ppf(1 - level, n - 1)
    expected = stats.nct.sf(critical, n - 1, effect * math.sqrt(n))
    if factor == 1.0:
        assert expected == pytest.approx(TTestPower().power(effect, n, level, alternative="larger"), abs=1e-9)
    values = numpy.array([critical])
    for test in (PairedTest(math.inf, 2.5 * effect, 2.5, level), PairedTest(2.5 * effect, math.inf, 2.5, level)):
        assert test._power_given(n, values, values) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("n", [3, 5, 20, 50, 51, 200])
def test_skewness_of_normal_samples_is_that_of_other_samples(n: int) -> None:
    found = skewnesses_of_normal_samples(n)
    others = stats.skew(numpy.random.default_rng(99).normal(size=(20_000, n)), axis=1, bias=False)
    assert found + found[::-1] == pytest.approx(numpy.zeros(len(found)), abs=1e-12)
    levels = (numpy.arange(len(found)) + 0.5) / len(found)
    assert found == pytest.approx(numpy.quantile(others, levels), abs=0.08)


@pytest.mark.parametrize(("effect", "power"), [(0.15, 0.5), (0.6, 0.8), (1.5, 0.8), (3.0, 0.95)])
def test_number_of_seeds_is_that_of_the_t_test_and_a_few_more(effect: float, power: float) -> None:
    plain = math.ceil(
        float(numpy.squeeze(TTestPower().solve_power(effect, alpha=0.05, power=power, alternative="larger")))
    )
    needed = PairedTest(math.inf, effect, 1.0).seeds(power)
    assert needed is not None
    assert max(plain, 3) <= needed <= plain + 4


@pytest.mark.parametrize(
    ("n", "difference", "std", "level"),
    [(3, 0.0, 0.6, 0.05), (5, 0.5, 1.0, 0.05), (6, 1.0, 0.5, 0.01), (12, -1.2, 1.0, 0.05), (60, 0.5, 5.0, 0.05)],
)
@pytest.mark.parametrize("images", [None, 100, 500])
def test_power_is_how_often_the_p_values_are_below_the_level(
    n: int, difference: float, std: float, level: float, images: int | None
) -> None:
    repetitions = 40_000
    drawn = numpy.random.default_rng(7).normal(difference, std, (repetitions, n))
    known = (drawn.std(axis=1, ddof=1), n)
    skew, least, grain = skewness(drawn), least_std(MARGIN, images), granularity(images)
    below = p_value(MARGIN - drawn.mean(axis=1), *known, skew, least, grain) < level
    above = p_value(MARGIN + drawn.mean(axis=1), *known, -skew, least, grain) < level
    of_check = check_test(difference, MARGIN, std, level, images).power(n)
    of_baseline = baseline_test(difference, MARGIN, std, level, images).power(n)
    assert below.mean() == share(of_check, repetitions)
    assert (below & above).mean() == share(of_baseline, repetitions)


def test_verdicts_are_reached_as_often_as_the_power_says() -> None:
    repetitions, n, std = 2000, 4, 1.0
    draws = numpy.random.default_rng(3).normal(0.3, std, (repetitions, n))
    differences = [paired_difference(row.tolist(), [0.0] * n) for row in draws]
    for test, p_values in (
        (check_test(0.3, MARGIN, std), [found.p_less_than(MARGIN) for found in differences]),
        (baseline_test(0.3, MARGIN, std), [found.p_within(MARGIN) for found in differences]),
    ):
        assert sum(p < LEVEL for p in p_values) / repetitions == share(test.power(n), repetitions)


@settings(max_examples=60, deadline=None)
@given(st.floats(-1.9, 1.9), st.floats(0.2, 8), st.sampled_from([0.5, 0.8, 0.95]), st.sampled_from([0.05, 0.01]))
def test_that_many_seeds_have_the_power_and_one_less_has_not(
    difference: float, std: float, power: float, level: float
) -> None:
    test = baseline_test(difference, MARGIN, std, level)
    needed = test.seeds(power)
    if needed is None:
        assert test.power(1000) < power
    else:
        assert test.power(needed) >= power
        assert test.power(needed - 1) < power


@settings(max_examples=40, deadline=None)
@given(st.floats(-3, 3), st.floats(0.1, 5), st.integers(2, 60))
def test_two_bounds_are_no_easier_than_either_and_no_harder_than_both_apart(
    difference: float, std: float, n: int
) -> None:
    below, above = MARGIN - difference, MARGIN + difference
    both = PairedTest(below, above, std).power(n)
    one = PairedTest(below, math.inf, std).power(n)
    other = PairedTest(math.inf, above, std).power(n)
    assert one + other - 1 - 1e-9 <= both <= min(one, other) + 1e-9
    assert both == pytest.approx(PairedTest(above, below, std).power(n), abs=1e-9)


def test_at_the_bound_power_is_no_more_than_the_level_and_no_number_of_seeds_helps() -> None:
    test = PairedTest(0.0, math.inf, 1.3)
    assert LEVEL / 3 < test.power(7) < test.power(500) < LEVEL
    assert test.seeds(0.01) is None
    assert PairedTest(-1.0, math.inf, 1.3).power(7) < LEVEL


def test_more_seeds_than_a_thousand_are_not_named() -> None:
    assert PairedTest(0.05, math.inf, 1.0).seeds(0.8) is None


@pytest.mark.parametrize("images", [None, 50, 5000])
def test_without_deviation_as_many_seeds_decide_as_the_verdicts_need(images: int | None) -> None:
    test = baseline_test(1.0, MARGIN, 0.0, test_images=images)
    decided = []
    for n in range(2, 40):
        found = paired_difference([91.0] * n, [90.0] * n, test_images=images)
        decided.append(found.p_within(MARGIN) < LEVEL)
        assert test.power(n) == float(decided[-1])
    needed = 2 + decided.index(True)
    assert test.seeds(0.99) == needed
    assert needed == 5 if images != 50 else needed > 10
    assert PairedTest(-0.1, math.inf, 0.0).power(50) == 0.0


def test_few_test_images_cost_power() -> None:
    powers = [check_test(0.0, MARGIN, 0.4, LEVEL, images).power(5) for images in (None, 5000, 200, 50)]
    assert powers == sorted(powers, reverse=True)
    assert powers[0] == pytest.approx(powers[1], abs=0.01)
    assert powers[-1] < 0.3
    assert powers[0] > 0.9


def test_one_pair_has_no_power_to_speak_of() -> None:
    with pytest.raises(ValueError, match="2 pairs"):
        check_test(0, 2, 1).power(1)


@pytest.mark.parametrize(
    ("difference", "of_check", "of_baseline"),
    [
        (0.5, (1.5, math.inf), (1.5, 2.5)),
        (-0.5, (2.5, math.inf), (2.5, 1.5)),
        (3.0, (math.inf, 1.0), (math.inf, 1.0)),
        (-3.0, (5.0, math.inf), (1.0, math.inf)),
    ],
)
def test_what_is_tested_depends_on_the_side_of_the_margin(
    difference: float, of_check: tuple[float, float], of_baseline: tuple[float, float]
) -> None:
    check, baseline = check_test(difference, MARGIN, 1.0), baseline_test(difference, MARGIN, 1.0)
    assert (check.below, check.above) == of_check
    assert (baseline.below, baseline.above) == of_baseline


def test_a_report_finds_what_costs_twice_the_margin_with_the_power_that_it_promises(
    conclude: Callable[..., Conclusion],
) -> None:
    """The number of seeds for five verdicts at once: each is reached at least as often as asked for."""
    std, checks = 2.0, ["rearrange-mask", "shuffle-weights", "reinit", "random-labels", "half-data"]
    n = check_test(2 * MARGIN, MARGIN, std, LEVEL / len(checks)).seeds(0.8)
    assert n is not None
    draws, found, repetitions = numpy.random.default_rng(11), 0, 80
    for _ in range(repetitions):
        own = draws.normal(80, 3, n)
        outcomes: dict[tuple[float, str | None], list[float]] = {(0.9, None): own.tolist()}
        for check in checks:
            outcomes[0.9, check] = (own - draws.normal(2 * MARGIN, std, n)).tolist()
        answer = conclude(outcomes, margin=MARGIN, baseline=None)
        found += sum(comparison.verdict == "uses it" for comparison in answer.checks)
    total = repetitions * len(checks)
    assert found / total >= 0.8 - 3 * math.sqrt(0.16 / total)
