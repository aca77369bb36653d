"""The keys of a study file: their values read, and how errors name the file, the line and the key."""

import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from prunecheck.constraints import Constraint, Name, shown
from prunecheck.errors import InputError, field_name
from prunecheck.plain_files import read_plain_text
from prunecheck.registry import unknown_name
from prunecheck.studies.overrides import overridden
from prunecheck.studies.question import QUESTION
from prunecheck.studies.study_paths import WITH_PATHS, placed_values
from prunecheck.studies.toml_lines import KeyPath, lines_of_keys
from prunecheck.training.recipe import RECIPE
from prunecheck.user_code import with_arguments

Constraints = Mapping[str, Constraint[Any]]
"""Per key, what it takes."""

KEY_OF: Mapping[str, str] = {
    **{field: field for field in (*QUESTION, *RECIPE, "baseline", "margin", "metric")},
    "method": "methods",
    "dataset": "datasets",
    "model": "models",
    "width": "widths",
    "sparsity": "sparsities",
    "recipe": "recipes",
}
"""Per field, how a study file spells it: in the plural where it has a list of them."""


@dataclass(frozen=True)
class Unread(Constraint[object]):
    """What is read later, with what it stands for."""

    takes = "a value"

    def read(self, value: object) -> object:
        """Return the value."""
        return value


CODE = "code"
"""In a table that stands for a name, what finds the function; the other keys are its arguments."""


@dataclass(frozen=True)
class NameOrTable(Constraint[str]):
    """A name, or a table that names code of users and has its arguments: ``{code = "my.py:score", alpha = 0.5}``."""

    takes = "a name"

    def read(self, value: object) -> str:
        """Return the name; of a table the text that says the same, ``my.py:score?alpha=0.5``.

        Raises:
            InputError: the table names no code, or an argument is no number, truth value or text.
        """
        if not isinstance(value, dict):
            return Name().read(value)
        arguments = {key: argument for key, argument in value.items() if key != CODE}
        code = value.get(CODE)
        is_plain = all(isinstance(argument, str | int | float) for argument in arguments.values())
        if not isinstance(code, str) or not code.strip() or not is_plain:
            example = '{code = "my.py:score", alpha = 0.5}, with arguments that are numbers, texts, true or false'
            raise InputError(f"a table in the place of a name is written {example}, not {shown(value)}.")
        return with_arguments(code, arguments)


@dataclass(frozen=True)
class StudyText:
    """A study file that is TOML.

    Attributes:
        given: where values stand that were given beside the file, and their keys as they were written.
    """

    file: Path
    content: dict[str, Any]
    lines: Mapping[KeyPath, int]
    given: Mapping[KeyPath, str] = field(default_factory=dict)

    @staticmethod
    def read(file: Path, given: Mapping[str, Any] = MappingProxyType({})) -> "StudyText":
        """Read a file.

        Args:
            file: TOML.
            given: values by key, in the place of those in the file; see :mod:`prunecheck.studies.overrides`.

        Raises:
            InputError: it cannot be read, or it is not TOML, and the line is named; or a key that is given is wrong.
        """
        try:
            text = read_plain_text(file)
        except UnicodeDecodeError:
            raise InputError(f"{file} is not a text in UTF-8: a study is a TOML file.") from None
        except IsADirectoryError:
            raise InputError(
                f"{file} is a folder: give the path of a study file, or see what became of the runs in it with "
                f"`{shlex.join(['prunecheck', 'status', str(file)])}`."
            ) from None
        except OSError as error:
            raise InputError(f"{file} cannot be read ({error.strerror}): give the path of a study file.") from error
        try:
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputError(_not_toml(file, str(error))) from error
        except RecursionError:
            raise InputError(f"{file} is nested too deeply for a study: lists hold names and numbers.") from None
        content, places = overridden(content, given)
        return StudyText(file, content, lines_of_keys(text), places)

    def error(self, path: KeyPath, problem: str | InputError) -> InputError:
        """Return the error of the key at ``path``, or of the innermost table around it that has a line."""
        while path and path not in self.lines and path not in self.given:
            path = path[:-1]
        if path in self.given:
            where = f"{field_name('set')} {self.given[path]}"
        else:
            where = f"{self.file}, line {self.lines[path]}" if path else str(self.file)
        return (InputError(problem) if isinstance(problem, str) else problem).within(where)

    @contextmanager
    def errors_at(self, path: KeyPath) -> Iterator[None]:
        """Name the key at ``path`` in an error of what its value stands for."""
        try:
            yield
        except InputError as error:
            spelled = error.spelled(KEY_OF.get)
            # What was given beside the file is named by its key, and not twice.
            named = spelled if path in self.given else spelled.within(_spelled(path))
            raise self.error(path, named) from error.__cause__


def _not_toml(file: Path, message: str) -> str:
    found = re.search(r"\(at (?:line (\d+), column (\d+)|end of document)\)", message)
    problem = message[: found.start()].strip() if found else message
    where = f"{file}, line {found[1]}, column {found[2]}" if found and found[1] else f"{file}, at its end"
    yaml = ", not in YAML" if file.suffix.lower() in (".yaml", ".yml") else ""
    how = 'KEY = VALUE, names in quotes, lists as ["snip", "grasp"]'
    return f"{where}: this is not TOML ({problem}), which studies are written in{yaml}: write {how}."


def _spelled(path: KeyPath) -> str:
    """Return a key as its error names it: with the tables around it, but not those of ``[[include]]``."""
    if path[:1] in (("include",), ("exclude",)) and len(path) > 2:
        path = path[2:]
    return ".".join(str(part) for part in path if isinstance(part, str))


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
    def read(text: StudyText, path: KeyPath, table: Any, constraints: Constraints) -> "Keys":
        """Read a table.

        Raises:
            InputError: it is not a table, has an unknown key, or a value that its key does not take.
        """
        if not isinstance(table, dict):
            raise text.error(path, f"{_spelled(path)} takes a table, not {shown(table)}.")
        values = {}
        for key, value in table.items():
            if key not in constraints:
                raise text.error((*path, key), unknown_name("key", key, constraints, lists_all=False))
            try:
                values[key] = constraints[key].require(key, value)
                if key in WITH_PATHS and (*path, key) not in text.given:
                    values[key] = placed_values(values[key], text.file.parent)
            except InputError as error:
                raise text.error((*path, key), error.spelled({key: _spelled((*path, key))}.get)) from error
        return Keys(text, path, values)
