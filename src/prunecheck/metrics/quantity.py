"""What a metric measures, without the function that does: its name, unit and direction, and how values are written."""

import math
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from numpy import float64
from numpy.typing import NDArray

PERCENT = "%"

Values = TypeVar("Values", float, NDArray[float64])

USUAL_MARGIN = 2.0
"""Points, for what is measured in percent; what makes no practical difference in another unit, only a user can say."""

LARGEST = 1e100
"""What is larger, or less than its negative, is no value: sums and squares of such leave the range of numbers."""

LEAST_BASE = 1 / LARGEST
"""Nothing is a percentage of what is less."""

LONGEST_INTEGER = 1e9
"""What is as large is written with a power of ten."""

DIGITS, DIGITS_OF_DIFFERENCES = 4, 3
"""Significant ones, of values that are not in percent, and of their differences, which are written with a sign."""


@dataclass(frozen=True)
class Quantity:
    """A metric's name, unit and direction.

    Attributes:
        name: as runs and reports have it.
        unit: of the values: ``%``, ``nats``, ...; empty for a pure number.
        higher_is_better: whether a larger value is the better one.
        has_relative_differences: whether differences are percent of the value that others are compared with, such as
            that of the method's own ticket, and not in the unit.
    """

    name: str
    unit: str
    higher_is_better: bool
    has_relative_differences: bool = False

    @property
    def is_percent(self) -> bool:
        """Whether values are percentages, and their differences points."""
        return self.unit == PERCENT

    @property
    def with_plain_differences(self) -> "Quantity":
        """The same, with differences in its unit."""
        return replace(self, has_relative_differences=False)

    @property
    def unit_of_differences(self) -> str:
        """``points`` of percentages; ``%`` of relative differences; else the unit."""
        if self.has_relative_differences:
            return PERCENT
        return "points" if self.is_percent else self.unit

    @property
    def usual_margin(self) -> float | None:
        """What makes no practical difference unless the user says otherwise; None where only the user can say."""
        return USUAL_MARGIN if self.is_percent else None

    def has_differences_from(self, value: Values) -> bool:
        """Say whether there are differences from a value, or from each of an array: no percentages of 0 or less."""
        return not self.has_relative_differences or _is_positive(value)

    def advantage(self, value: Values, other: Values) -> Values:
        """Return by how much a value is better than another; of relative differences in percent of the first.

        Raises:
            ValueError: there are no differences from the first; see :meth:`has_differences_from`.
        """
        if not self.has_differences_from(value):
            raise ValueError(f"nothing is a percentage of a {self.name} of {value}")
        difference = value - other if self.higher_is_better else other - value
        return 100 * difference / value if self.has_relative_differences else difference

    def __str__(self) -> str:
        in_unit = "percent" if self.is_percent else self.unit
        return f"{self.name} in {in_unit}" if in_unit else self.name

    @property
    def title(self) -> str:
        """The name as titles begin with it."""
        is_word = self.name.replace("-", "").isalpha()
        return self.name[:1].upper() + self.name[1:] if is_word else self.name

    @property
    def axis(self) -> str:
        """The name and the unit, as an axis has them."""
        return f"{self.name}, {self.unit}" if self.unit else self.name

    def amount(self, difference: float) -> str:
        """Return a difference, such as a margin, with its unit: ``2 points``, ``1 % of perplexity``."""
        if self.has_relative_differences:
            return f"{difference:g} {self.differences_of}"
        return f"{difference:g} {self.unit_of_differences}".rstrip()

    def amount_of(self, difference: float) -> str:
        """Return a difference, with its unit and what it is of: ``2 points of accuracy``."""
        if self.has_relative_differences:
            return self.amount(difference)
        return f"{self.amount(difference)} of {self.name}" if self.unit else f"{difference:g} in {self.name}"

    @property
    def differences_of(self) -> str:
        """What differences are: ``points of accuracy``, ``% of perplexity``."""
        return f"{self.unit_of_differences} of {self.name}" if self.unit_of_differences else self.name

    def with_unit(self, value: float, decimals: int = 2) -> str:
        """Return a value with its unit: ``97.15 %``; percentages with so many decimals."""
        is_short = self.is_percent and abs(value) < LONGEST_INTEGER
        text = f"{value:.{decimals}f}" if is_short else self.text(value)
        return f"{text} {self.unit}".rstrip()

    def text(self, value: float, sign: str = "") -> str:
        """Return a value as tables have it; ``sign`` is that of a format."""
        return self.texts(value, sign=sign)[0]

    def texts(self, *values: float, sign: str = "") -> list[str]:
        """Return values that stand beside each other, with equally many decimals.

        Percentages have two, others so many that the largest has four significant digits; differences, with a sign,
        have one less.
        """
        digits = DIGITS_OF_DIFFERENCES if sign else DIGITS
        are_percent = self.is_percent or (sign and self.has_relative_differences)
        largest = max(map(abs, values), default=0.0)
        if largest >= LONGEST_INTEGER:
            return [f"{value:{sign}.{digits - 1}e}" for value in values]
        decimals = 2 if are_percent else _decimals(largest, digits)
        return [f"{round(value, decimals) + 0.0:{sign}.{decimals}f}" for value in values]  # no -0

    def rounded(self, value: float) -> float:
        """Return a value as JSON holds it: percentages with four decimals, others with eight significant digits."""
        return round(value, 4 if self.is_percent else _decimals(abs(value), 2 * DIGITS)) + 0.0  # no -0.0


def _is_positive(values: Any) -> bool:
    """Say whether a number, or each of an array, is more than 0, and by enough."""
    return bool((values > LEAST_BASE).all()) if hasattr(values, "all") else bool(values > LEAST_BASE)


def is_value(number: float) -> bool:
    """Say whether a number can be what a run is judged by: finite, and not beyond :data:`LARGEST`."""
    return abs(number) <= LARGEST


def _decimals(value: float, digits: int) -> int:
    """Return how many decimals show the significant digits of a value."""
    if value == 0 or not math.isfinite(value):
        return 2
    return max(digits - 1 - math.floor(math.log10(value)), 0)


ACCURACY = Quantity("accuracy", PERCENT, higher_is_better=True)
"""What runs are judged by unless the user says otherwise: test accuracy, which each result has beside its metric."""
