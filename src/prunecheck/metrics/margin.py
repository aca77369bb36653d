"""What makes no practical difference: in the unit of a metric, or as a percentage of its value."""

from dataclasses import dataclass, replace

from prunecheck.constraints import Constraint, Number, shown
from prunecheck.metrics.quantity import PERCENT, Quantity

RELATIVE = Number(above=0, what="percent")
"""What a percentage may be: a cost may be more than all that there was."""


@dataclass(frozen=True)
class Margin:
    """A margin, stated before the runs.

    Attributes:
        amount: more than 0; in the unit of the metric (points of percentages), or in percent.
        is_relative: whether it is in percent of the value that others are compared with: of the method's own ticket of
            the same seed.
    """

    amount: float
    is_relative: bool = False

    @property
    def given(self) -> float | str:
        """As users and files write it: ``0.02``, or ``"1%"``."""
        return f"{self.amount!r}".removesuffix(".0") + PERCENT if self.is_relative else self.amount

    def quantity(self, metric: Quantity) -> Quantity:
        """Return what a metric measures, with differences that are counted as the margin is."""
        return replace(metric, has_relative_differences=self.is_relative)

    def told(self, metric: Quantity) -> str:
        """Return the margin in words: ``2 points``, ``1 % of perplexity``."""
        return self.quantity(metric).amount(self.amount)


@dataclass(frozen=True)
class MarginOf(Constraint[Margin]):
    """A margin of what a metric measures: a number in its unit, or a percentage such as ``1%``.

    What is in percent itself has none of those: ``2%`` could be points, or a share.
    """

    metric: Quantity

    @property
    def _amount(self) -> Number:
        if self.metric.is_percent:
            return Number(above=0, below=100, what=self.metric.with_plain_differences.differences_of)
        return Number(above=0, what=f"an amount of {self.metric}")

    @property
    def takes(self) -> str:
        """What is taken, in words."""
        return self._amount.takes + ("" if self.metric.is_percent else ", or percent of it, such as 1%")

    def read(self, value: object) -> Margin:
        """Return the margin, from a number, a text such as ``1%``, or one that was read before."""
        if isinstance(value, Margin):
            value = value.given
        if isinstance(value, str) and value.strip().endswith(PERCENT):
            return Margin(self._percentage(value), is_relative=True)
        try:
            return Margin(self._amount.read(value))
        except ValueError:
            raise self.refusal(value) from None

    def _percentage(self, text: str) -> float:
        if self.metric.is_percent:
            raise ValueError(
                f"{self._amount.takes}, not {shown(text)}: {self.metric.name} is in percent itself, so that this could "
                "be points, or a share of it"
            )
        try:
            return RELATIVE.read(float(text.strip().removesuffix(PERCENT)))
        except ValueError:
            raise self.refusal(text) from None
