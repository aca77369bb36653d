import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import prunecheck

SOURCE = Path(prunecheck.__file__)


def in_a_fresh_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def imported_for_type_checkers() -> dict[str, str]:
    """Return the modules of the names that type checkers see, by name."""
    block = next(node for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.If))
    return {
        name.name: statement.module or ""
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for name in statement.names
    }


def test_what_type_checkers_see_is_what_is_there() -> None:
    seen = imported_for_type_checkers()
    assert sorted(seen) == sorted(prunecheck.__all__)
    for name, module in seen.items():
        assert getattr(prunecheck, name) is getattr(importlib.import_module(module), name)


def test_nothing_is_imported_before_it_is_used_and_all_names_are_listed() -> None:
    code = """
import sys
before = set(sys.modules)
import prunecheck
assert {name for name in set(sys.modules) - before if name.startswith("prunecheck")} == {"prunecheck"}
assert not {"torch", "numpy", "pandas", "rich", "IPython"} & set(sys.modules)
assert set(prunecheck.__all__) <= set(dir(prunecheck))
prunecheck.InputError
assert "torch" not in sys.modules
assert "InputError" in vars(prunecheck)
import prunecheck.audits.audit, prunecheck.runs.store, prunecheck.checks
assert callable(prunecheck.audit) and callable(prunecheck.run) and callable(prunecheck.check)
assert "IPython" not in sys.modules
"""
    in_a_fresh_process(code)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'snipp'"):
        _ = prunecheck.snipp  # type: ignore[attr-defined]
    with pytest.raises(ImportError):
        exec("from prunecheck import snipp")


def test_no_public_name_is_a_module_and_each_has_a_docstring() -> None:
    for name in prunecheck.__all__:
        item = getattr(prunecheck, name)
        assert callable(item), name
        assert (item.__doc__ or "").strip(), name
