"""Modules of users that are found by name, ``package.module``, in the working folder or where Python looks."""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterable
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

from prunecheck.errors import InputError
from prunecheck.observation import Observation
from prunecheck.randomness import seeded_global_generator
from prunecheck.reading import require_not_reading
from prunecheck.user_code.code import Code
from prunecheck.user_code.failures import NOT_ITS_FAILURES, described
from prunecheck.user_code.global_state import global_state_kept
from prunecheck.user_code.inputs import installed_package, is_input
from prunecheck.user_code.loading import searched_first


def import_module(name: str) -> ModuleType:
    """Return a module, imported as ``python -m`` would find it from the working folder.

    Raises:
        InputError: there is no such module, or it cannot be imported; or what names it is only read.
    """
    require_not_reading(f"the module {name}")
    folder = Path.cwd()
    try:
        with (
            global_state_kept(),
            seeded_global_generator(0, "loading"),
            contextlib.redirect_stdout(sys.stderr),  # stdout is for the answer
            searched_first(folder),
            Observation(),
        ):
            module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise InputError(
                f"there is no module {name}: call the command where it lies, install its package, or give FILE.py:NAME."
            ) from None
        raise InputError(f"{name} cannot be imported ({error}): install what it needs.") from error
    except NOT_ITS_FAILURES:
        raise
    except BaseException as error:
        raise InputError(f"{name} cannot be imported ({described(error)}): correct it first.") from error
    search_last([str(folder)])
    return module


def is_module(name: str) -> bool:
    """Say whether there is a module, or package, of a name without dots; it is not imported."""
    return name in sys.modules or PathFinder.find_spec(name, [str(Path.cwd()), *sys.path]) is not None


def search_last(folders: Iterable[str]) -> None:
    """Have modules looked for in some folders, too, after everywhere else."""
    for folder in folders:
        if folder not in sys.path:
            sys.path.append(folder)


def folders_searched_for(codes: Iterable[Code | None]) -> tuple[str, ...]:
    """Return the folders of ``sys.path`` below which files of users lie, which another process must search, too."""
    files = {file for code in codes if code for file in code.covered if is_input(file) and not installed_package(file)}
    folders = dict.fromkeys(os.path.abspath(folder) for folder in sys.path if Path(folder).is_dir())  # noqa: PTH100 - links left in
    return tuple(folder for folder in folders if any(file.startswith(folder + os.sep) for file in files))
