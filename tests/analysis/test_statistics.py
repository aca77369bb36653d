import math

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from prunecheck.analysis.mean_test import granularity, least_std, p_value
from prunecheck.analysis.statistics import PairedDifference, holm, paired_difference, seeds_to_decide, unseen_share
from prunecheck.metrics import ACCURACY
from prunecheck.report.cells import doubt_text

SIZES = pytest.mark.parametrize("n", [2, 3, 6, 20])
BOUNDS = pytest.mark.parametrize("bound", [-2.0, 0.0, 0.5, 2.0])


def accuracies(n: int, seed: int = 0) -> tuple[list[float], list[float]]:
    draws = numpy.random.default_rng([n, seed])
    return draws.normal(91, 1.5, n).tolist(), draws.normal(90, 1.0, n).tolist()


@SIZES
def test_mean_deviation_and_interval_are_those_of_the_paired_t_test(n: int) -> None:
    a, b = accuracies(n)
    found = paired_difference(a, b)
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert found.n == n
    assert found.mean == pytest.approx(numpy.mean(a) - numpy.mean(b), rel=1e-9)
    assert found.std == pytest.approx(numpy.std(numpy.subtract(a, b), ddof=1), rel=1e-12)
    assert found.interval == pytest.approx((expected.low, expected.high), rel=1e-9)


@SIZES
@BOUNDS
@pytest.mark.parametrize("seed", range(4))
def test_p_values_are_those_of_the_t_test_or_more(n: int, bound: float, seed: int) -> None:
    a, b = accuracies(n, seed)
    found, differences = paired_difference(a, b), numpy.subtract(a, b)
    more = float(stats.ttest_1samp(differences, bound, alternative="greater").pvalue)
    for p, plain in ((found.p_more_than(bound), more), (found.p_less_than(bound), 1 - more)):
        assert p >= plain * (1 - 1e-9)
        if n < 3:
            assert p == 1.0


@SIZES
@pytest.mark.parametrize("margin", [0.3, 1.0, 3.0])
def test_equivalence_is_that_of_two_one_sided_tests(n: int, margin: float) -> None:
    a, b = accuracies(n)
    found = paired_difference(a, b)
    assert found.p_within(margin) == max(found.p_more_than(-margin), found.p_less_than(margin))
    assert found.p_within(margin) == pytest.approx(paired_difference(b, a).p_within(margin), rel=1e-9)
    assert found.p_within(margin) >= ttost_paired(numpy.array(a), numpy.array(b), -margin, margin)[0] * (1 - 1e-9)


def test_which_side_is_called_positive_does_not_matter() -> None:
    a, b = accuracies(7)
    found, turned = paired_difference(a, b), paired_difference(b, a)
    assert found.p_more_than(0.7) == pytest.approx(turned.p_less_than(-0.7), rel=1e-9)
    assert found.skewness == pytest.approx(-turned.skewness, rel=1e-9)


def test_a_long_tail_towards_the_bound_makes_a_verdict_harder_and_one_away_from_it_does_not() -> None:
    tail = [0.0, 0.1, 0.2, 0.3, 1.2, 2.4]
    above, below = paired_difference(tail, [0.0] * 6), paired_difference([1.4 - value for value in tail], [0.0] * 6)
    assert (above.mean, above.std) == pytest.approx((below.mean, below.std))
    assert above.skewness > 1 > -1 > below.skewness
    plain = float(stats.ttest_1samp(tail, 2.0, alternative="less").pvalue)
    assert below.p_less_than(2.0) == pytest.approx(plain, rel=1e-9)
    assert above.p_less_than(2.0) > 2 * plain
    assert above.p_more_than(-0.6) == pytest.approx(plain, rel=1e-9)
    assert below.p_more_than(-0.6) > 2 * plain


@pytest.mark.filterwarnings("error")
def test_very_large_values_are_compared_as_others_are() -> None:
    a, b = accuracies(6)
    plain = paired_difference(a, b)
    large = paired_difference([value * 1e98 for value in a], [value * 1e98 for value in b])
    assert plain.std is not None
    assert large.std == pytest.approx(1e98 * plain.std)
    assert large.skewness == pytest.approx(plain.skewness)
    assert large.p_within(2e98) == pytest.approx(plain.p_within(2.0))
    assert large.interval_at(0.05) == pytest.approx([1e98 * end for end in plain.interval_at(0.05)])
    assert paired_difference([1e200, -1e200, 0.0], [0.0] * 3).std == pytest.approx(1e200)


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_pairs_show_nothing(n: int) -> None:
    found = paired_difference([99.0, 98.5][:n], [10.0, 10.0][:n])
    assert found.p_more_than(2) == found.p_less_than(2) == found.p_within(200) == 1.0
    assert (found.interval is None) == (n == 1)


