"""Nothing below the command line and the published scripts knows how an option or a key of a study file is spelled."""

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from cyclopts import App

import prunecheck
from prunecheck.cli.main import build_app
from prunecheck.studies.study_keys import KEY_OF

ROOT = Path(prunecheck.__file__).parent

Argument = tuple[str, tuple[str, ...]]
"""As Python names it, and as the command line does."""

FRONT_ENDS = ("cli", "paper/scripts")

FILES = [
    file
    for file in sorted(ROOT.rglob("*.py"))
    if not file.relative_to(ROOT).as_posix().startswith(tuple(f"{folder}/" for folder in FRONT_ENDS))
]


def options_of(app: App) -> Iterator[Argument]:
    """Yield each argument of each command."""
    for name in app:
        if not name.startswith("-"):
            yield from options_of(app[name])
    if app.default_command:
        for argument in app.assemble_argument_collection():
            yield argument.field_info.name, argument.names


@pytest.fixture(scope="module")
def arguments() -> Sequence[Argument]:
    return list(options_of(build_app()))


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def test_no_option_is_named(arguments: Sequence[Argument]) -> None:
    options = {name for _, names in arguments for name in names if name.startswith("--")}
    assert {"--out", "--train-images", "--no-sparse-convolutions"} <= options
    word = re.compile(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*")
    named = {name_of(file): set(word.findall(file.read_text(encoding="utf-8"))) & options for file in FILES}
    assert {file: found for file, found in named.items() if found} == {}


def fields_named_in(file: Path) -> Iterator[str]:
    """Yield the fields that a file's errors are about, or name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            given = node.args if node.func.id == "field_name" else [k.value for k in node.keywords if k.arg == "field"]
            if node.func.id in {"field_name", "InputError"}:
                yield from (str(value.value) for value in given if isinstance(value, ast.Constant) and value.value)


def test_errors_name_fields_that_front_ends_spell(arguments: Sequence[Argument]) -> None:
    known = {field for field, _ in arguments} | set(KEY_OF)
    named = {field: file.name for file in FILES for field in fields_named_in(file)}
    assert {"workers", "out", "scheduler"} <= set(named)
    assert {field: file for field, file in named.items() if field not in known} == {}


def test_no_text_of_a_wrong_input_is_searched_or_rewritten() -> None:
    found = {name_of(file): list(searching_handlers(file)) for file in sorted(ROOT.rglob("*.py"))}
    assert {file: lines for file, lines in found.items() if lines} == {}


def searching_handlers(file: Path) -> Iterator[int]:
    """Yield the lines of what handles wrong input and looks into its text."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for handler in ast.walk(tree):
        if not (isinstance(handler, ast.ExceptHandler) and handler.name and _is_input_error(handler.type)):
            continue
        for node in ast.walk(handler):
            if isinstance(node, ast.Attribute | ast.Compare | ast.Call):
                inner = [node.value] if isinstance(node, ast.Attribute) else _searched(node)
                if any(_is_text_of(handler.name, one) for one in inner if node_searches(node)):
                    yield handler.lineno


def _is_input_error(kind: ast.expr | None) -> bool:
    return isinstance(kind, ast.Name) and kind.id == "InputError"


def node_searches(node: ast.AST) -> bool:
    """Say whether a node looks into a text or changes it, but for the full stop at its end."""
    return not isinstance(node, ast.Attribute) or node.attr in {"replace", "partition", "split", "startswith", "find"}


def _searched(node: ast.Compare | ast.Call) -> list[ast.expr]:
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    return node.args if isinstance(node.func, ast.Attribute) and node.func.attr in {"sub", "search", "match"} else []


def _is_text_of(error: str, node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "str"
        and any(isinstance(argument, ast.Name) and argument.id == error for argument in node.args)
    )
