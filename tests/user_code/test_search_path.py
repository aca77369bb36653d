"""Where what a user's file imports is looked for."""

import sys
from pathlib import Path

import pytest

from prunecheck.user_code import find_reference

METHOD = """
import wave
from helper import HELP

def score(model, batches):
    import colorsys
    from helper import HELP as again
    return wave.__file__, colorsys.__file__, HELP, again
"""

OWN = ("wave", "colorsys")
"""Modules of Python's that nothing here imports."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a method and its helper, in which other files have the names of Python's modules."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("helper", "package", *OWN):
        monkeypatch.delitem(sys.modules, name, raising=False)
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    for place in (tmp_path, package):
        (place / "mine.py").write_text(METHOD if place == tmp_path else METHOD.replace("from helper", "from .helper"))
        (place / "helper.py").write_text(f"HELP = '{place.name}'")
        for name in OWN:
            (place / f"{name}.py").write_text("raise ImportError('this is not the module you are looking for')")
    return tmp_path


@pytest.mark.parametrize("where", ["mine.py:score", "package/mine.py:score", "package.mine:score"])
def test_a_method_finds_what_lies_beside_it_and_pythons_own_where_that_has_their_names(
    where: str, folder: Path
) -> None:
    if where.startswith("package/"):  # as a file of its own, which has no package
        (folder / "package" / "mine.py").write_text(METHOD)
    *own, first, again = find_reference("method", where).value(None, None)
    assert {Path(file).parent for file in own} == {Path(sys.modules["os"].__file__ or "").parent}
    assert first == again == (folder.name if where == "mine.py:score" else "package")
