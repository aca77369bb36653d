"""Where commands and Python look for data sets: ``data_root``, the environment, the user's cache."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from prunecheck.errors import InputError, field_name

if TYPE_CHECKING:
    from prunecheck.data import DataPlaces

DATA_VARIABLE = "PRUNECHECK_DATA"
"""Names folders that hold data sets, separated as those of ``PATH`` are."""


def data_places(data_root: Path | None) -> "DataPlaces":
    """Return where data sets are looked for, first to last.

    That is below ``data_root`` if it is given, below the folders that the environment variable
    ``PRUNECHECK_DATA`` names, and below the cache, which is ``prunecheck`` in ``$XDG_CACHE_HOME`` or in
    ``~/.cache``.

    Raises:
        InputError: ``data_root`` is not a folder, or there is neither ``$XDG_CACHE_HOME`` nor a home.
    """
    from prunecheck.data import DataPlaces

    roots = [Path(root).expanduser() for root in os.environ.get(DATA_VARIABLE, "").split(os.pathsep) if root]
    if data_root is not None:
        roots.insert(0, require_folder(data_root))
    return DataPlaces(roots=tuple(roots), cache=user_cache())


def require_folder(data_root: Path) -> Path:
    """Return the folder that the user named; raise :class:`InputError` if it is not a folder."""
    data_root = data_root.expanduser()
    if not data_root.is_dir():
        raise InputError(
            f"{field_name('data_root')} takes a folder that holds data sets, and {data_root} is not a folder.",
            field="data_root",
        )
    return data_root


def user_cache() -> Path:
    """Return the folder for what can be made anew.

    Raises:
        InputError: the user has no home, and ``$XDG_CACHE_HOME`` names no absolute path.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    if Path(named).is_absolute():
        return Path(named) / "prunecheck"
    try:
        return Path.home() / ".cache" / "prunecheck"
    except RuntimeError:
        raise InputError("your home folder is not known: set XDG_CACHE_HOME to a folder for caches.") from None
