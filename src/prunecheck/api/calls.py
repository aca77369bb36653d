"""A call as text, which says in a report how it was made."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

UNSAID = frozenset({"on_event", "on_ticket", "quiet"})
"""Arguments that change nothing of what is found."""


def call_text(function: Callable[..., Any], given: Mapping[str, Any]) -> str:
    """Return a call of a public function with the arguments that differ from their defaults.

    Args:
        function: one of :mod:`prunecheck`'s.
        given: all arguments, by name.
    """
    words = []
    for name, parameter in inspect.signature(function).parameters.items():
        value = given[name]
        if name in UNSAID or value is parameter.default or _is_equal(value, parameter.default):
            continue
        is_by_name = parameter.kind is parameter.KEYWORD_ONLY
        words.append(f"{name}={_value_text(value)}" if is_by_name else _value_text(value))
    return f"prunecheck.{function.__name__}({', '.join(words)})"


def _is_equal(value: Any, default: Any) -> bool:
    return type(value) is type(default) and isinstance(value, str | int | float | tuple) and bool(value == default)


def _value_text(value: Any) -> str:
    """Return what a person would have written; of an object its name."""
    if isinstance(value, list):
        return f"[{', '.join(map(_value_text, value))}]"
    if value is None or isinstance(value, str | int | float | tuple | range):
        return repr(value)
    name = getattr(value, "__qualname__", None) or getattr(value, "name", None)
    return str(name) if isinstance(name, str) and not isinstance(value, Path) else repr(str(value))
