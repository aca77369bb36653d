from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy
import pytest

from prunecheck.analysis.comparison import Comparison, compare
from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.statistics import holm, paired_difference
from prunecheck.analysis.summary import LostTicket
from prunecheck.report.cells import why_undecided
from prunecheck.runs.result import Status
from tests.fixtures.answers import result_of

Conclude = Callable[..., Conclusion]
Outcomes = dict[tuple[float, str | None], list[Any]]
OWN = [90.0, 91.0, 92.0, 90.5, 91.5, 90.0]
NOISE = [0.1, -0.1, 0.2, -0.2, 0.1, -0.1]
CHECK, RANDOM = "rearrange-mask", "random-smart"


def below_own(cost: float, spread: float = 1.0) -> list[float]:
    """Accuracies of tickets that do ``cost`` points worse than the method's, more or less."""
    return [own - cost + spread * noise for own, noise in zip(OWN, NOISE, strict=True)]


def one_check(conclude: Conclude, changed: list[Any], own: list[Any]) -> Comparison:
    answer = conclude({(0.9, None): own, (0.9, CHECK): changed, (0.9, RANDOM): ["collapsed"] * len(own)})
    (comparison,) = answer.checks
    return comparison


@pytest.mark.parametrize(
    ("cost", "spread", "verdict"),
    [
        (5.0, 1.0, "uses it"),
        (0.0, 1.0, "does not use it"),
        (-5.0, 1.0, "does not use it"),
        (5.0, 40.0, "undecided"),
        (0.0, 40.0, "undecided"),
        (2.0, 1.0, "undecided"),
    ],
)
def test_verdict_of_a_check(conclude: Conclude, cost: float, spread: float, verdict: str) -> None:
    assert one_check(conclude, below_own(cost, spread), OWN).verdict == verdict


@pytest.mark.parametrize(
    ("cost", "spread", "verdict"),
    [
        (5.0, 1.0, "better"),
        (0.0, 1.0, "equivalent"),
        (-5.0, 1.0, "worse"),
        (0.0, 40.0, "undecided"),
        (5.0, 40.0, "undecided"),
        (-5.0, 40.0, "undecided"),
    ],
)
def test_verdict_against_random_tickets(conclude: Conclude, cost: float, spread: float, verdict: str) -> None:
    random = below_own(cost, spread)
    answer = conclude({(0.9, None): OWN, (0.9, CHECK): ["collapsed"] * 6, (0.9, RANDOM): random})
    (comparison,) = answer.baselines
    assert (comparison.against, comparison.verdict) == (RANDOM, verdict)


def test_a_change_that_costs_something_has_a_positive_difference(conclude: Conclude) -> None:
    comparison = one_check(conclude, [80.0, 79.0, 82.0], [90.0, 90.0, 90.0])
    assert comparison.difference
    assert comparison.difference.mean == pytest.approx((10 + 11 + 8) / 3)
    assert comparison.own.mean == 90.0
    assert comparison.other.mean == pytest.approx(241 / 3)


@pytest.mark.parametrize("lost", ["collapsed", "diverged", None])
@pytest.mark.parametrize("side", ["own", "changed"])
def test_a_seed_without_a_pair_is_left_out_of_the_difference(conclude: Conclude, lost: str | None, side: str) -> None:
    whole: list[Any] = [90.0, 91.0, 10.0]
    partial: list[Any] = [85.0, 84.0, lost]
    own, changed = (partial, whole) if side == "own" else (whole, partial)
    comparison = one_check(conclude, changed, own)
    assert comparison.difference
    assert comparison.difference.n == 2
    assert comparison.difference.mean == pytest.approx(-6.0 if side == "own" else 6.0)


def test_pairs_are_of_the_same_seed_when_each_side_lost_another_one(conclude: Conclude) -> None:
    comparison = one_check(conclude, [80.0, "collapsed", 70.0, 60.0, 50.0], ["collapsed", 91.0, 72.0, 63.0, 54.0])
    assert comparison.difference
    assert comparison.difference.n == 3
    assert comparison.difference.mean == pytest.approx(3.0)


def test_collapsed_and_diverged_tickets_are_counted_named_and_kept_out_of_the_means(conclude: Conclude) -> None:
    comparison = one_check(conclude, [80.0, "collapsed", "diverged", 82.0, 84.0], [90.0] * 5)
    assert comparison.other.n == 3
    assert comparison.other.mean == pytest.approx(82.0)
    assert comparison.other.std == pytest.approx(2.0)
    assert comparison.other.lost == (
        LostTicket(1, Status.COLLAPSED, "layer2.0.conv1", "no weight is left"),
        LostTicket(2, Status.DIVERGED, None, "the loss was not finite in epoch 7"),
    )
    assert comparison.own.lost == ()


