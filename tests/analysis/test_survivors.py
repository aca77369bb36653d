"""What tickets that are lost on one side do to a verdict."""

from collections.abc import Callable
from typing import Any

import numpy
import pytest

from prunecheck.analysis.comparison import Comparison
from prunecheck.analysis.families import Conclusion
from prunecheck.report.cells import verdict_text
from prunecheck.report.reading import reading

Conclude = Callable[..., Conclusion]

CHECK, RANDOM = "rearrange-mask", "random-smart"
OWN: list[Any] = [90.0, 91.0, 92.0, 90.5, 91.5, 90.0, 91.2, 90.7]
NOISE = [0.1, -0.1, 0.2, -0.2, 0.1, -0.1, 0.15, -0.15]


def beside(cost: float, lost: dict[int, str] | None = None, n: int = 8) -> list[Any]:
    return [(lost or {}).get(seed, own - cost + NOISE[seed]) for seed, own in enumerate(OWN[:n])]


def without(lost: dict[int, str], n: int = 8) -> list[Any]:
    return [lost.get(seed, own) for seed, own in enumerate(OWN[:n])]


def check(conclude: Conclude, own: list[Any], changed: list[Any]) -> Comparison:
    (comparison,) = conclude({(0.9, None): own, (0.9, CHECK): changed}, baseline=None).checks
    return comparison


def baseline(conclude: Conclude, own: list[Any], others: list[Any]) -> Comparison:
    (comparison,) = conclude({(0.9, None): own, (0.9, RANDOM): others}).baselines
    return comparison


@pytest.mark.parametrize("status", ["collapsed", "diverged"])
def test_survivors_do_not_show_that_nothing_is_lost(conclude: Conclude, status: str) -> None:
    comparison = check(conclude, OWN, beside(0.0, {2: status}))
    assert (comparison.verdict, comparison.adjusted_p, comparison.seeds_needed) == ("undecided", 1.0, None)
    assert (comparison.lost_by_the_change, comparison.lost_without_the_change) == ((2,), ())
    assert "survivors alone show nothing" in verdict_text(comparison, dense_at_chance=False)
    assert check(conclude, OWN, beside(0.0)).verdict == "does not use it"


def test_tickets_that_are_lost_without_the_change_alone_leave_no_verdict_about_it(conclude: Conclude) -> None:
    for cost in (0.0, 8.0):
        comparison = check(conclude, without({1: "collapsed"}), beside(cost))
        assert (comparison.verdict, comparison.lost_without_the_change) == ("undecided", (1,))


def test_a_cost_among_survivors_stands_where_the_change_also_lost_tickets(conclude: Conclude) -> None:
    assert check(conclude, OWN, beside(8.0, {2: "collapsed"})).verdict == "uses it"


def test_losses_on_both_sides_of_different_seeds_leave_no_verdict(conclude: Conclude) -> None:
    comparison = check(conclude, without({1: "collapsed"}), beside(8.0, {2: "diverged"}))
    assert comparison.verdict == "undecided"


def test_a_seed_that_is_lost_on_both_sides_says_nothing_about_the_change(conclude: Conclude) -> None:
    comparison = check(conclude, without({1: "collapsed"}), beside(0.0, {1: "diverged"}))
    assert (comparison.verdict, comparison.is_of_survivors) == ("does not use it", False)


def test_a_failure_is_no_result_and_no_loss(conclude: Conclude) -> None:
    comparison = check(conclude, OWN, beside(0.0, {2: "failed", 3: "failed"}))
    assert (comparison.verdict, comparison.is_of_survivors, len(comparison.pairs)) == ("does not use it", False, 6)
    nothing = check(conclude, OWN, ["failed"] * 8)
    assert (nothing.verdict, nothing.difference, nothing.is_tested) == ("undecided", None, False)
    assert "no two tickets of one seed were trained" in verdict_text(nothing, dense_at_chance=False)


@pytest.mark.parametrize(
    ("cost", "lost_own", "lost_other", "verdict"),
    [
        (8.0, {}, {2: "collapsed"}, "better"),
        (8.0, {2: "collapsed"}, {}, "undecided"),
        (-8.0, {2: "collapsed"}, {}, "worse"),
        (-8.0, {}, {2: "collapsed"}, "undecided"),
        (0.0, {2: "collapsed"}, {}, "undecided"),
        (0.0, {}, {2: "collapsed"}, "undecided"),
    ],
)
def test_beside_a_baseline_losses_go_with_the_verdict_that_they_strengthen(
    conclude: Conclude, cost: float, lost_own: dict[int, str], lost_other: dict[int, str], verdict: str
) -> None:
    assert baseline(conclude, without(lost_own), beside(cost, lost_other)).verdict == verdict


def test_half_of_the_seeds_lost_is_collapsed_and_no_use(conclude: Conclude) -> None:
    comparison = check(conclude, OWN, beside(30.0, dict.fromkeys(range(4), "collapsed")))
    assert (comparison.verdict, comparison.is_tested) == ("collapsed", False)


def test_what_survivors_leave_open_stays_in_the_family(conclude: Conclude) -> None:
    outcomes = {(0.9, None): OWN, (0.9, CHECK): beside(3.0), (0.9, "reinit"): beside(0.0, {2: "collapsed"})}
    answer = conclude(outcomes, baseline=None)
    assert answer.family.size == 2
    assert answer.checks[0].adjusted_p == pytest.approx(2 * answer.checks[0].p)
    assert "evidence about the change" in reading(answer)


def false_verdicts(conclude: Conclude, n: int, share: float, repetitions: int) -> float:
    """Simulate a change that collapses a share of its tickets and harms no other."""
    draws = numpy.random.default_rng(7)
    wrong = 0
    for _ in range(repetitions):
        own = draws.normal(90, 1, n)
        changed: list[Any] = (own - draws.normal(0, 0.7, n)).tolist()
        for seed in numpy.flatnonzero(draws.random(n) < share):
            changed[seed] = "collapsed"
        wrong += check(conclude, own.tolist(), changed).verdict == "does not use it"
    return wrong / repetitions


@pytest.mark.parametrize("n", [6, 10])
def test_a_change_that_collapses_two_in_five_is_seldom_said_to_be_of_no_use(conclude: Conclude, n: int) -> None:
    assert false_verdicts(conclude, n, 0.4, 400) <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


def test_the_rate_is_that_of_losing_no_ticket_at_all(conclude: Conclude) -> None:
    found = false_verdicts(conclude, 5, 0.4, 400)
    none_lost = 0.6**5
    assert found <= none_lost + 3 * (none_lost * (1 - none_lost) / 400) ** 0.5
