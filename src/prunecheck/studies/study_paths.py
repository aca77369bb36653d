"""Paths in study files, which are taken from the folder of the file, wherever the command is called."""

import os
import re
from pathlib import Path
from typing import Any

from prunecheck.user_code import without_arguments

WITH_PATHS = ("methods", "baseline", "datasets", "models", "metric", "recipes", "calibration_data", "checks")
"""The keys whose names may be, or have in them, paths of files."""

KINDS = ("folder", "npz", "huggingface", "mask", "text", "tokens")
"""What stands before the path of data, or of masks."""

OF_OTHER_DATA = "other-corpus"
"""Stands before the name of a data set that a check brings."""

CODE = re.compile(r"[^:]+\.py(?=:)")
"""The file of users' code, in a name."""


def placed(name: str, folder: Path) -> str:
    """Return a name whose path is taken from a folder; from the working directory, if it lies there, as before.

    Args:
        name: of a method, data set, network, metric or recipe: ``my.py:score``, ``random-ratios-of:my.py:score``,
            ``npz:data.npz``, ``mask:masks/{seed}.pt``, ``own.toml``; a name without a path is returned as it is.
        folder: of the study file.
    """
    if not folder.parts:
        return name
    kind, colon, path = name.partition(":")
    if kind == OF_OTHER_DATA and colon:
        return f"{kind}:{placed(path, folder)}"
    if colon and kind in KINDS:
        return f"{kind}:{_placed(path, folder)}"
    code, arguments = without_arguments(name)
    if CODE.search(code):
        found = CODE.sub(lambda match: _placed(match[0], folder), code, count=1)
        return found if arguments is None else f"{found}?{arguments}"
    return _placed(name, folder) if name.endswith((".toml", ".py")) else name


def placed_values(value: Any, folder: Path) -> Any:
    """Return one name, or several, as :func:`placed` does."""
    if isinstance(value, tuple):
        return tuple(placed_values(one, folder) for one in value)
    return placed(value, folder) if isinstance(value, str) else value


def _placed(path: str, folder: Path) -> str:
    if path.startswith(("~", os.sep)):
        return path
    found = Path(os.path.normpath(folder / path))
    # As it is called where it can be: data are known by that name.
    return str(found.relative_to(Path.cwd()) if found.is_relative_to(Path.cwd()) else found)
