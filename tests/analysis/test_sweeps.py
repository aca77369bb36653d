"""Where a method falls behind its baseline, from values made by hand."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from prunecheck.analysis.estimates import Estimate
from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.sweeps import falling_behind
from prunecheck.metrics import ACCURACY
from prunecheck.report.answer_json import answer_json
from prunecheck.report.sweeps import sweep_figure, sweep_text

SPARSITIES = (0.9, 0.99, 0.999, 0.9999)
RANDOM = "random-smart"
Conclude = Callable[..., Conclusion]


def swept(conclude: Conclude, *differences: Any, noise: float = 0.0) -> Conclusion:
    """Ask about four seeds of a method that is so much better than random tickets, or collapses."""
    outcomes: dict[tuple[float, str | None], list[Any]] = {}
    for sparsity, difference in zip(SPARSITIES, differences, strict=True):
        own = [difference if isinstance(difference, str) else 80 + difference + s * noise for s in (-1, -1, 1, 1)]
        outcomes |= {(sparsity, None): own, (sparsity, RANDOM): [80.0] * 4}
    return conclude(outcomes)


def test_the_place_is_read_off_a_line_over_the_logarithm_of_the_density(conclude: Conclude) -> None:
    found = falling_behind(swept(conclude, 0.0, -1.0, -3.0, -10.0))
    assert found
    # -2 lies halfway between -1 at a density of 1 % and -3 at 0.1 %: at 10 to the power of -2.5.
    halfway = 1 - 10**-2.5
    assert (found.sparsity, found.earliest, found.latest) == pytest.approx((halfway,) * 3)
    assert (found.baseline, found.margin, found.asked, found.collapses_at) == (RANDOM, 2.0, (0.9, 0.9999), None)


def test_the_interval_is_where_the_ends_of_the_differences_reach_the_margin(conclude: Conclude) -> None:
    # Differences deviate by sqrt(4 / 3) x noise; the half width is 3.182 (t, 3 degrees) x that / 2.
    answer = swept(conclude, 0.0, -1.0, -3.0, -10.0, noise=0.5)
    half = 3.182446 * 0.5 * (4 / 3) ** 0.5 / 2
    found = falling_behind(answer)
    assert found and found.sparsity and found.earliest and found.latest
    assert found.sparsity == pytest.approx(1 - 10**-2.5)
    assert found.earliest == pytest.approx(1 - 10 ** -(2 + (1 - half) / 2), rel=1e-6)
    assert found.latest == pytest.approx(1 - 10 ** -(2 + (1 + half) / 2), rel=1e-6)
    text = sweep_text(answer)
    low, high = f"{found.earliest:.4g}", f"{found.latest:.4g}"
    assert text == (
        "snip falls behind random-smart tickets by more than 2 points of accuracy at sparsity 0.9968 (95 % interval "
        f"{low} to {high})."
    )
    assert answer_json(answer)["falls_behind"]["text"] == text


def test_a_method_that_keeps_up_is_said_to(conclude: Conclude) -> None:
    answer = swept(conclude, 0.0, 1.0, -1.0, -1.5)
    found = falling_behind(answer)
    assert found
    assert (found.sparsity, found.earliest, found.latest) == (None, None, None)
    assert "does not fall behind random-smart tickets" in sweep_text(answer)
    doubtful = swept(conclude, 0.0, 1.0, -1.0, -1.5, noise=1.0)
    assert re.search(r"it may from 0\.99\d+ on", sweep_text(doubtful))


def test_one_that_is_behind_from_the_start_is_said_to_be(conclude: Conclude) -> None:
    text = sweep_text(swept(conclude, -9.0, -9.0, -9.0, -9.0))
    assert "at sparsity 0.9 or before (95 % interval 0.9 or before to 0.9)" in text


def test_collapsing_where_random_tickets_do_not_is_falling_behind(conclude: Conclude) -> None:
    answer = swept(conclude, 0.0, 0.0, "collapsed", "collapsed")
    found = falling_behind(answer)
    assert found
    assert (found.sparsity, found.latest, found.collapses_at) == (0.999, 0.999, 0.999)
    assert "From sparsity 0.999 on, tickets of it collapse or diverge where random-smart tickets do not." in sweep_text(
        answer
    )
    before = falling_behind(swept(conclude, 0.0, -4.0, "collapsed", "collapsed"))
    assert before and before.sparsity == pytest.approx(1 - 10**-1.5)


def test_few_sparsities_are_no_sweep(conclude: Conclude) -> None:
    answer = conclude({(s, who): [80.0] * 2 for s in SPARSITIES[:3] for who in (None, RANDOM)})
    assert falling_behind(answer) is None
    assert sweep_text(answer) == ""
    assert answer_json(answer)["falls_behind"] is None


def test_densities_stand_at_even_steps_for_even_ratios() -> None:
    values = {s: Estimate(90 - i, (89 - i, 91 - i), 5) for i, s in enumerate(SPARSITIES)}
    svg = sweep_figure("figure1", {"snip": values}, Estimate(95, None, 1), 10.0, ACCURACY, "digits")
    places = {
        float(n): float(x) for x, n in re.findall(r'<text class="middle" x="([0-9.]+)"[^>]*>([0-9.]+)</text>', svg)
    }
    assert list(places) == [10, 1, 0.1, 0.01]
    steps = [b - a for a, b in zip([*places.values()][:-1], [*places.values()][1:], strict=True)]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.2)
    assert "s0 band" in svg


def test_lines_of_all_methods_lie_above_all_bands() -> None:
    values = {s: Estimate(90 - i, (80 - i, 99 - i), 5) for i, s in enumerate(SPARSITIES)}
    svg = sweep_figure("figure1", {"snip": values, "grasp": values}, None, 10.0, ACCURACY, "digits")
    assert svg.count(" band") == svg.count(" curve") == 2
    assert svg.rindex(" band") < svg.index(" curve")
