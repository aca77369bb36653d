import math
from collections.abc import Callable

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower

from prunecheck.analysis import Answer, PairedDifference
from prunecheck.analysis.power import PairedTest, baseline_test, check_test
from prunecheck.analysis.statistics import LEVEL

MARGIN = 2.0
NUMBERS = pytest.mark.parametrize("n", [2, 3, 5, 8, 30, 1000])
LEVELS = pytest.mark.parametrize("level", [0.05, 0.05 / 16])


@NUMBERS
@LEVELS
@pytest.mark.parametrize("effect", [-0.4, 0.0, 0.02, 0.3, 1.0, 4.0])
def test_power_of_one_bound_is_that_of_statsmodels_on_either_side(n: int, level: float, effect: float) -> None:
    expected = TTestPower().power(effect, n, level, alternative="larger")
    above = PairedTest(math.inf, 2.5 * effect, 2.5, level)
    below = PairedTest(2.5 * effect, math.inf, 2.5, level)
    assert above.power(n) == pytest.approx(expected, abs=1e-9)
    assert below.power(n) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("effect", [0.15, 0.6, 1.5, 3.0])
@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_number_of_seeds_is_that_of_statsmodels_rounded_up(effect: float, power: float) -> None:
    expected = TTestPower().solve_power(effect, alpha=0.05, power=power, alternative="larger")
    assert PairedTest(math.inf, effect, 1.0).seeds(power) == max(math.ceil(float(numpy.squeeze(expected))), 2)


@pytest.mark.parametrize(
    ("n", "difference", "deviation", "level"),
    [(2, 0.0, 1.0, 0.05), (3, 0.0, 1.0, 0.05), (5, 0.5, 2.0, 0.05), (6, 1.0, 1.5, 0.01), (12, -1.2, 2.0, 0.05)],
)
def test_power_of_two_bounds_is_how_often_the_interval_lies_within_them(
    n: int, difference: float, deviation: float, level: float
) -> None:
    repetitions = 100_000
    differences = numpy.random.default_rng(7).normal(difference, deviation, (repetitions, n))
    half = stats.t.ppf(1 - level, n - 1) * differences.std(axis=1, ddof=1) / math.sqrt(n)
    found = numpy.mean(numpy.abs(differences.mean(axis=1)) + half < MARGIN)
    power = baseline_test(difference, MARGIN, deviation, level).power(n)
    assert found == pytest.approx(power, abs=4 * math.sqrt(power * (1 - power) / repetitions))


def test_verdicts_are_reached_as_often_as_the_power_says() -> None:
    repetitions, n, deviation = 2000, 4, 1.6
    draws = numpy.random.default_rng(3).normal(0.3, deviation, (repetitions, n))
    differences = [PairedDifference(float(row.mean()), float(row.std(ddof=1)), n, None) for row in draws]
    for test, p_values in (
        (check_test(0.3, MARGIN, deviation), [found.p_less_than(MARGIN) for found in differences]),
        (baseline_test(0.3, MARGIN, deviation), [found.p_within(MARGIN) for found in differences]),
    ):
        power = test.power(n)
        share = sum(p < LEVEL for p in p_values) / repetitions
        assert share == pytest.approx(power, abs=4 * math.sqrt(power * (1 - power) / repetitions))


@settings(max_examples=60, deadline=None)
@given(st.floats(-1.9, 1.9), st.floats(0.2, 8), st.sampled_from([0.5, 0.8, 0.95]), st.sampled_from([0.05, 0.01]))
def test_that_many_seeds_have_the_power_and_one_less_has_not(
    difference: float, deviation: float, power: float, level: float
) -> None:
    test = baseline_test(difference, MARGIN, deviation, level)
    needed = test.seeds(power)
    if needed is None:
        assert test.power(1000) < power
    else:
        assert test.power(needed) >= power
        assert needed == 2 or test.power(needed - 1) < power


@settings(max_examples=40, deadline=None)
@given(st.floats(-3, 3), st.floats(0.1, 5), st.integers(2, 60))
def test_two_bounds_are_no_easier_than_either_and_no_harder_than_both_apart(
    difference: float, deviation: float, n: int
) -> None:
    below, above = MARGIN - difference, MARGIN + difference
    both = PairedTest(below, above, deviation).power(n)
    one = PairedTest(below, math.inf, deviation).power(n)
    other = PairedTest(math.inf, above, deviation).power(n)
    assert one + other - 1 - 1e-9 <= both <= min(one, other) + 1e-9
    assert both == pytest.approx(PairedTest(above, below, deviation).power(n), abs=1e-9)


def test_at_the_bound_power_is_the_level_and_no_number_of_seeds_helps() -> None:
    test = PairedTest(0.0, math.inf, 1.3)
    assert test.power(7) == pytest.approx(LEVEL, abs=1e-9)
    assert test.seeds(0.01) is None
    assert PairedTest(-1.0, math.inf, 1.3).power(7) < LEVEL


def test_more_seeds_than_a_thousand_are_not_named() -> None:
    assert PairedTest(0.05, math.inf, 1.0).seeds(0.8) is None


def test_without_deviation_three_seeds_decide_as_the_verdicts_do() -> None:
    test = baseline_test(1.0, MARGIN, 0.0)
    found = [PairedDifference(1.0, 0.0, n, (1.0, 1.0)).p_within(MARGIN) < LEVEL for n in (2, 3)]
    assert [test.power(2), test.power(3)] == [float(decided) for decided in found] == [0.0, 1.0]
    assert test.seeds(0.99) == 3
    assert PairedTest(-0.1, math.inf, 0.0).power(50) == 0.0


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
    conclude: Callable[..., Answer],
) -> None:
    """The number of seeds for five verdicts at once: each is reached at least as often as asked for."""
    deviation, checks = 2.0, ["rearrange-mask", "shuffle-weights", "reinit", "random-labels", "half-data"]
    n = check_test(2 * MARGIN, MARGIN, deviation, LEVEL / len(checks)).seeds(0.8)
    assert n is not None
    draws, found, repetitions = numpy.random.default_rng(11), 0, 80
    for _ in range(repetitions):
        own = draws.normal(80, 3, n)
        outcomes: dict[tuple[float, str | None], list[float]] = {(0.9, None): own.tolist()}
        for check in checks:
            outcomes[0.9, check] = (own - draws.normal(2 * MARGIN, deviation, n)).tolist()
        answer = conclude(outcomes, margin=MARGIN, baseline=None)
        found += sum(comparison.verdict == "uses it" for comparison in answer.checks)
    total = repetitions * len(checks)
    assert found / total >= 0.8 - 3 * math.sqrt(0.16 / total)
