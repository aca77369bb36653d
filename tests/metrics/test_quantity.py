from dataclasses import replace

import pytest

from prunecheck.metrics import ACCURACY, Quantity

NATS = Quantity("cross-entropy", "nats", higher_is_better=False)
F1 = Quantity("scores.py:f1", "", higher_is_better=True)


@pytest.mark.parametrize(
    ("quantity", "told", "amount", "amount_of", "axis"),
    [
        (ACCURACY, "accuracy in percent", "2 points", "2 points of accuracy", "accuracy, %"),
        (NATS, "cross-entropy in nats", "2 nats", "2 nats of cross-entropy", "cross-entropy, nats"),
        (F1, "scores.py:f1", "2", "2 in scores.py:f1", "scores.py:f1"),
    ],
)
def test_the_unit_is_written_where_there_is_one(
    quantity: Quantity, told: str, amount: str, amount_of: str, axis: str
) -> None:
    assert str(quantity) == told
    assert quantity.amount(2.0) == amount
    assert quantity.amount_of(2.0) == amount_of
    assert quantity.axis == axis


def test_the_better_of_two_values_has_the_advantage() -> None:
    assert ACCURACY.advantage(90.0, 88.0) == 2
    assert NATS.advantage(0.25, 0.5) == 0.25


def test_percentages_have_two_decimals_and_others_the_digits_that_matter() -> None:
    assert ACCURACY.texts(97.146, 0.4) == ["97.15", "0.40"]
    assert NATS.texts(0.31234, 0.01219) == ["0.3123", "0.0122"]
    assert NATS.texts(134.27, 2.114) == ["134.3", "2.1"]
    assert NATS.texts(13427.4) == ["13427"]
    assert NATS.texts(-0.001234, 0.023456, sign="+") == ["-0.0012", "+0.0235"]
    assert NATS.text(0.0) == "0.00"


def test_very_large_values_are_written_with_powers_of_ten() -> None:
    assert NATS.texts(12345678900.0, 1.0) == ["1.235e+10", "1.000e+00"]
    assert NATS.texts(-1e99, sign="+") == ["-1.00e+99"]
    assert (ACCURACY.with_unit(97.146), ACCURACY.with_unit(1e99)) == ("97.15 %", "1.000e+99 %")


def test_nothing_is_a_percentage_of_next_to_nothing() -> None:
    relative = replace(NATS, has_relative_differences=True)
    assert [relative.has_differences_from(value) for value in (1e-9, 1e-101, 0.0, -1.0)] == [True, False, False, False]


def test_json_keeps_more_digits_than_tables() -> None:
    assert ACCURACY.rounded(97.14779602420052) == 97.1478
    assert NATS.rounded(0.00012345678912) == 0.00012345679
    assert str(NATS.rounded(-0.0)) == "0.0"
