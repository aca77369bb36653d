"""On which line of a TOML file each key stands, which ``tomllib`` does not tell."""

import tomllib
from collections.abc import Iterator
from typing import Any

KeyPath = tuple[str | int, ...]
"""Keys from the outermost to the innermost, with a number, from 0, for each table of an array of tables."""


def lines_of_keys(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, on which each key and table of a TOML document begins.

    Args:
        text: a whole document that ``tomllib`` reads without an error.
    """
    lines: dict[KeyPath, int] = {}
    tables: dict[KeyPath, int] = {}
    prefix: KeyPath = ()
    for line, statement in _statements(text):
        content = tomllib.loads(statement)
        if not statement.lstrip().startswith("["):
            lines |= {prefix + path: line for path in _paths(content)}
            continue
        prefix = _open_table(content, tables)
        for end in range(1, len(prefix) + 1):
            lines.setdefault(prefix[:end], line)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield each statement, a header or a key with its value, and the line on which it begins."""
    rest = text.replace("\r\n", "\n").split("\n")
    begin = 0
    while begin < len(rest):
        if not rest[begin].strip() or rest[begin].lstrip().startswith("#"):
            begin += 1
            continue
        end = begin + 1
        while end < len(rest) and not _is_whole("\n".join(rest[begin:end])):
            end += 1
        yield begin + 1, "\n".join(rest[begin:end])
        begin = end


def _is_whole(statement: str) -> bool:
    """Say whether a statement that began is at its end, and not within an array or a string."""
    try:
        tomllib.loads(statement)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _open_table(content: dict[str, Any], tables: dict[KeyPath, int]) -> KeyPath:
    """Return the path that a header opens; ``tables`` counts those of each array so far."""
    path: KeyPath = ()
    inner: Any = content
    while inner:
        (key,) = inner
        path, inner = (*path, key), inner[key]
        if isinstance(inner, list):
            tables[path] = tables.get(path, 0) + 1
            inner = inner[0]
        if path in tables:
            path = (*path, tables[path] - 1)
    return path


def _paths(value: Any) -> Iterator[KeyPath]:
    """Yield the path of every key in a value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield (key,)
        yield from ((key, *path) for path in _paths(inner))
