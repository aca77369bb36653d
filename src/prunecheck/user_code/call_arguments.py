"""Arguments that a user gives a function of theirs behind its name: ``net.py:build?depth=20&width=32``."""

import contextlib
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from prunecheck.errors import InputError

MARK, BETWEEN, IS = "?", "&", "="

NAMED = re.compile(r"(?P<base>[\w.]+:[\w.]+|.*?\.py:[^?]*)(\?(?P<given>.*))?", re.DOTALL)
"""What finds a function, and what it is called with. The first ``.py:`` counts: a value may have another."""

WORDS = {"true": True, "false": False, "none": None}

UNQUOTED = " /:+@-_.~()[]"
"""What stands in a value as it is; not commas, which stand between names in lists."""

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)

NOT_BY_NAME = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY)
"""Kinds of parameters that no name gives."""

Value = str | int | float | bool | None


def without_arguments(text: str) -> tuple[str, str | None]:
    """Return what finds a function, and the text of its arguments; None if there is none."""
    found = NAMED.fullmatch(text)
    return (found["base"], found["given"]) if found else (text, None)


def with_arguments(text: str, values: Mapping[str, Value]) -> str:
    """Return a text that finds a function, with arguments behind it."""
    return f"{text}{BETWEEN if MARK in text else MARK}{written(values)}" if values else text


def read_arguments(name: str, function: Any, given: str, supplied: Sequence[str]) -> dict[str, Value]:
    """Return arguments in the types that a function's signature asks for, sorted by name.

    A parameter whose annotation, or else default, is a number, a truth value or a text takes such a one; another one
    takes what the text looks like.

    Args:
        name: the function's, for the sentence.
        function: what is called.
        given: ``NAME=VALUE``, with ``&`` between them; a value may have ``%26`` for ``&``, as in addresses of the web.
        supplied: parameters that are given by prunecheck.

    Raises:
        InputError: the function takes no such argument, or not such a value; a part is not ``NAME=VALUE``.
    """
    if not callable(function):
        raise InputError(f"{name} is an object that is not called: leave {MARK}{given} out.")
    values: dict[str, Value] = {}
    for part in given.split(BETWEEN):
        key, is_given, value = part.partition(IS)
        if not is_given or not key.isidentifier():
            raise InputError(
                f"{part!r} in {name}{MARK}{given} is not NAME{IS}VALUE: write arguments as "
                f"{MARK}depth{IS}20{BETWEEN}width{IS}32."
            )
        if key in values:
            raise InputError(f"{name}{MARK}{given} gives {key} twice: give it once.")
        parameter = _parameter(name, function, key, supplied)
        values[key] = _value(name, function, parameter, unquote(value))
    return dict(sorted(values.items()))


def written(values: Mapping[str, Value]) -> str:
    """Return arguments as they are written behind a name, sorted: one call has one name."""
    return BETWEEN.join(f"{key}{IS}{_written(value)}" for key, value in sorted(values.items()))


def _written(value: Value) -> str:
    if isinstance(value, str):
        return quote(value, UNQUOTED)
    return next((word for word, meant in WORDS.items() if meant is value), repr(value))


def _parameter(name: str, function: Callable[..., Any], key: str, supplied: Sequence[str]) -> inspect.Parameter:
    parameters = inspect.signature(function).parameters
    found = parameters.get(key)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    if key in supplied:
        raise InputError(f"{key} is given to {name} by prunecheck: leave it out.")
    if found is not None and found.kind not in NOT_BY_NAME:
        return found
    if takes_any:
        return inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY)
    own = [other for other, one in parameters.items() if other not in supplied and one.kind not in NOT_BY_NAME]
    hint = f"its arguments are {', '.join(own)}." if own else "it has none."
    raise InputError(f"{name} has no argument {key}: {hint}")


def _value(name: str, function: Callable[..., Any], parameter: inspect.Parameter, text: str) -> Value:
    kinds = _kinds(function, parameter)
    readers: list[tuple[Callable[[str], Value], str]] = [READERS[kind] for kind in READERS if kind in kinds]
    for reader, _ in readers or [(_guessed, "")]:
        with contextlib.suppress(ValueError):
            return reader(text)
    what = " or ".join(what for _, what in readers) or "a number in range"
    raise InputError(f"the argument {parameter.name} of {name} is {what}, not {text!r}.")


def _kinds(function: Callable[..., Any], parameter: inspect.Parameter) -> tuple[Any, ...]:
    """Return the types of values that a parameter takes: those of its annotation, or that of its default.

    A default that is a whole number does not say that it must be one.
    """
    annotation = parameter.annotation
    if isinstance(annotation, str):  # as everywhere in a file with postponed annotations
        with contextlib.suppress(Exception):  # it may name what is there for type checkers alone
            annotation = eval(annotation, _names_known_to(function))
    is_union = isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union
    kinds = typing.get_args(annotation) if is_union else (annotation,)
    if any(kind in READERS for kind in kinds):
        return tuple(kinds)
    of_default = type(parameter.default)
    return (int, float) if of_default is int else () if parameter.default is None else (of_default,)


def _names_known_to(function: Callable[..., Any]) -> dict[str, Any]:
    function = inspect.unwrap(function)
    defined: Any = function.__init__ if inspect.isclass(function) else function
    return dict(getattr(inspect.unwrap(defined), "__globals__", {}))


def _truth(text: str) -> bool:
    value = WORDS.get(text.lower())
    if value is None:
        raise ValueError(text)
    return value


def _nothing(text: str) -> None:
    if text.lower() != "none":
        raise ValueError(text)


def _integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError(text)
    return int(text)


def _number(text: str) -> float:
    value = float(text) + 0.0 if NUMBER.fullmatch(text) else math.nan  # no -0
    if not math.isfinite(value):
        raise ValueError(text)
    return value


READERS: dict[Any, tuple[Callable[[str], Value], str]] = {
    bool: (_truth, "true or false"),
    int: (_integer, "a whole number"),
    float: (_number, "a number"),
    types.NoneType: (_nothing, "none"),
    str: (str, "a text"),
}
"""What reads a value of a type; what takes the fewest texts comes first."""


def _guessed(text: str) -> Value:
    """Return the number or word that a text looks like, else the text.

    Raises:
        ValueError: it looks like a number that is none of ours.
    """
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    if NUMBER.fullmatch(text):
        return _integer(text) if text.lstrip("+-").isdigit() else _number(text)
    return text