@pytest.mark.parametrize("n", [3, 4, 5, 8])
@pytest.mark.parametrize("images", [None, 50, 10_000])
def test_equal_differences_are_at_least_as_likely_as_a_coin_that_falls_so(n: int, images: int | None) -> None:
    found = paired_difference([90.0] * n, [89.0] * n, test_images=images)
    assert (found.mean, found.std) == (1.0, 0.0)
    for p in (found.p_more_than(-9.0), found.p_less_than(11.0), found.p_within(11.0)):
        assert p >= 2.0**-n
    if images != 50:
        assert found.p_less_than(11.0) == 2.0**-n
    assert found.p_less_than(0.5) >= 0.5
    assert found.p_more_than(1.0) >= 0.5


def test_one_image_of_a_small_test_set_is_part_of_the_error() -> None:
    own, changed = [90.0, 92.0, 90.0, 92.0, 90.0, 92.0], [89.9, 92.0, 90.0, 92.0, 90.0, 92.0]
    p = [paired_difference(own, changed, test_images=images).p_less_than(2.0) for images in (50, 200, 5000, None)]
    assert p[0] > p[1] > p[2] >= p[3]
    wide, narrow = (paired_difference(own, own, test_images=images).interval for images in (50, 5000))
    assert wide
    assert narrow
    half = stats.t.ppf(0.975, 5) * 1.0 / math.sqrt(6)  # half an image, one point
    assert wide == pytest.approx((-half, half))
    assert narrow == pytest.approx((-half / 100, half / 100))


def test_noise_beyond_that_of_the_test_images_is_left_as_it_is() -> None:
    own, changed = accuracies(9)
    known, unknown = (paired_difference(own, changed, test_images=images) for images in (5000, None))
    assert known.std
    assert known.std > least_std(2.0, 5000)
    assert known.p_less_than(2.0) == unknown.p_less_than(2.0)
    assert known.interval == unknown.interval


def test_differences_stay_in_their_order() -> None:
    found = paired_difference([3.0, 1.0, 2.0], [0.5, 0.5, 0.5])
    assert found.differences == (2.5, 0.5, 1.5)


@pytest.mark.parametrize(
    ("differences", "said"),
    [
        ([0.1, -0.2, 0.0, 0.2, 9.5], "one difference, +9.50, lies apart from the 4 others, -0.20 to +0.20"),
        ([-7.0, 0.1, -0.2, 0.0, 0.2, 0.1], "one difference, -7.00, lies apart from the 5 others, -0.20 to +0.20"),
        ([0.1, -0.2, 0.0, 0.2, 0.9], None),
        ([0.1, -0.2, 0.0, 9.5, 9.6], None),
        ([0.1, 9.5], None),
        ([1.0, 1.0, 1.0, 1.0, 9.5], None),
        ([0.1, -0.2, 0.0, 0.2] * 8 + [9.5], None),
    ],
)
def test_a_seed_apart_from_all_others_is_a_doubt(differences: list[float], said: str | None) -> None:
    assert doubt_text(paired_difference(differences, [0.0] * len(differences)), ACCURACY) == said


def test_one_image_more_or_less_is_not_apart() -> None:
    values = [90.0, 90.0, 90.0, 90.0, 90.0, 90.0, 92.0]
    assert paired_difference(values, [88.0] * 7, test_images=50).apart is None
    assert paired_difference([*values[:6], 60.0], [88.0] * 7, test_images=50).apart == 6


def test_one_in_a_thousand_normal_samples_has_a_seed_apart() -> None:
    draws, repetitions = numpy.random.default_rng(5), 4000
    found = sum(paired_difference(row, [0.0] * 6).apart is not None for row in draws.normal(0, 1, (repetitions, 6)))
    assert found <= repetitions * 0.001 + 3 * math.sqrt(repetitions * 0.001)
    contaminated = numpy.where(draws.random((200, 6)) < 0.15, 25.0, 0.0) + draws.normal(0, 1, (200, 6))
    alone = [row for row in contaminated if (row > 10).sum() == 1]
    assert sum(paired_difference(row, [0.0] * 6).apart is not None for row in alone) > 0.7 * len(alone)


