"""What a value may be: stated once, where the value lives, for arguments in Python, keys of study files and options.

Each constraint says what it takes in a few words, and :meth:`Constraint.require` builds every error from them.
"""

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from prunecheck.errors import InputError, field_name
from prunecheck.registry import unknown_name

MOST = 2**63 - 1
"""The largest whole number that is taken anywhere: what 63 bits hold."""

Value = TypeVar("Value")
Item = TypeVar("Item")

LONGEST_SHOWN = 40
"""So many characters of a wrong value are shown."""


class Constraint(ABC, Generic[Value]):
    """What a value may be."""

    @property
    @abstractmethod
    def takes(self) -> str:
        """What is taken, in words that complete "margin takes ...", such as "a number, at least 0"."""

    @property
    def range(self) -> str:
        """In which range it must be, in words that follow what it is: ", at least 0"; empty for none."""
        return ""

    @abstractmethod
    def read(self, value: object) -> Value:
        """Return the value in its own type.

        Raises:
            ValueError: it is not what is taken; says what is and what it is, in words that complete "margin takes ...".
        """

    def require(self, field: str, value: object) -> Value:
        """Return the value in its own type.

        Raises:
            InputError: it is not what is taken; the error is about the field.
        """
        try:
            return self.read(value)
        except ValueError as wrong:
            raise InputError(f"{field_name(field)} takes {wrong}.", field=field) from wrong

    def refusal(self, value: object) -> ValueError:
        """Return the error of a value that is not taken."""
        return ValueError(f"{self.takes}, not {shown(value)}")


def shown(value: object) -> str:
    """Return a value in a few words, strings with quotes."""
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    text = repr(value) if isinstance(value, str | Mapping) else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


@dataclass(frozen=True)
class WholeNumber(Constraint[int]):
    """A whole number in a range.

    Attributes:
        at_least: the smallest.
        at_most: the largest; what is larger than a file can hold is refused in any case.
        what: it is called.
        why: it cannot be less, added in words such as "for batch norm".
    """

    at_least: int = 1
    at_most: int = MOST
    what: str = "a whole number"
    why: str = ""

    @property
    def takes(self) -> str:
        """What is taken, in words."""
        return f"{self.what}{self.range}"

    @property
    def range(self) -> str:
        """In which range, in words."""
        last = f" and at most {self.at_most:,}" if self.at_most < MOST else ""
        return f", at least {self.at_least}{last}" + (f" {self.why}" if self.why else "")

    def read(self, value: object) -> int:
        """Return an integer, from one of numpy's too."""
        try:
            number = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            raise self.refusal(value) from None
        if not isinstance(value, bool) and number > self.at_most == MOST:
            raise ValueError(f"{self.what}, less than 2**63, not {number}")
        if isinstance(value, bool) or not self.at_least <= number <= self.at_most:
            raise self.refusal(value)
        return number


@dataclass(frozen=True)
class Number(Constraint[float]):
    """A finite number in a range, each end of which is in it or not, or is left open.

    Attributes:
        at_least: the smallest.
        above: every number that is taken is larger.
        at_most: the largest.
        below: every number that is taken is smaller.
        what: it is called.
        such_as: an example.
    """

    at_least: float = -math.inf
    above: float = -math.inf
    at_most: float = math.inf
    below: float = math.inf
    what: str = "a number"
    such_as: float | None = None

    @property
    def takes(self) -> str:
        """What is taken, in words."""
        example = f", such as {self.such_as:g}" if self.such_as is not None else ""
        return f"{self.what}{self.range}{example}"

    @property
    def range(self) -> str:
        """In which range, in words."""
        first = [f"more than {self.above:g}"] * (self.above > -math.inf)
        first += [f"at least {self.at_least:g}"] * (self.at_least > -math.inf)
        last = [f"less than {self.below:g}"] * (self.below < math.inf)
        last += [f"at most {self.at_most:g}"] * (self.at_most < math.inf)
        return f", {' and '.join([*first, *(last or ['finite'])])}"

    def read(self, value: object) -> float:
        """Return a float, from an integer or a number of numpy's too."""
        if isinstance(value, bool | str | bytes) or not hasattr(value, "__float__"):
            raise self.refusal(value)
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            raise self.refusal(value) from None
        in_range = self.at_least <= number <= self.at_most and self.above < number < self.below
        if not (in_range and math.isfinite(number)):
            raise self.refusal(number)
        return number