@pytest.mark.parametrize(("lost", "verdict"), [(2, "uses it"), (3, "collapsed"), (6, "collapsed")])
def test_half_of_the_seeds_lost_is_collapsed_however_clear_the_rest(
    conclude: Conclude, lost: int, verdict: str
) -> None:
    changed: list[Any] = [*["collapsed"] * lost, *below_own(30.0)[lost:]]
    comparison = one_check(conclude, changed, OWN)
    assert comparison.verdict == verdict
    assert (comparison.difference is None) == (lost == 6)


def test_a_method_that_collapsed_itself_is_not_judged(conclude: Conclude) -> None:
    answer = conclude({(0.9, None): ["collapsed"] * 6, (0.9, CHECK): OWN, (0.9, RANDOM): OWN})
    assert [comparison.verdict for comparison in (*answer.checks, *answer.baselines)] == ["collapsed", "collapsed"]


def test_one_seed_is_undecided_with_no_number_of_seeds_named(conclude: Conclude) -> None:
    answer = conclude({(0.9, None): [90.0], (0.9, CHECK): [10.0], (0.9, RANDOM): [10.0]})
    for comparison in (*answer.checks, *answer.baselines):
        assert (comparison.verdict, comparison.adjusted_p, comparison.seeds_needed) == ("undecided", 1.0, None)


def test_corrupted_data_cannot_change_a_method_that_sees_none(conclude: Conclude) -> None:
    outcomes: Outcomes = {(0.9, None): OWN, (0.9, "corrupted-data"): OWN, (0.9, RANDOM): below_own(5.0)}
    (comparison,) = conclude(outcomes, method="magnitude").checks
    assert comparison.verdict == "does not use it"
    assert comparison.difference
    assert comparison.difference.interval == (0.0, 0.0)


def test_dense_accuracy_is_summarised(conclude: Conclude) -> None:
    dense = conclude({(0.9, None): OWN, (0.9, CHECK): OWN, (0.9, RANDOM): OWN}, dense=97.5).dense
    assert (dense.mean, dense.n, dense.lost) == (97.5, 6, ())


def p_of_cost(differences: list[float], margin: float) -> float:
    return paired_difference(differences, [0.0] * len(differences)).p_more_than(margin)


def test_the_correction_counts_checks_and_baselines_together(conclude: Conclude) -> None:
    differences = [7.0, 3.0, 6.0, 2.5, 4.0, 1.5]
    p = p_of_cost(differences, 2.0)
    assert 0.025 < p < 0.05  # decided alone, not among two
    changed = [own - difference for own, difference in zip(OWN, differences, strict=True)]
    alone = conclude({(0.9, None): OWN, (0.9, CHECK): changed, (0.9, RANDOM): ["collapsed"] * 6})
    unclear = below_own(0.0, 40.0)
    beside = conclude({(0.9, None): OWN, (0.9, CHECK): changed, (0.9, RANDOM): unclear})
    assert (alone.checks[0].verdict, beside.checks[0].verdict) == ("uses it", "undecided")
    assert alone.checks[0].adjusted_p == pytest.approx(p)
    assert beside.checks[0].adjusted_p == pytest.approx(2 * p)


def test_a_verdict_may_fall_among_eight_that_would_stand_among_three(conclude: Conclude) -> None:
    differences = [5.2, 3.1, 5.0, 2.6, 4.0, 3.0]
    p = p_of_cost(differences, 2.0)
    assert 0.05 / 8 < p < 0.05 / 3
    changed = [own - difference for own, difference in zip(OWN, differences, strict=True)]
    unclear = below_own(0.0, 40.0)
    outcomes: Outcomes = {(0.9, None): OWN, (0.9, CHECK): changed, (0.9, "reinit"): unclear, (0.9, RANDOM): unclear}
    assert conclude(outcomes).checks[0].verdict == "uses it"
    for sparsity in (0.9, 0.95):
        for ticket in (None, CHECK, "reinit", "shuffle-weights", RANDOM):
            outcomes.setdefault((sparsity, ticket), OWN if ticket is None else unclear)
    answer = conclude(outcomes)
    assert len(answer.checks) + len(answer.baselines) == 8
    assert answer.checks[0].verdict == "undecided"
    assert answer.checks[0].adjusted_p == pytest.approx(8 * p)


