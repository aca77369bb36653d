import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest

from prunecheck.api.results import load_results
from prunecheck.data import DataPlaces, load_dataset
from prunecheck.data.contact_sheet import contact_sheet
from prunecheck.data.download import fetch
from prunecheck.data.public_datasets import PUBLISHED
from prunecheck.errors import InputError
from prunecheck.extras import extra

EXTRAS = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def read_images(folder: Path) -> object:
    for part in ("train", "test"):
        for name in ("a", "b"):
            (folder / "set" / part / name).mkdir(parents=True)
            (folder / "set" / part / name / "1.png").write_bytes(b"not looked at")
    return load_dataset(f"folder:{folder / 'set'}", DataPlaces((), folder / "cache"))


def draw_images(_: Path) -> object:
    return contact_sheet(load_dataset("digits"), [], seed=0)


def get_a_data_set(folder: Path) -> object:
    return fetch(next(iter(PUBLISHED.values())), folder)


def table_of_results(folder: Path) -> object:
    return load_results(folder)


@pytest.mark.parametrize(
    ("use", "module", "package", "name"),
    [
        (read_images, "PIL", "pillow", "images"),
        (draw_images, "PIL", "pillow", "images"),
        (get_a_data_set, "pooch", "pooch", "download"),
        (table_of_results, "pandas", "pandas", "pandas"),
    ],
)
def test_a_missing_package_is_named_with_what_installs_it_before_anything_is_made(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    use: Callable[[Path], object],
    module: str,
    package: str,
    name: str,
) -> None:
    for loaded in [one for one in sys.modules if one.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"needs {module}, .*pip install 'prunecheck\[{name}\]'\.$"):
        use(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {"set", "cache"}
    assert any(re.match(rf"{package}\b", one) for one in EXTRAS[name])


def test_what_is_missing_otherwise_is_not_taken_for_an_extra() -> None:
    with pytest.raises(ImportError, match="no_such_name"), extra("images", "this"):
        from numpy import no_such_name  # type: ignore[attr-defined] # noqa: F401
    with extra("images", "this"):
        assert numpy.ones(1).sum() == 1
