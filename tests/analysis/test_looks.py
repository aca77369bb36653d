import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.looks import error_over_looks
from prunecheck.analysis.statistics import LEVEL
from prunecheck.report.cells import verdict_text
from prunecheck.report.looks import looks_so_far, looks_text
from prunecheck.studies.looks import USUAL_LOOKS, Look

Conclude = Callable[..., Conclusion]

OWN = [90.0, 91.0, 92.0, 90.5, 91.5]
UNCLEAR = [88.0, 91.0, 89.0, 90.5, 88.9]


def fixed(*numbers: int) -> tuple[Look, ...]:
    return tuple(Look(seeds, 1.0) for seeds in numbers)


def chance(error: float) -> float:
    """Return how far a simulation may be from the truth."""
    return 4 * math.sqrt(error * (1 - error) / 40_000)


@pytest.mark.parametrize("n", [2, 5, 20])
def test_one_look_is_wrong_as_often_as_its_level_says(n: int) -> None:
    assert error_over_looks(fixed(n)) == pytest.approx(LEVEL, abs=chance(LEVEL))


def test_each_look_adds_errors_and_no_more_than_its_level() -> None:
    errors = [error_over_looks(fixed(*looks)) for looks in ((5,), (5, 10), (5, 10, 20), (5, 10, 20, 40))]
    steps = [b - a for a, b in itertools.pairwise(errors)]
    assert all(0.01 < step < LEVEL for step in steps)


def test_two_looks_are_wrong_as_often_as_the_joint_distribution_says() -> None:
    """A second look at all the same seeds but one adds next to nothing; at very many more, nearly all of its level."""
    assert error_over_looks(fixed(30, 31)) < LEVEL + 0.012
    first_undecided = 1 - 2 * LEVEL
    assert error_over_looks(fixed(2, 400)) == pytest.approx(LEVEL + first_undecided * LEVEL, abs=0.02)


def test_looks_that_share_a_level_are_wrong_no_more_often_together_and_a_fixed_one_beside_them_is() -> None:
    series = USUAL_LOOKS.up_to(50)
    assert LEVEL / 2 < error_over_looks(series) < LEVEL
    beside = tuple(sorted((*series, *fixed(5)), key=lambda look: look.seeds))
    assert LEVEL + 0.003 < error_over_looks(beside) < 2 * LEVEL


def test_nothing_is_said_of_one_look_that_decides(conclude: Conclude) -> None:
    answer = conclude({(0.9, None): OWN, (0.9, "reinit"): [value - 20 for value in OWN[::-1]]}, baseline=None)
    assert [one.verdict for one in answer.checks] == ["uses it"]
    assert looks_text(replace(answer, looks=(5,))) == looks_text(answer) == ""


def test_the_looks_so_far_are_named_with_their_cost(conclude: Conclude) -> None:
    answer = replace(conclude({(0.9, None): OWN, (0.9, "reinit"): OWN[::-1]}, baseline=None), looks=(3, 5))
    error = 100 * error_over_looks(fixed(3, 5))
    assert f"with 3 and 5 seeds: about {error:.0f} % of verdicts about" in looks_so_far(answer)


def test_the_advice_to_add_seeds_says_what_following_it_costs(conclude: Conclude) -> None:
    answer = replace(conclude({(0.9, None): OWN, (0.9, "reinit"): UNCLEAR}, baseline=None), looks=(5,))
    needed = answer.checks[0].seeds_needed
    assert needed
    assert answer.most_seeds_needed == needed
    error = 100 * error_over_looks(fixed(5, needed))
    assert f"looks at 5 and {needed} seeds, about {error:.0f} % of verdicts about" in looks_text(answer)


@pytest.mark.parametrize("side", ["method", "baseline"])
def test_where_masks_are_in_files_the_advice_is_to_make_more_of_them(conclude: Conclude, side: str) -> None:
    answer = conclude({(0.9, None): OWN, (0.9, "random-smart"): UNCLEAR})
    (found,) = answer.comparisons
    by_seed, one_mask = "mask:s{seed}.pt", "mask:one.pt"

    def named(name: str) -> tuple[str, str]:
        if side == "method":
            comparison, question = replace(found, method=name), replace(answer.question, method=name)
        else:
            comparison, question = replace(found, against=name), replace(answer.question, baseline=name)
        about = replace(answer, question=question, comparisons=(comparison,))
        return verdict_text(comparison, dense_at_chance=False), looks_text(replace(about, looks=(5,)))

    needed = found.seeds_needed
    verdict, advice = named(by_seed)
    assert verdict == f"undecided (about {needed} masks would decide)"
    assert f"about {needed} masks decide" in advice
    assert "make them all" in advice
    verdict, advice = named(one_mask)
    assert verdict == f"undecided (about {needed} seeds would decide)"
    assert f"looks at 5 and {needed} seeds" in advice


def test_one_seed_decides_nothing_and_costs_nothing(conclude: Conclude) -> None:
    answer = replace(conclude({(0.9, None): OWN, (0.9, "reinit"): OWN}, baseline=None), looks=(1, 5))
    assert looks_so_far(answer) == ""
    assert "with 2 and 5 seeds:" in looks_so_far(replace(answer, looks=(1, 2, 5)))
