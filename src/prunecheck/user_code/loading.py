"""Python files of users, each executed once in a process for every version of what it is made of."""

import contextlib
import functools
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from prunecheck.errors import InputError
from prunecheck.observation import USED_BY, Observation
from prunecheck.randomness import seeded_global_generator
from prunecheck.reading import require_not_reading
from prunecheck.registry import Origin
from prunecheck.user_code.code import Code
from prunecheck.user_code.failures import failure_named
from prunecheck.user_code.global_state import global_state_kept
from prunecheck.user_code.inputs import installed_package, is_input

LOADED = "method file "
"""Begins the name of the module that a file is executed as."""


@dataclass
class LoadedFile:
    """A file that was executed.

    Attributes:
        path: the file, links followed.
        code: what it is made of, as of when it was executed.
        beside: the modules from its folder that it has imported so far, by name.
    """

    path: Path
    module: ModuleType
    code: Code
    beside: dict[str, ModuleType] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, Any]:
        """What it defines."""
        return vars(self.module)

    def function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return one of its functions, which finds the file's own modules and leaves the process as it was."""

        @functools.wraps(function)
        def called(*arguments: Any, **named: Any) -> Any:
            with global_state_kept(), self._in_place():
                return function(*arguments, **named)

        return called

    @contextlib.contextmanager
    def _in_place(self) -> Iterator[None]:
        """Let its functions import what lies beside it, in the place of what lies beside other files."""
        _set_others_aside(self.path)
        sys.modules.update(self.beside)
        with _searched_before_other_files(self.path.parent):
            try:
                yield
            finally:
                self.beside |= _modules_beside(self.path)


_loaded: dict[Path, LoadedFile] = {}


def load_file(path: Path) -> LoadedFile:
    """Execute a file, or return what was executed if it and all that it uses are still the same.

    Raises:
        InputError: it is missing, no Python file, or cannot be run; or what names it is only read.
    """
    require_not_reading(str(path))
    if not path.is_file():
        raise InputError(f"there is no file {path}: give the path of a Python file.")
    if path.suffix != ".py":
        raise InputError(f"{path} is not a Python file: give one whose name ends in .py.")
    real = path.resolve()
    loaded = _loaded.get(real)
    if loaded and not loaded.code.changed():
        return loaded
    if loaded:
        _forget(loaded)
    _set_others_aside(real)
    _loaded[real] = loaded = _execute(path, real)
    return loaded


def _execute(path: Path, real: Path) -> LoadedFile:
    source = real.read_bytes()
    # A name that no import can mean; dataclasses look for the module that defines them under it.
    module = ModuleType(f"{LOADED}{real}")
    module.__file__ = str(real)
    sys.modules[module.__name__] = module
    try:
        # Compiled from what was read: what Python has cached may be of another version.
        with (
            failure_named(f"{path} cannot be run"),
            global_state_kept(),
            seeded_global_generator(0, "loading"),
            contextlib.redirect_stdout(sys.stderr),  # stdout is for the answer
            searched_first(real.parent),
            Observation() as seen,
        ):
            exec(compile(source, str(real), "exec", dont_inherit=True), vars(module))
    finally:
        # Last, for what its functions import when they are called, and in nothing else's way.
        sys.path.append(str(real.parent))
    USED_BY[str(real)] |= seen.files  # those of threads, too
    code = Code([str(real)])
    _ = code.hash
    return LoadedFile(real, module, code, _modules_beside(real))


def files_that_load(origins: Iterable[Origin | None]) -> tuple[str, ...]:
    """Return the files of users that another process must execute so that what these registered is known there."""
    needed = {origin.file for origin in origins if origin}
    return tuple(str(path) for path, loaded in _loaded.items() if needed & loaded.code.covered)


@contextlib.contextmanager
def searched_first(folder: Path) -> Iterator[None]:
    """Import from a folder before what is installed, and after Python's own; what else is added to the path stays.

    Python's own come first, for what is imported there may need them: a ``socket.py`` beside is another one.
    """
    place, last = str(folder), sys.path[-1:] == [str(folder)]
    sys.path.insert(_length_of_pythons_own(), place)
    try:
        yield
    finally:
        while place in sys.path:
            sys.path.remove(place)
        if last:
            sys.path.append(place)


def _length_of_pythons_own() -> int:
    """Return how much of the beginning of ``sys.path`` ends with where Python's own modules lie; 0 if it is nowhere."""
    own = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), sysconfig.get_config_var("DESTSHARED")}
    return 1 + max((index for index, place in enumerate(sys.path) if place in own), default=-1)


@contextlib.contextmanager
def _searched_before_other_files(folder: Path) -> Iterator[None]:
    """Import from a folder before those of other files, and after what is installed, in whose way nothing gets."""
    place, others = str(folder), {str(path.parent) for path in _loaded}
    first = next((index for index, found in enumerate(sys.path) if found in others), len(sys.path))
    sys.path.insert(first, place)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(place)


def _modules_beside(file: Path) -> dict[str, ModuleType]:
    """Return the modules that lie below a file's folder and belong to no installed package."""
    folder = f"{file.parent}/"
    return {
        name: module
        for name, module in list(sys.modules.items())
        if (place := getattr(module, "__file__", None))
        and isinstance(place, str)
        and place.startswith(folder)
        and not name.startswith(LOADED)
        and name != "__main__"
        and not installed_package(place)
        and is_input(place)
    }


def _set_others_aside(file: Path) -> None:
    """Have names mean the modules beside a file, and not those of the same names beside files in other folders."""
    for other in _loaded.values():
        if other.path.parent != file.parent:
            for name, module in other.beside.items():
                if sys.modules.get(name) is module:
                    del sys.modules[name]


def _forget(loaded: LoadedFile) -> None:
    """Have all that a file uses imported anew."""
    covered = loaded.code.covered
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file in covered and is_input(file) and not installed_package(file):
            del sys.modules[name]
    for file in covered:
        USED_BY.pop(file, None)
    sys.modules.pop(loaded.module.__name__, None)
