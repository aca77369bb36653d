"""What the keys of a study file take, and how errors name the file, the line and the key."""

import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunecheck.errors import InputError
from prunecheck.registry import unknown_name
from prunecheck.studies.check_study import MOST_SEEDS
from prunecheck.studies.toml_lines import KeyPath, lines_of_keys

Reader = Callable[[Any], Any]
"""Returns the value of a key; raises ValueError, which completes "KEY takes ...", for what it does not take."""


@dataclass(frozen=True)
class StudyText:
    """A study file that is TOML."""

    file: Path
    content: dict[str, Any]
    lines: Mapping[KeyPath, int]

    @staticmethod
    def read(file: Path) -> "StudyText":
        """Read a file.

        Raises:
            InputError: it cannot be read, or it is not TOML; the line is named.
        """
        try:
            text = file.read_bytes().decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{file} is not a text in UTF-8: a study is a TOML file.") from error
        except OSError as error:
            raise InputError(f"{file} cannot be read ({error.strerror}): give the path of a study file.") from error
        try:
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputError(_not_toml(file, str(error))) from error
        except RecursionError as error:
            raise InputError(f"{file} is nested too deeply for a study: lists hold names and numbers.") from error
        return StudyText(file, content, lines_of_keys(text))

    def error(self, path: KeyPath, problem: str) -> InputError:
        """Return the error of the key at ``path``, or of the innermost table around it that has a line."""
        while path and path not in self.lines:
            path = path[:-1]
        where = f"{self.file}, line {self.lines[path]}" if path else str(self.file)
        return InputError(f"{where}: {problem}")

    @contextmanager
    def errors_at(self, path: KeyPath) -> Iterator[None]:
        """Name the key at ``path`` in an error of what its value stands for."""
        try:
            yield
        except InputError as error:
            raise self.error(path, f"{_spelled(path)}: {_with_keys_for_options(str(error))}") from error


def _not_toml(file: Path, message: str) -> str:
    found = re.search(r"\(at (?:line (\d+), column (\d+)|end of document)\)", message)
    problem = message[: found.start()].strip() if found else message
    where = f"{file}, line {found[1]}, column {found[2]}" if found and found[1] else f"{file}, at its end"
    return f'{where}: this is not TOML ({problem}): write KEY = VALUE, names in quotes, lists as ["snip", "grasp"].'


def _spelled(path: KeyPath) -> str:
    """Return a key as its error names it: with the tables around it, but not those of ``[[include]]``."""
    if path[:1] in (("include",), ("exclude",)) and len(path) > 2:
        path = path[2:]
    return ".".join(str(part) for part in path if isinstance(part, str))


def _with_keys_for_options(text: str) -> str:
    """Name in an error the key of a study where it names the command line's option for the same."""
    return re.sub(r"--([a-z]+(?:-[a-z]+)*)", lambda found: found[1].replace("-", "_"), text)


@dataclass(frozen=True)
class Keys:
    """The keys of one table of the file, with their values read.

    Attributes:
        path: of the table.
    """

    text: StudyText
    path: KeyPath
    values: Mapping[str, Any]

    @staticmethod
    def read(text: StudyText, path: KeyPath, table: Any, readers: Mapping[str, Reader]) -> "Keys":
        """Read a table.

        Raises:
            InputError: it is not a table, has an unknown key, or a value that its key does not take.
        """
        if not isinstance(table, dict):
            raise text.error(path, f"{_spelled(path)} takes a table, not {shown(table)}.")
        values = {}
        for key, value in table.items():
            if key not in readers:
                raise text.error((*path, key), str(unknown_name("key", key, readers)))
            try:
                values[key] = readers[key](value)
            except ValueError as error:
                raise text.error((*path, key), f"{_spelled((*path, key))} takes {error}") from error
        return Keys(text, path, values)


def shown(value: Any) -> str:
    """Return a value and its kind in a few words."""
    kinds: dict[type, str] = {str: "the string", bool: "the boolean", dict: "a table", list: "the list"}
    kind = kinds.get(type(value), "the number" if isinstance(value, int | float) else "the date")
    text = repr(value).replace("'", '"') if not isinstance(value, bool) else str(value).lower()
    return kind if isinstance(value, dict) else f"{kind} {text if len(text) <= 40 else text[:37] + '...'}"


def name(value: Any) -> str:
    """Read a string with something in it."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"a string, not {shown(value)}.")
    return value


def _list(value: Any, of: str, example: str, read: Callable[[Any], Any], may_be_empty: bool = False) -> tuple[Any, ...]:
    takes = f"a list of {of}, such as {example}"
    if not isinstance(value, list):
        raise ValueError(f"{takes}, not {shown(value)}.")
    if not value and not may_be_empty:
        raise ValueError(f"{takes}, and this one is empty.")
    items = []
    for item in value:
        try:
            items.append(read(item))
        except ValueError as error:
            raise ValueError(f"{takes}, and {shown(item)} is none.") from error
        if items.count(items[-1]) > 1:
            raise ValueError(f"{takes}, and {shown(item)} is given twice.")
    return tuple(items)


def names(example: str, may_be_empty: bool = False) -> Reader:
    """Return the reader of a list of names."""
    return lambda value: _list(value, "names", example, name, may_be_empty)


def whole_number(least: int = 1, below: int = 2**63) -> Reader:
    """Return the reader of a whole number that is at least ``least`` and less than ``below``."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < below:
            raise ValueError(f"a whole number, at least {least}, not {shown(value)}.")
        return value

    return read


def number(least: float, below: float, is_open: bool = False) -> Reader:
    """Return the reader of a number that is at least ``least``, or more than it, and less than ``below``."""

    def read(value: Any) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not (least < value if is_open else least <= value) or not value < below:
            first = f"more than {least:g}" if is_open else f"at least {least:g}"
            last = "finite" if below == math.inf else f"less than {below:g}"
            raise ValueError(f"a number, {first} and {last}, not {shown(value)}.")
        return float(value)

    return read


def whole_numbers(example: str, least: int = 1) -> Reader:
    """Return the reader of a list of whole numbers."""
    return lambda value: _list(value, f"whole numbers, at least {least}", example, whole_number(least))


def sparsities(value: Any) -> tuple[float, ...]:
    """Read a list of sparsities."""
    of = "numbers, at least 0 and less than 1"
    return _list(value, of, "[0.9, 0.98]", number(0, 1))


def milestones(value: Any) -> tuple[int, ...]:
    """Read epochs, in any order; there may be none."""
    of = "epochs, counted from 0"
    return tuple(sorted(_list(value, of, "[80, 120]", whole_number(0), may_be_empty=True)))


def seeds(value: Any) -> "tuple[int, ...] | range":
    """Read how many seeds there are, from 0, or a list of them."""
    takes = f"how many seeds, from 1 to {MOST_SEEDS:,}, or a list of them, such as [0, 1, 2]"
    if isinstance(value, list):
        if not 0 < len(value) <= MOST_SEEDS:
            raise ValueError(f"{takes}, and this list has {len(value):,}.")
        if repeated := len(value) - len(set(map(repr, value))):
            raise ValueError(f"{takes}, and {repeated} of this list stand twice.")
        try:
            return tuple(map(whole_number(0), value))
        except ValueError as error:
            raise ValueError(f"{takes}, and one of these is not a whole number from 0 on.") from error
    try:
        return range(whole_number(1, MOST_SEEDS + 1)(value))
    except ValueError as error:
        raise ValueError(f"{takes}, not {shown(value)}.") from error
