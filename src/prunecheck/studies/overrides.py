"""Keys of a study file that are given beside it: ``seeds=10``, ``sparsities=0.9,0.98``, ``recipe.short.epochs=20``."""

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from prunecheck.errors import InputError, field_name
from prunecheck.studies.toml_lines import KeyPath

LISTS = ("methods", "datasets", "models", "widths", "recipes", "sparsities", "checks", "prunable", "keep_dense")
"""Keys that take a list, of which one value may be given by itself."""

NONE = "none"
"""The checks that are no checks."""


def read_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """Return the values of texts ``KEY=VALUE`` by key; values are TOML, or names, with commas between several.

    Raises:
        InputError: a text is not ``KEY=VALUE``, or a key is given twice.
    """
    given: dict[str, Any] = {}
    for text in texts:
        key, sign, value = (part.strip() for part in text.partition("="))
        if not (sign and key and value):
            raise InputError(f"{field_name('set')} takes KEY=VALUE, such as seeds=10, not {text!r}.", field="set")
        if key in given:
            raise InputError(f"{field_name('set')} gives {key} twice: give it once.", field="set")
        given[key] = _value(value)
    return given


def overridden(content: dict[str, Any], given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[KeyPath, str]]:
    """Return the content of a study file with other values, and where these stand.

    Args:
        content: of the file, which is left as it is.
        given: values by key; keys of tables have points in them.

    Raises:
        InputError: a key is not one of TOML, or is in something that is no table.
    """
    places: dict[KeyPath, str] = {}
    for key, value in given.items():
        path = _path(key)
        content = _with(content, path, _listed(path[-1], value), key)
        places[path] = key
    return content, places


def _value(text: str) -> Any:
    """Return what a text says in TOML, or else the names in it."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        parts = [part.strip() for part in text.split(",")]
        return text if len(parts) == 1 else [_value(part) for part in parts]


def _listed(key: str, value: Any) -> Any:
    if key == "checks" and value in (NONE, [NONE], (NONE,)):
        return []
    if isinstance(value, tuple):
        return list(value)
    return [value] if key in LISTS and not isinstance(value, list) else value


def _path(key: str) -> tuple[str, ...]:
    try:
        nested = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"{field_name('set')} takes keys of study files, such as seeds or recipe.NAME.epochs, not {key!r}.",
            field="set",
        ) from error
    path: list[str] = []
    inner: Any = nested
    while isinstance(inner, dict):
        ((name, inner),) = inner.items()
        path.append(name)
    return tuple(path)


def _with(table: Mapping[str, Any], path: tuple[str, ...], value: Any, key: str) -> dict[str, Any]:
    first, *others = path
    if not others:
        return {**table, first: value}
    inner = table.get(first, {})
    if not isinstance(inner, dict):
        raise InputError(
            f"{field_name('set')} {key}: {first} is not a table in this study, so that nothing can be said in it: give "
            "a key at the top, or of a [recipe.NAME] or [dataset.NAME].",
            field="set",
        )
    return {**table, first: _with(inner, tuple(others), value, key)}