def test_accuracies_of_no_image_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one test image"):
        paired_difference([1.0], [1.0], test_images=0)


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
@given(
    st.floats(0.1, 10),
    st.floats(0.05, 10),
    st.sampled_from([0.05, 0.05 / 2, 0.05 / 8]),
    st.floats(-2, 2),
    st.sampled_from([None, 50, 1000]),
)
def test_that_many_seeds_decide_and_one_less_does_not(
    distance: float, std: float, level: float, skew: float, images: int | None
) -> None:
    least, grain = least_std(2.0, images), granularity(images)
    needed = seeds_to_decide(distance, std, level, adverse_skewness=skew, least=least, grain=grain)

    def decides(n: int) -> bool:
        return float(p_value(distance, std, n, skew, least, grain)) < level

    if needed is None:
        assert not decides(1000)
    else:
        assert decides(needed)
        assert not decides(needed - 1)


def test_seeds_to_decide_is_of_the_test_of_symmetric_differences() -> None:
    needed = seeds_to_decide(1.0, 2.0)
    assert needed
    assert PairedDifference(1.0, 2.0, needed, None).p_more_than(0) < 0.05
    assert PairedDifference(1.0, 2.0, needed - 1, None).p_more_than(0) >= 0.05


@pytest.mark.parametrize(("distance", "std"), [(0.0, 1.0), (-1.0, 1.0), (0.0, 0.0), (1e-6, 1.0)])
def test_no_number_of_seeds_decides_at_the_bound(distance: float, std: float) -> None:
    assert seeds_to_decide(distance, std) is None


def test_without_deviation_as_many_seeds_decide_as_a_coin_needs() -> None:
    assert seeds_to_decide(0.5, 0.0) == 5
    assert seeds_to_decide(0.5, 0.0, 0.05 / 6) == 7


def test_differences_of_as_many_images_are_equal_whatever_their_rounding() -> None:
    values = [100 * hits / 1157 for hits in range(1000, 1100)]
    for first in range(5, 96):
        found = paired_difference(values[first : first + 4], values[first - 5 : first - 1])
        assert found.p_more_than(-2.0) == 2.0**-4


@pytest.mark.parametrize(("n", "share"), [(5, 0.451), (10, 0.259), (29, 0.098), (59, 0.0495)])
def test_what_befalls_the_unseen_share_of_seeds_is_missed_at_the_level(n: int, share: float) -> None:
    assert unseen_share(n) == pytest.approx(share, abs=5e-4)
    assert stats.binom.pmf(0, n, unseen_share(n)) == pytest.approx(0.05)


@pytest.mark.parametrize("test_images", [None, 50, 1000])
@pytest.mark.parametrize("values", [(1.0, 0.2, 0.7, 0.5, 0.9), (0.0, 0.1, -4.0, 0.3), (2.0, 2.0, 2.0, 2.0, 2.0, 2.5)])
@pytest.mark.parametrize("level", [0.05, 0.05 / 6])
def test_an_interval_ends_where_the_one_sided_tests_begin_to_reject(
    values: tuple[float, ...], test_images: int | None, level: float
) -> None:
    difference = paired_difference(values, [0.0] * len(values), test_images=test_images)
    low, high = difference.interval_at(level)
    assert low <= difference.mean <= high
    for end, p_at, outwards in ((low, difference.p_more_than, -1), (high, difference.p_less_than, 1)):
        if math.isinf(end):
            assert p_at(outwards * 1e6) >= level
            continue
        step = 1e-6 * max(1.0, abs(end))
        assert p_at(end + outwards * step) < level <= p_at(end - outwards * step)


def test_two_pairs_show_no_bound_and_a_smaller_level_a_wider_interval() -> None:
    assert paired_difference([1.0, 2.0], [0.0, 0.0]).interval_at(0.05) == (-math.inf, math.inf)
    difference = paired_difference([1.0, 2.0, 1.4, 1.1], [0.0] * 4)
    (low, high), (lower, higher) = difference.interval_at(0.05), difference.interval_at(0.05 / 4)
    assert lower < low < high < higher
