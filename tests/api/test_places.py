import os
from pathlib import Path

import pytest

from prunecheck.api.places import data_places, user_cache
from prunecheck.errors import InputError


@pytest.fixture(autouse=True)
def _bare_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CACHE_HOME", "PRUNECHECK_DATA"):
        monkeypatch.delenv(name, raising=False)


def test_without_anything_said_there_is_only_the_cache(tmp_path: Path) -> None:
    places = data_places(None)
    assert places.roots == ()
    assert places.cache == tmp_path / "home" / ".cache" / "prunecheck"


def test_the_option_comes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNECHECK_DATA", os.pathsep.join(["/one", "", "~/two"]))
    assert data_places(None).roots == (Path("/one"), tmp_path / "home" / "two")
    assert data_places(tmp_path).roots == (tmp_path, Path("/one"), tmp_path / "home" / "two")


@pytest.mark.parametrize("name", ["none", "file"])
def test_an_option_that_names_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=f"data_root takes a folder .* {tmp_path / name} is not"):
        data_places(tmp_path / name)


def test_the_cache_is_where_the_user_has_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert user_cache() == Path("/caches/prunecheck")
    for ignored in ("relative", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert user_cache() == tmp_path / "home" / ".cache" / "prunecheck"
