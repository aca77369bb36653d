from itertools import count

from benchmarks.timing import Spread, alternate, ratios, spread


def test_everything_takes_its_turn_in_every_round() -> None:
    clock = count()
    turns = {"first": lambda: float(next(clock)), "second": lambda: float(next(clock))}

    assert alternate(turns, 3) == {"first": [0, 2, 4], "second": [1, 3, 5]}


def test_a_ratio_is_that_of_the_same_round() -> None:
    """The machine is slow in the first round: the ratio of the medians would be 6 to 5."""
    assert ratios([30, 5, 6], [10, 5, 1]) == Spread(median=3, minimum=1, maximum=6)


def test_spread() -> None:
    assert spread([4, 1, 2, 9]) == Spread(median=3, minimum=1, maximum=9)
