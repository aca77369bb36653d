import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from prunecheck.analysis import PairedDifference, holm, paired_difference, seeds_to_decide

SIZES = pytest.mark.parametrize("n", [2, 3, 6, 20])
BOUNDS = pytest.mark.parametrize("bound", [-2.0, 0.0, 0.5, 2.0])


def accuracies(n: int) -> tuple[list[float], list[float]]:
    draws = numpy.random.default_rng(n)
    return draws.normal(91, 1.5, n).tolist(), draws.normal(90, 1.0, n).tolist()


@SIZES
def test_mean_deviation_and_interval_are_those_of_the_paired_t_test(n: int) -> None:
    a, b = accuracies(n)
    found = paired_difference(a, b)
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert found.n == n
    assert found.mean == pytest.approx(numpy.mean(a) - numpy.mean(b), rel=1e-9)
    assert found.deviation == pytest.approx(numpy.std(numpy.subtract(a, b), ddof=1), rel=1e-12)
    assert found.interval == pytest.approx((expected.low, expected.high), rel=1e-9)


@SIZES
@BOUNDS
def test_one_sided_p_values_are_those_of_the_one_sample_t_test(n: int, bound: float) -> None:
    a, b = accuracies(n)
    found, differences = paired_difference(a, b), numpy.subtract(a, b)
    more = stats.ttest_1samp(differences, bound, alternative="greater").pvalue
    less = stats.ttest_1samp(differences, bound, alternative="less").pvalue
    assert found.p_more_than(bound) == pytest.approx(more, rel=1e-9)
    assert found.p_less_than(bound) == pytest.approx(less, rel=1e-9)


@SIZES
@pytest.mark.parametrize("margin", [0.3, 1.0, 3.0])
def test_equivalence_is_that_of_the_two_one_sided_tests(n: int, margin: float) -> None:
    a, b = accuracies(n)
    expected = ttost_paired(numpy.array(a), numpy.array(b), -margin, margin)[0]
    assert paired_difference(a, b).p_within(margin) == pytest.approx(expected, rel=1e-9)
    assert paired_difference(b, a).p_within(margin) == pytest.approx(expected, rel=1e-9)


def test_a_single_pair_shows_nothing() -> None:
    found = paired_difference([99.0], [10.0])
    assert (found.mean, found.deviation, found.n, found.interval) == (89.0, None, 1, None)
    assert found.p_more_than(2) == found.p_less_than(2) == found.p_within(200) == 1.0


def test_equal_differences_decide_with_certainty_except_at_the_bound() -> None:
    found = paired_difference([3.0, 5.0, 9.0], [2.0, 4.0, 8.0])
    assert (found.mean, found.deviation, found.interval) == (1.0, 0.0, (1.0, 1.0))
    assert (found.p_more_than(0.5), found.p_more_than(1.0), found.p_more_than(1.5)) == (0.0, 1.0, 1.0)
    assert (found.p_less_than(0.5), found.p_less_than(1.0), found.p_less_than(1.5)) == (1.0, 1.0, 0.0)
    assert (found.p_within(2.0), found.p_within(1.0)) == (0.0, 1.0)


@pytest.mark.parametrize(("n", "p"), [(2, 1.0), (3, 0.0)])
def test_two_equal_differences_may_be_chance_and_three_are_not(n: int, p: float) -> None:
    found = paired_difference([90.0] * n, [87.0] * n)
    assert (found.p_more_than(2.0), found.p_less_than(4.0), found.p_within(4.0)) == (p, p, p)


@pytest.mark.parametrize(("a", "b"), [([], []), ([1.0, 2.0], [1.0])])
def test_no_pair_and_unequal_lengths_are_refused(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match=r"pair|shorter"):
        paired_difference(a, b)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.01, 0.02, 1.0])), min_size=1, max_size=12))
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist(), abs=1e-12)


def test_holm_of_nothing_is_nothing() -> None:
    assert holm([]) == []


@settings(max_examples=60, deadline=None)
@given(st.floats(0.1, 10), st.floats(0.05, 10), st.sampled_from([0.05, 0.05 / 2, 0.05 / 8]))
def test_that_many_seeds_decide_and_one_less_does_not(distance: float, deviation: float, level: float) -> None:
    needed = seeds_to_decide(distance, deviation, level)

    def decides(n: int) -> bool:
        return PairedDifference(distance, deviation, n, None).p_more_than(0) < level

    if needed is None:
        assert not decides(1000)
    else:
        assert decides(needed)
        assert needed == 2 or not decides(needed - 1)


@pytest.mark.parametrize(("distance", "deviation"), [(0.0, 1.0), (-1.0, 1.0), (0.0, 0.0), (1e-6, 1.0)])
def test_no_number_of_seeds_decides_at_the_bound(distance: float, deviation: float) -> None:
    assert seeds_to_decide(distance, deviation) is None


def test_three_seeds_decide_if_there_is_no_deviation() -> None:
    assert seeds_to_decide(0.5, 0.0) == 3


def test_differences_of_as_many_images_are_equal_whatever_their_rounding() -> None:
    values = [100 * hits / 1157 for hits in range(1000, 1100)]
    for first in range(5, 99):
        found = paired_difference([values[first], values[first + 1]], [values[first - 5], values[first - 4]])
        assert found.p_more_than(-2.0) == 1.0
