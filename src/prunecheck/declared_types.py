"""What was read from disk, held against the types that the fields of its dataclass declare."""

import functools
import json
import math
import types
from collections.abc import Collection, Mapping
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
    if unknown := [name for name in values if name not in known]:
        raise ValueError(f"there is no field {unknown[0]} in a {kind.__name__}")
    for name, (declared, has_default) in known.items():
        if name not in values and not has_default and name not in but:
            raise ValueError(f"the field {name} is missing")
        if name in values and not is_declared(declared, values[name]):
            raise ValueError(f"the field {name} has a value of the wrong type")


@functools.cache
def _declared(kind: type) -> dict[str, tuple[Any, bool]]:
    """Return the type of each field, and whether it has a default."""
    hints = get_type_hints(kind)
    return {
        one.name: (hints[one.name], one.default is not MISSING or one.default_factory is not MISSING)
        for one in fields(kind)
    }


def is_declared(kind: Any, value: Any) -> bool:
    """Say whether a value is of a declared type; see :func:`require_declared`."""
    inner = get_args(kind)
    if get_origin(kind) in (Union, types.UnionType):
        return any(is_declared(one, value) for one in inner)
    if inner:
        return _are_declared(kind, inner, value)
    if kind in (int, float):
        numbers = (int,) if kind is int else (int, float)
        return isinstance(value, numbers) and not isinstance(value, bool) and math.isfinite(value)
    if issubclass(kind, StrEnum):
        return isinstance(value, str) and value in list(kind)
    return _has_declared(kind, value) if is_dataclass(kind) else isinstance(value, kind)


def _are_declared(kind: Any, inner: tuple[Any, ...], values: Any) -> bool:
    """Say so of a tuple or a dict and of what it holds."""
    if get_origin(kind) is dict:
        return isinstance(values, dict) and all(is_declared(inner[1], value) for value in values.values())
    if not isinstance(values, list | tuple):
        return False
    if inner[1:] == (Ellipsis,):
        return all(is_declared(inner[0], value) for value in values)
    return len(values) == len(inner) and all(map(is_declared, inner, values))


def _has_declared(kind: Any, values: Any) -> bool:
    try:
        if isinstance(values, dict):
            require_declared(kind, values)
    except ValueError:
        return False
    return isinstance(values, dict)
