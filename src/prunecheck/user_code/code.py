"""What code from outside of prunecheck is made of, and the hash of it."""

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from prunecheck.errors import InputError
from prunecheck.observation import Observation
from prunecheck.registry import Origin
from prunecheck.user_code.imports import files_used_by
from prunecheck.user_code.inputs import Input, content_hash, hash_of, inputs_of, installed_package, is_input


class Code:
    """Source files, all that they import, and what they read.

    The hash is taken when it is first asked for and stays the same, until more is known of what the code reads.

    Args:
        files: absolute paths of the files that define what is used.
        as_loaded: the content's SHA-256 of files that this process has loaded already, as it was then.
        values: returns what identifies what lies in no file, as it is now.
        folder: to which names of files are relative; None for that of the first file, or the current one.
    """

    def __init__(
        self,
        files: Iterable[str],
        as_loaded: Mapping[str, str] | None = None,
        values: Callable[[], list[Input]] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.as_loaded = dict(as_loaded or {})
        self.files = tuple(sorted(set(files)))
        self.values = values
        self._folder = folder or (Path.cwd() if values else Path(self.files[0]).parent)
        self._seen: set[str] = set()
        self._inputs: list[Input] | None = None

    def include(self, seen: Iterable[str]) -> None:
        """Let the hash cover other files, too: those that the code was seen to use when it ran."""
        new = set(seen) - self._seen
        if new:
            self._seen |= new
            self._inputs = None

    @property
    def seen(self) -> tuple[str, ...]:
        """What the code was seen to use when it ran, sorted."""
        return tuple(sorted(self._seen))

    @property
    def covered(self) -> set[str]:
        """Absolute paths of all that the hash covers now."""
        return files_used_by([*self.files, *self._seen], self._folder)

    @property
    def hash(self) -> str:
        """SHA-256 over names and content of its files, and the versions of the packages that it uses.

        Raises:
            InputError: one of the files cannot be read.
        """
        if self._inputs is None:
            self._inputs = self._as_it_is()
        return hash_of(self._inputs)

    def changed(self) -> list[str]:
        """Return the names of what is another than when the hash was taken."""
        before, now = dict(self._inputs or ()), dict(self._as_it_is())
        return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))

    def _as_it_is(self) -> list[Input]:
        files = inputs_of(self.covered, self._folder, self.as_loaded)
        return sorted([*files, *self.values()]) if self.values else files

    def __getstate__(self) -> dict[str, object]:
        """Have another process look at its own files; what lies in no file is sent along, and is the same there."""
        values: object = functools.partial(list, self.values()) if self.values else None
        return {**vars(self), "as_loaded": {}, "values": values, "_inputs": None}


_as_loaded: dict[tuple[int, int], tuple[object, dict[str, str]]] = {}
"""What modules and what they use were made of when they were first asked about, by the identity of their names.

A module that is loaded anew keeps its names and has another ``__spec__``.
"""


def code_registered_by(origins: Iterable[Origin | None], also: Code | None = None) -> Code | None:
    """Return the code of modules that registered something; None if all is prunecheck's own.

    Args:
        origins: as :meth:`prunecheck.registry.Registry.origin_of` gives them.
        also: code that belongs to it, too.

    Raises:
        InputError: one of them lies in no file.
    """
    files, as_loaded = list(also.files if also else ()), dict(also.as_loaded if also else {})
    values = also.values if also else None
    for origin in origins:
        if origin is not None:
            files.append(_file_of(origin))
            as_loaded |= _remembered(origin)
    return Code(files, as_loaded, values) if files or values else None


def files_beyond(observation: Observation, codes: Iterable[Code]) -> dict[str, str]:
    """Return the content's SHA-256 of the files that code was seen to use and that no hash covers, by absolute path."""
    known: set[str] = set().union(*(code.covered for code in codes))
    more = files_used_by(observation.files, Path("/")) - known
    return {file: content_hash(file) for file in sorted(more) if is_input(file) and not installed_package(file)}


def _remembered(origin: Origin) -> dict[str, str]:
    """Return the content of a module's source files as it was loaded: what changes later is not what is at work."""
    spec = origin.names.get("__spec__")
    key = id(origin.names), id(spec)
    if key not in _as_loaded:
        file = _file_of(origin)
        sources = [used for used in files_used_by([file], Path(file).parent) if used.endswith(".py")]
        content = {used: content_hash(used) for used in sources if is_input(used) and not installed_package(used)}
        _as_loaded[key] = (origin, spec), content
    return _as_loaded[key][1]


def _file_of(origin: Origin) -> str:
    if origin.file is None or not Path(origin.file).is_file():
        raise InputError(
            f"what {origin.module} registers is defined in no file, so that it cannot be told whether it is the same "
            "another time: write it into a file and import that."
        )
    return os.path.abspath(origin.file)  # noqa: PTH100 - with .. taken out, and links left in