@dataclass(frozen=True)
class TrueOrFalse(Constraint[bool]):
    """A truth value."""

    @property
    def takes(self) -> str:
        """What is taken, in words."""
        return "true or false"

    def read(self, value: object) -> bool:
        """Return the truth value."""
        if not isinstance(value, bool):
            raise self.refusal(value)
        return value


@dataclass(frozen=True)
class Name(Constraint[str]):
    """A string with something in it."""

    @property
    def takes(self) -> str:
        """What is taken, in words."""
        return "a name"

    def read(self, value: object) -> str:
        """Return the string."""
        if not isinstance(value, str) or not value.strip():
            raise self.refusal(value)
        return value


@dataclass(frozen=True)
class OneOf(Constraint[str]):
    """One of some names.

    Attributes:
        names: that are taken.
        kind: what they name, for an unknown one.
    """

    names: tuple[str, ...]
    kind: str

    @property
    def takes(self) -> str:
        """What is taken, in words."""
        return f"one of {', '.join(self.names)}"

    def read(self, value: object) -> str:
        """Return the name."""
        if value not in self.names:
            raise self.refusal(value)
        return str(value)

    def require(self, field: str, value: object) -> str:
        """Return the name; the error for an unknown one has the nearest."""
        if isinstance(value, str) and value not in self.names:
            raise unknown_name(self.kind, value, self.names, field=field)
        return super().require(field, value)


@dataclass(frozen=True)
class ListOf(Constraint[tuple[Item, ...]]):
    """A list.

    Attributes:
        item: what each item may be.
        name: what items are called: "numbers".
        example: a list as it is written in Python and in study files.
        may_be_empty: whether an empty one is taken.
        may_repeat: whether an item may stand twice.
    """

    item: Constraint[Item]
    name: str
    example: str
    may_be_empty: bool = False
    may_repeat: bool = False

    @property
    def takes(self) -> str:
        """What is taken, in words."""
        return f"a list of {self._items}, such as {self.example}"

    @property
    def _items(self) -> str:
        return f"{self.name}{self.item.range}"

    def read(self, value: object) -> tuple[Item, ...]:
        """Return the items."""
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise self.refusal(value)
        if not value and not self.may_be_empty:
            raise ValueError(f"{self.takes}, and this one is empty")
        found: list[Item] = []
        seen: set[object] = set()
        for one in value:
            try:
                item = self.item.read(one)
            except ValueError:
                raise ValueError(f"{self._items}, not {shown(one)}") from None
            if item in seen and not self.may_repeat:
                raise ValueError(f"{self._items}, and {shown(item)} is given twice")
            found.append(item)
            seen.add(item)
        return tuple(found)


@dataclass(frozen=True)
class OrNone(Constraint[Value | None]):
    """What another constraint takes, or None."""

    of: Constraint[Value]

    @property
    def takes(self) -> str:
        """What is taken, in words."""
        return self.of.takes

    def read(self, value: object) -> Value | None:
        """Return the value."""
        return None if value is None else self.of.read(value)


def require_all(constraints: Mapping[str, Constraint[Any]], values: Mapping[str, object]) -> None:
    """See that values are what their fields take.

    Args:
        constraints: by field.
        values: by field; those without a constraint may be anything.

    Raises:
        InputError: the first that is not.
    """
    for field, constraint in constraints.items():
        if field in values:
            constraint.require(field, values[field])