def test_p_values_are_adjusted_in_their_own_places(conclude: Conclude) -> None:
    costs = {"reinit": 2.05, CHECK: 5.0, "shuffle-weights": 1.9}
    outcomes: Outcomes = {(0.9, None): OWN, (0.9, RANDOM): ["collapsed"] * 6}
    outcomes |= {(0.9, check): below_own(cost) for check, cost in costs.items()}
    found = {comparison.against: comparison.adjusted_p for comparison in conclude(outcomes).checks}
    raw: dict[str, float] = {}
    for check in costs:
        difference = paired_difference(OWN, outcomes[0.9, check])
        raw[check] = min(difference.p_more_than(2.0), difference.p_less_than(2.0))
    expected = dict(zip(raw, holm(list(raw.values())), strict=True))
    assert found == pytest.approx(expected, rel=1e-6)


def differences_of(mean: float, std: float, n: int) -> list[float]:
    steps = numpy.linspace(-1, 1, n)
    return [float(value) for value in mean + std * steps / steps.std(ddof=1)]


def verdicts_with(conclude: Conclude, n: int, means: dict[str, float]) -> dict[str, Comparison]:
    outcomes: Outcomes = {(0.9, None): [80.0] * n}
    for ticket, mean in means.items():
        outcomes[0.9, ticket] = [80.0 - difference for difference in differences_of(mean, 2.0, n)]
    answer = conclude(outcomes)
    return {comparison.against: comparison for comparison in (*answer.checks, *answer.baselines)}


def test_the_seeds_that_are_said_to_decide_do_and_one_less_does_not(conclude: Conclude) -> None:
    means = {CHECK: 3.0, "reinit": 1.52, "shuffle-weights": 2.25, "corrupted-data": -3.0, RANDOM: 1.5}
    first = verdicts_with(conclude, 3, means)
    undecided = {name: c.seeds_needed for name, c in first.items() if c.verdict == "undecided"}
    assert len(undecided) >= 4
    for name, needed in undecided.items():
        assert needed is not None
        assert needed > 3
        assert verdicts_with(conclude, needed, means)[name].verdict != "undecided"
        assert verdicts_with(conclude, needed - 1, means)[name].verdict == "undecided"


def test_without_a_baseline_there_are_checks_alone(conclude: Conclude) -> None:
    costly = below_own(5.0)
    with_one = conclude({(0.9, None): OWN, (0.9, CHECK): costly, (0.9, RANDOM): ["collapsed"] * 6})
    without = conclude({(0.9, None): OWN, (0.9, CHECK): costly}, baseline=None)
    assert without.baselines == ()
    assert without.checks == with_one.checks


@pytest.mark.parametrize("baseline", ["random-uniform", "random-ratios-of:snip", "synflow", "lt", "imp@2"])
def test_the_baseline_is_of_the_users_choice(conclude: Conclude, baseline: str) -> None:
    answer = conclude({(0.9, None): OWN, (0.9, CHECK): OWN, (0.9, baseline): below_own(5.0)}, baseline=baseline)
    (comparison,) = answer.baselines
    assert (comparison.against, comparison.is_check, comparison.verdict) == (baseline, False, "better")
    assert [comparison.against for comparison in answer.checks] == [CHECK]


def test_a_method_is_equivalent_to_itself_without_a_test(conclude: Conclude) -> None:
    outcomes: Outcomes = {(0.9, None): OWN, (0.9, CHECK): below_own(5.0)}
    (comparison,) = conclude(outcomes | {(0.9, "snip"): OWN}, baseline="snip").baselines
    assert (comparison.verdict, comparison.adjusted_p, comparison.same_runs) == ("equivalent", 0.0, True)


def test_a_comparison_with_itself_takes_no_part_in_the_correction(conclude: Conclude) -> None:
    differences = [7.0, 3.0, 6.0, 2.5, 4.0, 1.5]
    changed = [own - difference for own, difference in zip(OWN, differences, strict=True)]
    outcomes: Outcomes = {(0.9, None): OWN, (0.9, CHECK): changed, (0.9, "random-labels"): OWN}
    found = {c.against: c for c in conclude(outcomes, method="magnitude", baseline=None).checks}
    assert found[CHECK].adjusted_p == pytest.approx(p_of_cost(differences, 2.0))
    assert (found["random-labels"].same_runs, found["random-labels"].adjusted_p) == (True, 0.0)
    outcomes[0.9, "random-labels"] = below_own(0.0, 40.0)
    sees_data = {c.against: c for c in conclude(outcomes, method="snip", baseline=None).checks}
    assert sees_data[CHECK].adjusted_p == pytest.approx(2 * p_of_cost(differences, 2.0))
    assert not sees_data["random-labels"].same_runs


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("check", ["corrupted-data", "random-labels@0.25", "half-data", "random-labels+random-pixels"])
def test_few_seeds_are_enough_where_no_test_is_needed(conclude: Conclude, check: str, n: int) -> None:
    (comparison,) = conclude({(0.9, None): OWN[:n], (0.9, check): OWN[:n]}, method="magnitude", baseline=None).checks
    assert (comparison.verdict, comparison.same_runs, comparison.seeds_needed) == ("does not use it", True, None)


