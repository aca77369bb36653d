"""How often a report is right and wrong, by simulation: of accuracies whose true differences are known."""

import math
from collections.abc import Callable, Sequence

import numpy
import pytest

from prunecheck.analysis import adjustment
from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.power import check_test
from prunecheck.analysis.statistics import LEVEL, seeds_to_decide
from prunecheck.analysis.verdicts import Verdict

Conclude = Callable[..., Conclusion]

MARGIN = 2.0
CHECKS = [
    "rearrange-mask",
    "shuffle-weights",
    "corrupted-data",
    "reinit",
    "random-labels",
    "random-pixels",
    "half-data",
]
BASELINE = "random-smart"


@pytest.fixture(autouse=True)
def _verdicts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many seeds would decide is no part of what is simulated, and takes a quarter of the time."""
    monkeypatch.setattr(adjustment, "_seeds_needed", lambda comparison, level: None)


def most(share: float, repetitions: int) -> float:
    """Return a share that a simulation exceeds once in 700 times if the true one is ``share``."""
    return share + 3 * math.sqrt(share * (1 - share) / repetitions)


def verdicts(
    conclude: Conclude,
    repetitions: int,
    n: int,
    std: float,
    costs: Sequence[float] = (),
    advantage: float | None = None,
) -> list[list[Verdict]]:
    """Simulate reports on the true costs of checks, and a true advantage over random tickets.

    The method's accuracies vary by 3 points over the seeds, and every difference by ``std``.
    """
    draws = numpy.random.default_rng(20)
    means: dict[str, float] = dict(zip(CHECKS, costs, strict=False))
    if advantage is not None:
        means[BASELINE] = advantage
    found = []
    for _ in range(repetitions):
        own = draws.normal(80, 3, n)
        outcomes: dict[tuple[float, str | None], list[float]] = {(0.9, None): own.tolist()}
        for ticket, mean in means.items():
            outcomes[0.9, ticket] = (own - draws.normal(mean, std, n)).tolist()
        answer = conclude(outcomes, margin=MARGIN, baseline=None if advantage is None else BASELINE)
        found.append([comparison.verdict for comparison in answer.comparisons])
    return found


def share_with(reports: list[list[Verdict]], *wrong: str) -> float:
    return sum(any(verdict in wrong for verdict in report) for report in reports) / len(reports)


@pytest.mark.parametrize("std", [2.0, 8.0])
def test_of_reports_on_changes_without_effect_few_say_that_anything_is_used(conclude: Conclude, std: float) -> None:
    reports = verdicts(conclude, 400, 6, std, costs=[0.0] * 7, advantage=0.0)
    assert all(len(report) == 8 for report in reports)
    assert share_with(reports, "uses it", "better", "worse") <= most(LEVEL, 400)


def test_of_reports_on_costs_just_over_the_margin_few_say_that_anything_is_not_used(conclude: Conclude) -> None:
    reports = verdicts(conclude, 400, 6, 1.5, costs=[MARGIN + 1e-6] * 5)
    assert share_with(reports, "does not use it") <= most(LEVEL, 400)


@pytest.mark.parametrize(("advantage", "std"), [(MARGIN, 0.5), (-MARGIN, 2.0)])
def test_tickets_that_differ_by_the_margin_are_seldom_said_to_be_equivalent(
    conclude: Conclude, advantage: float, std: float
) -> None:
    reports = verdicts(conclude, 800, 6, std, advantage=advantage)
    assert share_with(reports, "equivalent") <= most(LEVEL, 800)


def test_at_the_margin_a_single_check_is_decided_either_way_at_no_more_than_the_level(conclude: Conclude) -> None:
    reports = verdicts(conclude, 1200, 6, 1.0, costs=[MARGIN])
    for verdict in ("uses it", "does not use it"):
        assert LEVEL / 4 < share_with(reports, verdict) <= most(LEVEL, 1200)


@pytest.mark.parametrize("std", [1.5, 4.0])
def test_a_cost_of_twice_the_margin_is_found_as_often_as_the_number_of_seeds_promises(
    conclude: Conclude, std: float
) -> None:
    n = seeds_to_decide(MARGIN, std)
    assert n is not None
    promised = check_test(2 * MARGIN, MARGIN, std).power(n)
    assert promised > 0.48  # the least number that decides if all stays as it is: not less than a coin's, about
    reports = verdicts(conclude, 600, n, std, costs=[2 * MARGIN])
    assert share_with(reports, "uses it") == pytest.approx(promised, abs=most(promised, 600) - promised)
    assert share_with(reports, "does not use it") <= most(0.001, 600)


def test_four_times_these_seeds_find_it_nearly_always(conclude: Conclude) -> None:
    n = seeds_to_decide(MARGIN, 2.0)
    assert n is not None
    assert share_with(verdicts(conclude, 100, 4 * n, 2.0, costs=[2 * MARGIN]), "uses it") > 0.98
