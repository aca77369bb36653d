"""A call as text, which says in a report how it was made."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

UNSAID = frozenset({"on_event", "on_ticket", "quiet"})
"""Arguments that change nothing of what is found."""


LONGEST_VALUE = 60
"""Characters of an object that is shown as it prints."""


def call_text(function: Callable[..., Any], given: Mapping[str, Any]) -> str:
    """Return a call of a public function with the arguments that differ from their defaults.

    Args:
        function: one of :mod:`prunecheck`'s.
        given: all arguments, by name.
    """
    words = []
    for name, parameter in inspect.signature(function).parameters.items():
        value = given[name]
        if parameter.kind is parameter.VAR_KEYWORD:
            words += [f"{other}={_value_text(one)}" for other, one in value.items() if other not in UNSAID]
            continue
        if name in UNSAID or value is parameter.default or _is_equal(value, parameter.default):
            continue
        is_by_name = parameter.kind is parameter.KEYWORD_ONLY
        words.append(f"{name}={_value_text(value)}" if is_by_name else _value_text(value))
    return f"prunecheck.{function.__name__}({', '.join(words)})"


def _is_equal(value: Any, default: Any) -> bool:
    return type(value) is type(default) and isinstance(value, str | int | float | tuple) and bool(value == default)


def _value_text(value: Any) -> str:
    """Return what a person would have written; of an object its name, or else its type."""
    if isinstance(value, list | tuple):
        inner = ", ".join(map(_value_text, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key!r}: {_value_text(one)}' for key, one in value.items())}}}"
    if value is None or isinstance(value, str | int | float | range):
        return repr(value)
    if isinstance(value, Path):
        return repr(str(value))
    name = getattr(value, "__qualname__", None) or getattr(value, "name", None)
    return name if isinstance(name, str) else _kind_text(value)


def _kind_text(value: Any) -> str:
    """Return an object that prints in one short line as it prints, another one as its type."""
    text = str(value)
    is_short = "\n" not in text and len(text) <= LONGEST_VALUE and " at 0x" not in text
    return repr(text) if is_short else type(value).__name__