def test_what_is_done_to_the_ticket_beside_the_data_is_tested(conclude: Conclude) -> None:
    outcomes: Outcomes = {(0.9, None): OWN, (0.9, "corrupted-data+rearrange-mask"): below_own(5.0)}
    (comparison,) = conclude(outcomes, method="magnitude", baseline=None).checks
    assert (comparison.verdict, comparison.same_runs) == ("uses it", False)


def test_collapsed_tickets_are_collapsed_however_much_the_same(conclude: Conclude) -> None:
    outcomes: Outcomes = {(0.9, None): ["collapsed"] * 6, (0.9, "random-labels"): ["collapsed"] * 6}
    (comparison,) = conclude(outcomes, method="magnitude", baseline=None).checks
    assert (comparison.verdict, comparison.at_chance) == ("collapsed", False)


CHANCE = 10.2
"""Of the made-up results."""


def test_chance_is_that_of_the_results(conclude: Conclude) -> None:
    assert conclude({(0.9, None): OWN, (0.9, CHECK): OWN}, baseline=None).chance == CHANCE


def around(mean: float) -> list[float]:
    """Accuracies whose mean over the six seeds is ``mean``."""
    return [mean + noise for noise in NOISE]


@pytest.mark.parametrize(("above", "verdict"), [(-0.5, "undecided"), (1.95, "undecided"), (2.05, "does not use it")])
def test_tickets_at_chance_have_nothing_to_lose(conclude: Conclude, above: float, verdict: str) -> None:
    own = around(CHANCE + above)
    noisy = [accuracy + 0.1 * (-1) ** seed for seed, accuracy in enumerate(own)]
    answer = conclude({(0.9, None): own, (0.9, CHECK): noisy, (0.9, RANDOM): noisy})
    check, baseline = *answer.checks, *answer.baselines
    assert check.verdict == verdict
    assert baseline.verdict == {"undecided": "undecided", "does not use it": "equivalent"}[verdict]
    assert check.at_chance == baseline.at_chance == (verdict == "undecided")
    if verdict == "undecided":
        assert (check.adjusted_p, check.seeds_needed) == (baseline.adjusted_p, baseline.seeds_needed) == (1.0, None)


def test_the_margin_says_what_is_at_chance(conclude: Conclude) -> None:
    own = around(CHANCE + 3.0)
    outcomes: Outcomes = {(0.9, None): own, (0.9, CHECK): own[::-1]}
    found = [conclude(outcomes, margin=margin, baseline=None).checks[0].at_chance for margin in (2.0, 4.0)]
    assert found == [False, True]


def test_tickets_at_chance_may_be_worse_than_random_ones(conclude: Conclude) -> None:
    outcomes: Outcomes = {(0.9, None): around(10.0), (0.9, CHECK): around(10.0)[::-1], (0.9, RANDOM): OWN}
    answer = conclude(outcomes)
    assert [c.verdict for c in (*answer.checks, *answer.baselines)] == ["undecided", "worse"]
    assert (answer.baselines[0].adjusted_p or 1.0) < 0.001


def test_what_chance_leaves_undecided_takes_no_part_in_the_correction(conclude: Conclude) -> None:
    random = [10 + 2 + extra for extra in (7.0, 1.0, 5.5, 1.0, 3.0, 0.6)]
    p = paired_difference([10.0] * 6, random).p_less_than(-2.0)
    assert 0.005 < p < 0.025
    changed = {(0.9, check): around(10.0) for check in (CHECK, "reinit", "shuffle-weights")}
    answer = conclude({(0.9, None): [10.0] * 6, (0.9, RANDOM): random} | changed)
    assert [c.verdict for c in answer.checks] == ["undecided"] * 3
    assert answer.baselines[0].adjusted_p == pytest.approx(p)


