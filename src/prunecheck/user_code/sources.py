"""The source of objects, also of those that were typed into a notebook."""

import ast
import dis
import inspect
import linecache
import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any


def file_of_module(name: str) -> str | None:
    """Return the absolute path of the file of an imported module; None if it lies in no file."""
    file = getattr(sys.modules.get(name), "__file__", None)
    return os.path.abspath(file) if isinstance(file, str) and Path(file).is_file() else None  # noqa: PTH100 - links left in


def is_importable(item: Any) -> bool:
    """Say whether an object is what a module that is not ``__main__`` defines under its name."""
    module, name = getattr(item, "__module__", None), getattr(item, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__":
        return False
    return module in sys.modules and attribute_of(sys.modules[module], name) is item


def attribute_of(module: ModuleType, name: str) -> Any:
    """Return what a dotted name means in a module; None if it means nothing."""
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def source_of(function: Any) -> str | None:
    """Return the source of a function, without its indentation; None if there is none, or it is of another version.

    Of a lambda it is the expression alone, whatever else stands in its line.
    """
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType) or (Path(code.co_filename).is_file() and not is_current(code)):
        return None
    if code.co_name == "<lambda>":
        return _source_of_lambda(code)
    try:
        return textwrap.dedent(inspect.getsource(code))
    except (OSError, TypeError, SyntaxError):
        return None


def _source_of_lambda(code: CodeType) -> str | None:
    text = "".join(linecache.getlines(code.co_filename))
    places = set(code.co_positions())
    try:
        lambdas = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Lambda)]
    except SyntaxError:
        return None
    for node in lambdas:
        body = node.body
        if (body.lineno, body.end_lineno, body.col_offset, body.end_col_offset) in places:
            return ast.get_source_segment(text, node)
    return None


def is_current(code: CodeType) -> bool:
    """Say whether a function's code is what its file holds now."""
    file = Path(code.co_filename)
    try:
        compiled = compile(file.read_bytes(), code.co_filename, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        return False
    return any(inner == code for inner in _nested(compiled))


def globals_named_by(code: CodeType) -> set[str]:
    """Return the global names that code, and the functions and classes in it, read."""
    return {
        str(instruction.argval)
        for inner in _nested(code)
        for instruction in dis.get_instructions(inner)
        if instruction.opname in {"LOAD_GLOBAL", "LOAD_NAME"}
    }


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)
