import datetime
import math
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunecheck.constraints import Constraint, ListOf, Name, Number, OneOf, OrNone, WholeNumber, require_all
from prunecheck.errors import InputError

SHARE = Number(at_least=0, below=1)


def refusal(constraint: Constraint[Any], value: object) -> str:
    with pytest.raises(InputError) as caught:
        constraint.require("some_field", value)
    assert caught.value.field == "some_field"
    spelled = str(caught.value.spelled("<{}>".format))
    assert spelled == str(caught.value).replace("some_field", "<some_field>")
    return str(caught.value)


@given(least=st.integers(-5, 5), size=st.integers(0, 5), value=st.integers(-20, 20))
def test_whole_numbers_are_those_between_both_ends(least: int, size: int, value: int) -> None:
    constraint = WholeNumber(at_least=least, at_most=least + size)
    if least <= value <= least + size:
        assert constraint.require("n", value) == value
    else:
        assert refusal(constraint, value).endswith(f"at least {least} and at most {least + size}, not {value}.")


@pytest.mark.parametrize("value", [True, 1.0, "1", None, [1], math.nan, 2**63])
def test_other_kinds_are_no_whole_numbers(value: object) -> None:
    refusal(WholeNumber(), value)


def test_what_63_bits_do_not_hold_is_said() -> None:
    assert refusal(WholeNumber(), 2**63) == f"some_field takes a whole number, less than 2**63, not {2**63}."


def test_numbers_of_numpy_are_numbers() -> None:
    whole = WholeNumber().require("n", numpy.int64(3))
    assert (whole, type(whole)) == (3, int)
    share = SHARE.require("x", numpy.float32(0.5))
    assert (share, type(share)) == (0.5, float)


@given(value=st.floats())
def test_numbers_have_open_and_closed_ends(value: float) -> None:
    for constraint, allowed in (
        (SHARE, 0 <= value < 1),
        (Number(above=0, at_most=1), 0 < value <= 1),
        (Number(above=0), 0 < value < math.inf),
        (Number(), math.isfinite(value)),
    ):
        if allowed:
            assert constraint.require("x", value) == value
        else:
            assert refusal(constraint, value).endswith(f"not {value:g}.")


@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        (SHARE, "a number, at least 0 and less than 1,"),
        (Number(above=0, at_most=1, what="a chance", such_as=0.8), "a chance, more than 0 and at most 1, such as 0.8,"),
        (Number(above=0), "a number, more than 0 and finite,"),
        (WholeNumber(at_least=2, why="for batch norm"), "a whole number, at least 2 for batch norm,"),
        (WholeNumber(at_most=10_000, what="seeds"), "seeds, at least 1 and at most 10,000,"),
        (Name(), "a name,"),
        (OrNone(SHARE), "a number, at least 0 and less than 1,"),
        (ListOf(SHARE, "numbers", "[0.5]"), "a list of numbers, at least 0 and less than 1, such as [0.5],"),
    ],
)
def test_an_error_says_what_is_taken_and_what_was_given(constraint: Constraint[Any], words: str) -> None:
    assert refusal(constraint, {"a": 1}) == f"some_field takes {words} not {{'a': 1}}."


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("0.5", "'0.5'"),
        (True, "the boolean true"),
        (datetime.date(1979, 5, 27), "1979-05-27"),
        (2.5e9, "2.5e+09"),
        ("a" * 100, f"'{'a' * 36}..."),
    ],
)
def test_wrong_values_are_shown_in_a_few_words(value: object, said: str) -> None:
    assert refusal(SHARE, value).endswith(f", not {said}.")


def test_lists_are_taken_whole_and_the_item_that_is_wrong_is_named() -> None:
    shares = ListOf(SHARE, "numbers", "[0.5]")
    assert shares.require("x", [0, 0.5]) == shares.require("x", (0, 0.5)) == (0.0, 0.5)
    assert refusal(shares, [0.5, 1.5]) == "some_field takes numbers, at least 0 and less than 1, not 1.5."
    assert refusal(shares, [0.5, 0.50]).endswith("and 0.5 is given twice.")
    assert "empty" in refusal(shares, [])
    assert refusal(ListOf(Name(), "names", "['a']"), "snip").endswith("not 'snip'.")
    assert ListOf(SHARE, "numbers", "[0.5]", may_be_empty=True).require("x", []) == ()
    assert ListOf(SHARE, "numbers", "[0.5]", may_repeat=True).require("x", [0.5, 0.5]) == (0.5, 0.5)


@pytest.mark.parametrize("value", ["", " ", 3, None])
def test_a_name_has_something_in_it(value: object) -> None:
    assert Name().require("x", "snip") == "snip"
    refusal(Name(), value)


def test_one_of_some_names_is_answered_with_the_nearest() -> None:
    scales = OneOf(("smoke", "small", "full"), "scale")
    assert scales.require("x", "full") == "full"
    assert refusal(scales, "smal") == "there is no scale named 'smal': did you mean small?"
    assert refusal(scales, 3) == "some_field takes one of smoke, small, full, not 3."


def test_or_none_takes_none_and_checks_all_else() -> None:
    assert OrNone(SHARE).require("x", None) is None
    assert OrNone(SHARE).require("x", 0.5) == 0.5
    refusal(OrNone(SHARE), 1)


def test_all_fields_are_required_and_others_may_be_anything() -> None:
    constraints: dict[str, Constraint[Any]] = {"epochs": WholeNumber(), "margin": SHARE}
    require_all(constraints, {"epochs": 1, "name": object()})
    with pytest.raises(InputError, match=r"^margin takes") as caught:
        require_all(constraints, {"margin": 2, "epochs": 1})
    assert caught.value.field == "margin"