def test_only_the_sparsity_whose_tickets_learned_nothing_is_at_chance(conclude: Conclude) -> None:
    outcomes: Outcomes = {(0.9, None): OWN, (0.9, CHECK): below_own(0.0)}
    outcomes |= {(0.99, None): around(10.0), (0.99, CHECK): around(10.0)[::-1]}
    answer = conclude(outcomes, baseline=None)
    assert [(c.verdict, c.at_chance) for c in answer.checks] == [("does not use it", False), ("undecided", True)]


def test_a_method_that_cannot_be_reached_does_not_use_it_even_at_chance(conclude: Conclude) -> None:
    outcomes: Outcomes = {(0.9, None): around(10.0), (0.9, "corrupted-data"): around(10.0)}
    (comparison,) = conclude(outcomes, method="magnitude", baseline=None).checks
    assert (comparison.verdict, comparison.at_chance) == ("does not use it", True)


@pytest.mark.parametrize("dense", [10.0, "diverged"])
def test_where_the_dense_network_learned_nothing_no_change_can_be_said_to_cost_nothing(
    conclude: Conclude, dense: float | str | None
) -> None:
    outcomes: Outcomes = {(0.9, None): OWN, (0.9, CHECK): below_own(0.0), (0.9, "reinit"): below_own(5.0)}
    outcomes[0.9, RANDOM] = below_own(0.0)
    answer = conclude(outcomes, dense=dense)
    assert [c.verdict for c in (*answer.checks, *answer.baselines)] == ["undecided", "uses it", "undecided"]
    assert all(c.at_chance for c in (*answer.checks, *answer.baselines))
    trained = conclude(outcomes, dense=95.0)
    assert [c.verdict for c in (*trained.checks, *trained.baselines)] == ["does not use it", "uses it", "equivalent"]


def test_failed_tickets_are_counted_with_their_reason(conclude: Conclude) -> None:
    comparison = one_check(conclude, [80.0, "failed", 82.0, 84.0, 83.0], [90.0] * 5)
    assert comparison.other.n == 4
    assert comparison.other.lost == (LostTicket(1, Status.FAILED, None, "RuntimeError: no luck"),)
    assert comparison.difference
    assert comparison.difference.n == 4


@pytest.mark.parametrize("dense", ["failed", None])
def test_a_dense_network_of_which_nothing_is_known_is_no_witness(conclude: Conclude, dense: str | None) -> None:
    outcomes: Outcomes = {(0.9, None): OWN, (0.9, CHECK): below_own(0.0), (0.9, RANDOM): below_own(0.0)}
    answer = conclude(outcomes, dense=dense)
    assert [c.verdict for c in answer.comparisons] == ["does not use it", "equivalent"]
    assert answer.chance == CHANCE
    lost = conclude({(0.9, None): around(10.0), (0.9, CHECK): around(10.0)[::-1]}, dense=dense, baseline=None)
    assert [(c.verdict, c.at_chance) for c in lost.checks] == [("undecided", True)]


def test_a_sample_in_doubt_is_undecided_with_the_reason_and_stays_in_the_family(conclude: Conclude) -> None:
    apart = [accuracy - 8.0 + noise for accuracy, noise in zip(OWN, [0.1, -0.1, 0.0, 0.1, -0.1, -30.0], strict=True)]
    outcomes: Outcomes = {(0.9, None): OWN, (0.9, CHECK): apart, (0.9, "reinit"): below_own(3.0)}
    answer = conclude(outcomes, baseline=None)
    in_doubt, sure = answer.checks
    assert (in_doubt.verdict, in_doubt.adjusted_p, in_doubt.seeds_needed) == ("undecided", 1.0, None)
    assert "lies apart from the 5 others" in str(why_undecided(in_doubt, dense_at_chance=False))
    assert sure.verdict == "uses it"
    assert sure.adjusted_p == pytest.approx(2 * sure.p)


def test_a_question_that_was_asked_has_a_row_for_each_comparison_and_a_gathered_one_for_what_was_run(
    conclude: Conclude,
) -> None:
    nothing: list[Any] = [None] * 6
    outcomes: Outcomes = {(0.9, None): OWN, (0.9, CHECK): below_own(5.0), (0.9, "reinit"): nothing}
    answer = conclude(outcomes, baseline=None)
    assert [(c.against, c.verdict) for c in answer.checks] == [(CHECK, "uses it"), ("reinit", "undecided")]
    gathered = replace(answer.question, is_asked=False)
    results = {
        gathered.method_run(0.9, check, seed): result_of(value)
        for check, values in ((None, OWN), (CHECK, below_own(5.0)))
        for seed, value in enumerate(values)
    }
    assert [c.against for c in compare(gathered, results).comparisons] == [CHECK]
