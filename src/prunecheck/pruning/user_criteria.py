"""Criteria in a user's own file: ``FILE.py:FUNCTION``."""

import inspect
from pathlib import Path

from prunecheck.errors import InputError
from prunecheck.pruning.criteria import Criterion
from prunecheck.registry import nearest_names
from prunecheck.user_code import LoadedFile, load_file


def criterion_of_file(text: str) -> tuple[Criterion, LoadedFile]:
    """Return a criterion in a user's file, and the file.

    Args:
        text: ``FILE.py:FUNCTION``.

    Raises:
        InputError: the file is missing, cannot be run, or does not define the function.
    """
    file, colon, name = text.rpartition(":")
    if not colon or not name:
        raise InputError(f"{text!r} names a file and no function: write it as {text.rstrip(':')}:FUNCTION.")
    path = Path(file)
    if not path.is_file():
        raise InputError(f"there is no file {file}: give the path of the Python file that defines {name}.")
    loaded = load_file(path)
    if not callable(loaded.names.get(name)):
        functions = [other for other, value in loaded.names.items() if inspect.isfunction(value)]
        nearest = nearest_names(name, functions) or functions
        hint = f"it defines {', '.join(nearest)}." if nearest else "it defines no function at all."
        raise InputError(f"{file} does not define a function {name}: {hint}")
    return Criterion(f"{path.name}:{name}", loaded.function(name), sees="samples"), loaded
