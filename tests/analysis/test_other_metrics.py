"""Verdicts follow the direction and the unit of the metric: 100 - accuracy, lower is better, is accuracy."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy
import pytest
from torch import Tensor

from prunecheck.analysis.comparison import Comparison
from prunecheck.analysis.families import Conclusion
from prunecheck.metrics import metric
from prunecheck.runs.result import MetricResult
from tests.fixtures.answers import result_of

Conclude = Callable[..., Conclusion]
CHECK, RANDOM = "rearrange-mask", "random-smart"
CHANCE = 10.2


@metric(unit="%", higher_is_better=False)
def error_rate(logits: Tensor, labels: Tensor) -> Tensor:
    return 100 - 100 * (logits.argmax(dim=1) == labels).double().mean()


def mirrored(outcomes: Sequence[Any]) -> list[Any]:
    return [100 - one if isinstance(one, float) else one for one in outcomes]


def both(
    conclude: Conclude, own: Sequence[Any], changed: Sequence[Any], random: Sequence[Any], dense: Any = 95.0
) -> Any:
    by_accuracy = {(0.9, None): own, (0.9, CHECK): changed, (0.9, RANDOM): random}
    by_error = {ticket: mirrored(outcomes) for ticket, outcomes in by_accuracy.items()}
    (dense_error,) = mirrored([dense])
    return (
        conclude(by_accuracy, dense=dense),
        conclude(by_error, dense=dense_error, metric=error_rate, chance=100 - CHANCE),
    )


def said_of(comparison: Comparison) -> dict[str, Any]:
    return {
        "verdict": comparison.verdict,
        "at_chance": comparison.at_chance,
        "is_tested": comparison.is_tested,
        "seeds_needed": comparison.seeds_needed,
        "lost": (comparison.lost_by_the_change, comparison.lost_without_the_change),
    }


@pytest.mark.parametrize("draw", range(40))
def test_an_error_rate_has_the_verdicts_of_accuracy(conclude: Conclude, draw: int) -> None:
    draws = numpy.random.default_rng(draw)
    n = int(draws.integers(1, 9))
    own = draws.normal(85 if draw % 5 else 12, 2, n)
    spread = draws.choice([0.1, 1.0, 8.0])
    others = [(own - draws.choice([-6, -2, 0, 2, 6]) - draws.normal(0, spread, n)).tolist() for _ in range(2)]
    for outcomes in others:
        for place in range(n):
            if draws.random() < 0.1:
                outcomes[place] = str(draws.choice(["collapsed", "diverged", "failed"]))
    by_accuracy, by_error = both(conclude, own.tolist(), *others)
    assert by_error.family == by_accuracy.family
    assert by_error.dense_at_chance == by_accuracy.dense_at_chance
    for one, other in zip(by_accuracy.comparisons, by_error.comparisons, strict=True):
        assert said_of(other) == said_of(one)
        assert other.p == pytest.approx(one.p, rel=1e-6, abs=1e-12)
        assert other.adjusted_p == pytest.approx(one.adjusted_p, rel=1e-6, abs=1e-12)
        if one.difference:
            assert other.difference
            assert other.difference.mean == pytest.approx(one.difference.mean)
            assert other.difference.differences == pytest.approx(one.difference.differences)
            assert (other.difference.interval or ()) == pytest.approx(one.difference.interval or ())
        # What tickets are judged by is mirrored; what a change costs is not.
        assert list(other.own.values.values()) == pytest.approx([100 - value for value in one.own.values.values()])


def test_a_loss_that_rises_by_more_than_the_margin_is_a_use(conclude: Conclude) -> None:
    own = [0.30, 0.31, 0.32, 0.30, 0.29]
    higher = [value + 0.2 + 0.001 * place for place, value in enumerate(own)]
    outcomes = {(0.9, None): own, (0.9, CHECK): higher, (0.9, RANDOM): [value - 0.2 for value in own]}
    answer = conclude(outcomes, margin=0.05, dense=0.1, metric="cross-entropy", chance=2.3)
    (check,), (baseline,) = answer.checks, answer.baselines
    assert (check.verdict, baseline.verdict) == ("uses it", "worse")
    assert check.difference
    assert check.difference.mean == pytest.approx(0.202)
    assert list(check.costs.values()) == pytest.approx([0.2, 0.201, 0.202, 0.203, 0.204])


def test_tickets_that_are_no_better_than_the_metric_s_own_chance_level_show_nothing(conclude: Conclude) -> None:
    own = [2.29, 2.28, 2.30, 2.29, 2.28]
    outcomes = {(0.9, None): own, (0.9, CHECK): own, (0.9, RANDOM): own}
    at_chance = conclude(outcomes, margin=0.05, dense=0.1, metric="cross-entropy", chance=2.3)
    assert [one.verdict for one in at_chance.comparisons] == ["undecided", "undecided"]
    assert not at_chance.dense_at_chance
    assert conclude(outcomes, margin=0.05, dense=2.28, metric="cross-entropy", chance=2.3).dense_at_chance


def test_a_metric_without_a_chance_level_has_no_tickets_that_learned_nothing(conclude: Conclude) -> None:
    own = [12.0, 12.1, 12.05, 11.9, 12.0]  # of the accuracies, which are near those of guessing, nothing is made
    outcomes = {(0.9, None): own, (0.9, CHECK): own[::-1], (0.9, RANDOM): own[::-1]}
    answer = conclude(outcomes, margin=2.0, dense=12.0, metric=error_rate, chance=None)
    assert answer.chance is None
    assert [one.verdict for one in answer.comparisons] == ["does not use it", "equivalent"]


def test_the_guard_for_few_test_images_is_for_percentages_of_images_alone(conclude: Conclude) -> None:
    own, changed = [90.0] * 6, [89.0, 89.1, 88.9, 89.0, 89.05, 88.95]
    outcomes = {(0.9, None): own, (0.9, CHECK): changed, (0.9, RANDOM): own}
    coarse, fine = (conclude(outcomes, test_images=images).checks[0] for images in (50, None))
    assert coarse.p > 10 * fine.p
    lower = {ticket: mirrored(values) for ticket, values in outcomes.items()}
    judged = conclude(lower, dense=5.0, metric=error_rate, chance=90.0, test_images=50).checks[0]
    assert judged.p == pytest.approx(fine.p)


def test_what_counts_images_has_as_many_as_were_tested() -> None:
    result = replace(result_of(50.0), test_images=50)
    assert result.images_counted == 50
    assert replace(result, metric=MetricResult(0.3)).images_counted is None
    assert replace(result, metric=MetricResult(50.0, counts_images=True)).images_counted == 50
