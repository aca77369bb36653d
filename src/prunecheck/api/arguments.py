"""How Python's arguments are read: one value or several, numbers of seeds, devices, families."""

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from prunecheck.analysis.verdicts import Scope
from prunecheck.errors import InputError
from prunecheck.registry import unknown_name
from prunecheck.training.acceleration import WHERE_IT_PAYS, Acceleration, require_available, require_suitable

Value = TypeVar("Value")

MOST_BITS = 63
"""Of a seed."""


def whole_number(field: str, value: Any, least: int | None = None) -> int:
    """Return an integer, numpy's among them; what it may be is stated where it is used.

    Raises:
        InputError: it is not one, or less than ``least``.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise InputError(f"{field} takes a whole number, not {value!r}.") from None
    if least is not None and number < least:
        raise InputError(f"{field} must be at least {least}, not {number}.")
    return number


def optional_whole_number(field: str, value: Any) -> int | None:
    """Return an integer, or None."""
    return None if value is None else whole_number(field, value)


def number(field: str, value: Any) -> float:
    """Return a number as a float; raise :class:`InputError` for anything else."""
    try:
        if isinstance(value, str | bool):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{field} takes a number, not {value!r}.") from None


def optional_number(field: str, value: Any) -> float | None:
    """Return a number as a float, or None."""
    return None if value is None else number(field, value)


def numbers(field: str, value: Any) -> tuple[float, ...]:
    """Return one number, or each of several.

    Raises:
        InputError: there are none, or one of them is not a number.
    """
    several = _several(field, value, number)
    if not several:
        raise InputError(f"{field} takes a number or several, and there is none.")
    return several


def names(field: str, value: Any) -> tuple[str, ...]:
    """Return one name, or each of several, or of none."""
    return (value,) if isinstance(value, str) else _several(field, value, _name)


def _name(field: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{field} takes a name or several, and {value!r} is not a name.")
    return value


def _several(field: str, value: Any, read: Callable[[str, Any], Value]) -> tuple[Value, ...]:
    is_scalar_array = getattr(value, "ndim", None) == 0  # which numpy says to be iterable
    if isinstance(value, Iterable) and not isinstance(value, str | bytes) and not is_scalar_array:
        return tuple(read(field, one) for one in value)
    return (read(field, value),)


def read_seeds(value: Any) -> Sequence[int]:
    """Return 0 to N-1 for a number N, or the seeds that are listed.

    Raises:
        InputError: it is neither, or a seed is negative, has more than 63 bits, or is listed twice.
    """
    if not isinstance(value, Iterable) or isinstance(value, str):
        return range(whole_number("seeds", value))
    listed = tuple(whole_number("seeds", seed, least=0) for seed in value)
    for seed in listed:
        if seed >= 2**MOST_BITS:
            raise InputError(f"seeds must be less than 2**{MOST_BITS}, and {seed} is not.")
        if listed.count(seed) > 1:
            raise InputError(f"seed {seed} is given twice: name it once.")
    return listed


def read_family(value: Any) -> Scope:
    """Return how far the families of verdicts reach; raise :class:`InputError` for an unknown word."""
    if value not in list(Scope):
        raise unknown_name("family", str(value), list(Scope))
    return Scope(value)


def read_device(value: Any, acceleration: Acceleration = WHERE_IT_PAYS, *, is_here: bool = True) -> str:
    """Return ``cpu``, ``cuda`` or ``cuda:N``; a ``torch.device`` is read too.

    Args:
        value: as given.
        acceleration: that trainings on it are asked for.
        is_here: whether it is one of this machine, which then has to have it.

    Raises:
        InputError: it is none of them, is not there, or cannot do what is asked for.
    """
    name = str(value)
    if not re.fullmatch(r"cpu|cuda(:[0-9]+)?", name):
        raise InputError(f"device takes cpu, cuda or cuda:N, not {name!r}.")
    (require_available if is_here else require_suitable)(acceleration, name)
    return name
