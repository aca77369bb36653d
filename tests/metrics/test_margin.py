"""Margins in the unit of a metric, and in percent of its value."""

import numpy
import pytest

from prunecheck.errors import InputError
from prunecheck.metrics import ACCURACY, Margin, MarginOf, Quantity

PERPLEXITY = Quantity("perplexity", "", higher_is_better=False)
NATS = Quantity("cross-entropy", "nats", higher_is_better=False)
GAIN = Quantity("gain", "dB", higher_is_better=True)


def read(value: object, metric: Quantity = PERPLEXITY) -> Margin:
    return MarginOf(metric).require("margin", value)


@pytest.mark.parametrize("text", ["1%", " 1 %", "1.0%"])
def test_a_percentage_is_told_from_an_amount(text: str) -> None:
    assert read(text) == Margin(1.0, is_relative=True)
    assert read(text) != read(1) == Margin(1.0)


@pytest.mark.parametrize("given", [0.02, 1e-9, "1%", "0.125%", "150%"])
def test_a_margin_is_read_again_as_files_have_it(given: float | str) -> None:
    assert read(given).given == given
    assert read(read(given).given) == read(read(given)) == read(given)


@pytest.mark.parametrize("wrong", ["0%", "-1%", "nan%", "%", "wide", "1", 0, -1, float("nan"), None, True, ["1%"]])
def test_what_is_no_margin_is_refused(wrong: object) -> None:
    with pytest.raises(InputError, match="margin takes an amount of perplexity, more than 0 and finite, or percent"):
        read(wrong)


def test_a_percentage_of_what_is_in_percent_could_be_two_things() -> None:
    with pytest.raises(InputError, match="accuracy is in percent itself, so that this could be points"):
        read("2%", ACCURACY)
    assert read(2, ACCURACY) == Margin(2.0)


@pytest.mark.parametrize(("metric", "told"), [(PERPLEXITY, "1 % of perplexity"), (NATS, "1 % of cross-entropy")])
def test_relative_differences_are_told_as_such(metric: Quantity, told: str) -> None:
    quantity = read("1%").quantity(metric)
    assert quantity.amount(1.0) == quantity.amount_of(1.0) == read("1%").told(metric) == told
    assert quantity.unit_of_differences == "%"
    assert quantity.texts(1.2345, -0.5, sign="+") == ["+1.23", "-0.50"]
    assert quantity.texts(12.345) == metric.texts(12.345)  # the values are in the unit, as ever
    assert str(quantity) == str(metric)
    assert read(1.0).quantity(metric) == metric == quantity.with_plain_differences


def test_a_relative_advantage_is_in_percent_of_the_value_that_another_is_compared_with() -> None:
    lower, higher = (read("1%").quantity(metric) for metric in (PERPLEXITY, GAIN))
    assert lower.advantage(8.0, 10.0) == 25.0
    assert higher.advantage(8.0, 10.0) == -25.0
    assert lower.advantage(numpy.array([8.0, 10.0]), numpy.array([10.0, 10.0])).tolist() == [25.0, 0.0]


@pytest.mark.parametrize("value", [0.0, -1.0, numpy.array([1.0, 0.0])])
def test_nothing_is_a_percentage_of_what_is_not_more_than_0(value: float) -> None:
    relative = read("1%").quantity(PERPLEXITY)
    assert not relative.has_differences_from(value)
    assert relative.has_differences_from(abs(value) + 1)
    assert PERPLEXITY.has_differences_from(value)
    with pytest.raises(ValueError, match="nothing is a percentage of a perplexity of "):
        relative.advantage(value, value)
