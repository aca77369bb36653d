"""What was read from disk, held against the types that the fields of its dataclass declare."""

import functools
import json
import sys
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

LEFT_OUT_AT_DEFAULT = {"left out at default": True}
"""Metadata of a field that came later: where it has its default, it is neither written nor hashed."""


def json_of(text: str) -> dict[str, Any]:
    """Return the object that a text holds as JSON; raise :class:`ValueError` if it holds another thing, or none."""
    try:
        values = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(values, dict):
        raise ValueError("it is not a JSON object")
    return values


def require_declared(kind: type, values: Mapping[str, Any], but: Collection[str] = ()) -> None:
    """Raise :class:`ValueError` unless values are those of a dataclass's fields, as JSON gives them.

    A whole number is taken for a float, a list for a tuple, and a text for an enumeration of texts that has it. Numbers
    are finite, and truth values are not numbers.

    Args:
        kind: the dataclass.
        values: by field; those with a default may be missing.
        but: fields that are not looked at.
    """
    known = _declared(kind)
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"there is no field {name} in a {kind.__name__}")
        if not known[name][0](value):
            raise ValueError(f"the field {name} has a value of the wrong type")
    if len(values) < len(known):
        for name, (_, has_default) in known.items():
            if name not in values and not has_default and name not in but:
                raise ValueError(f"the field {name} is missing")


Test = Callable[[Any], bool]
"""Says whether a value is of a type."""


@functools.cache
def _declared(kind: type) -> dict[str, tuple[Test, bool]]:
    """Return the test of each field's type, and whether it has a default."""
    hints = get_type_hints(kind)
    return {
        one.name: (test_of(hints[one.name]), one.default is not MISSING or one.default_factory is not MISSING)
        for one in fields(kind)
    }


@functools.cache
def test_of(kind: Any) -> Test:
    """Return what says whether a value is of a declared type; see :func:`require_declared`.

    It is made once for each type: thousands of files are read at a time.
    """
    inner = get_args(kind)
    if exact := _exact_types(kind):
        return lambda value: type(value) in exact
    if inner:
        return _test_of_values(kind, inner)
    if kind is float:
        return _is_number
    if issubclass(kind, StrEnum):
        members = {str(member) for member in kind}
        return lambda value: isinstance(value, str) and value in members
    if is_dataclass(kind):
        return lambda value: isinstance(value, dict) and _has_declared(kind, value)
    return lambda value: isinstance(value, kind)


EXACT = (int, str, bool, types.NoneType)
"""Types of which a value in JSON is, or is not, at a look at its type: true and false are no numbers."""

SEQUENCES = (list, tuple)

UNIONS = (Union, types.UnionType)


def _exact_types(kind: Any) -> frozenset[type]:
    """Return the types of :data:`EXACT` that a declared type allows; none if it allows others, too."""
    allowed = get_args(kind) if get_origin(kind) in UNIONS else (kind,)
    return frozenset(allowed) if all(one in EXACT for one in allowed) else frozenset()


def _is_number(value: Any) -> bool:
    # Whole ones may be larger than any float, and math.isfinite raises there.
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _test_of_values(kind: Any, inner: tuple[Any, ...]) -> Test:
    """Return the test of one of several types, or of a tuple or a dict and of what it holds."""
    if get_origin(kind) in UNIONS:
        tests = tuple(map(test_of, inner))
        return lambda value: any(test(value) for test in tests)
    if get_origin(kind) is dict:
        of_value = test_of(inner[1])
        return lambda values: isinstance(values, dict) and all(map(of_value, values.values()))
    if inner[1:] == (Ellipsis,):
        of_each = test_of(inner[0])
        return lambda values: isinstance(values, SEQUENCES) and all(map(of_each, values))
    if all(one in EXACT for one in inner):  # the layers of thousands of networks have two whole numbers each
        listed = list(inner)
        return lambda values: isinstance(values, SEQUENCES) and list(map(type, values)) == listed
    tests = tuple(map(test_of, inner))
    return lambda values: (
        isinstance(values, SEQUENCES)
        and len(values) == len(tests)
        and all(test(value) for test, value in zip(tests, values, strict=True))
    )


def _has_declared(kind: Any, values: Mapping[str, Any]) -> bool:
    try:
        require_declared(kind, values)
    except ValueError:
        return False
    return True
