import json
from typing import Any

import pytest

from prunecheck.errors import InputError
from prunecheck.studies.looks import USUAL_LOOKS, Look, SequentialLooks
from prunecheck.studies.question import MOST_SEEDS, read_seeds


def test_the_usual_looks_grow_and_never_spend_the_whole_level() -> None:
    assert [look.seeds for look in USUAL_LOOKS.up_to(50)] == [5, 8, 12, 20, 30, 50]
    assert USUAL_LOOKS.up_to(4) == ()
    assert USUAL_LOOKS.up_to(7) == (USUAL_LOOKS.first,)
    shares = [look.share for look in USUAL_LOOKS.looks]
    assert shares == sorted(shares, reverse=True)
    assert 0.99 < sum(shares) < 1
    assert next(USUAL_LOOKS.after(8)).seeds == 12


def test_more_seeds_leave_what_earlier_looks_may_spend_as_it_is() -> None:
    assert USUAL_LOOKS.up_to(50)[:4] == USUAL_LOOKS.up_to(20)


@pytest.mark.parametrize(
    "looks",
    [(), ((5, 0.5), (5, 0.5)), ((8, 0.5), (5, 0.5)), ((0, 0.5),), ((5, 0.0),), ((5, 0.6), (8, 0.6))],
)
def test_looks_that_share_no_level_are_refused(looks: tuple[tuple[int, float], ...]) -> None:
    with pytest.raises(ValueError, match="looks"):
        SequentialLooks(tuple(Look(*look) for look in looks))


def test_looks_come_back_from_json() -> None:
    assert SequentialLooks.from_json(json.loads(json.dumps(USUAL_LOOKS.as_json()))) == USUAL_LOOKS


def test_seeds_are_fixed_or_added() -> None:
    assert read_seeds(3, None) == (range(3), None)
    assert read_seeds([4, 7], None) == ((4, 7), None)
    assert read_seeds("auto", None) == (range(20), USUAL_LOOKS)
    assert read_seeds("auto", 30) == (range(30), USUAL_LOOKS)


@pytest.mark.parametrize(
    ("seeds", "most", "said"),
    [
        (5, 20, "the number of seeds is fixed"),
        ("auto", 4, "at least 5"),
        ("auto", MOST_SEEDS + 1, "at most 10,000"),
        ("many", None, "or auto"),
    ],
)
def test_what_is_no_number_of_seeds_is_refused(seeds: Any, most: int | None, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_seeds(seeds, most)
