"""A locale is the user's: what the package writes and reads as text is UTF-8 in every one."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import prunecheck

SOURCES = Path(prunecheck.__file__).parent

TEXT_METHODS = {"read_text", "write_text"}
PROCESSES = {"run", "Popen", "check_output", "check_call", "call"}
OTHER_OPENS = {("os", "open"), ("Image", "open"), ("tarfile", "open"), ("zipfile", "open")}
OTHER_OPENS |= {("archive", "open"), ("folder", "open")}
"""Calls of this name that open no file as text: a descriptor, an archive, an image, a run's folder."""


def is_binary(call: ast.Call, position: int) -> bool:
    modes = [keyword.value for keyword in call.keywords if keyword.arg == "mode"] or call.args[position : position + 1]
    return any("b" in str(node.value) for mode in modes for node in ast.walk(mode) if isinstance(node, ast.Constant))


def opens_text_in_the_locale(call: ast.Call) -> bool:
    """Say whether a call takes the locale's encoding."""
    if any(keyword.arg == "encoding" for keyword in call.keywords):
        return False
    if isinstance(call.func, ast.Name):
        return call.func.id == "open" and not is_binary(call, 1)
    if not isinstance(call.func, ast.Attribute):
        return False
    name = call.func.attr
    owner = call.func.value.id if isinstance(call.func.value, ast.Name) else ""
    if name == "open":
        return (owner, name) not in OTHER_OPENS and owner != "opened" and not is_binary(call, 0)
    if name in PROCESSES and owner == "subprocess":
        return any(keyword.arg in ("text", "universal_newlines") for keyword in call.keywords)
    # The one argument of read_text is the encoding, or it is another object's that reads UTF-8.
    return (
        (name in TEXT_METHODS and not (name == "read_text" and call.args))
        or (name == "fdopen" and not is_binary(call, 1))
        or name == "NamedTemporaryFile"
    )


def calls_in(text: str) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))


def test_no_file_is_opened_in_the_locales_encoding() -> None:
    found = [
        f"{file.relative_to(SOURCES)}:{call.lineno}"
        for file in sorted(SOURCES.rglob("*.py"))
        for call in calls_in(file.read_text(encoding="utf-8"))
        if opens_text_in_the_locale(call)
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "open(p)",
        "open(p, 'w')",
        "p.open()",
        "p.open('a')",
        "(a / b).read_text()",
        "p.write_text('x')",
        "subprocess.run(c, text=True)",
        "os.fdopen(1, 'w')",
    ],
)
def test_what_would_be_found(code: str) -> None:
    (call,) = calls_in(code)
    assert opens_text_in_the_locale(call)


@pytest.mark.parametrize(
    "code",
    [
        "open(p, 'rb')",
        "p.open('ab')",
        "p.open('ab' if more else 'wb')",
        "p.read_text(encoding='utf-8')",
        "os.open(p, 0)",
        "os.fdopen(1, 'rb')",
        "subprocess.run(c)",
    ],
)
def test_what_would_not_be_found(code: str) -> None:
    (call,) = calls_in(code)
    assert not opens_text_in_the_locale(call)
