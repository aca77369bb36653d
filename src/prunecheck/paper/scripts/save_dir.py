"""``--save_dir``: which run a script made there, so that no other overwrites it unasked."""

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prunecheck.declared_types import json_of
from prunecheck.errors import InputError, field_name
from prunecheck.io import atomic_write, nearest_existing, require_output_folder
from prunecheck.plain_files import read_plain_text
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunStore

Identity = Mapping[str, Any]


class SaveDir:
    """The folder of a script's files.

    Scripts write files of different names and may share a folder. Which run a script's files are of
    stands in ``SCRIPT.json``.

    Args:
        path: need not exist.
        script: its name, without ``.py``.
        files: what it writes there, in the published form.
    """

    def __init__(self, path: Path, script: str, files: tuple[str, ...]) -> None:
        self.path = path
        self.files = files
        self._marker = path / f"{script}.json"
        self._script = script

    def run(self) -> RunSpec | None:
        """Return the run that the script made here, if it made one that trains."""
        try:
            return RunSpec.from_json(read_plain_text(self._marker))
        except (OSError, ValueError, InputError):
            return None

    def require_free(self, identity: Identity) -> None:
        """Raise :class:`InputError` if the script has made another run here, or left files of one.

        Args:
            identity: all that makes the run what it is, as JSON has it.
        """
        require_output_folder(self.path)
        found = self._identity()
        if found == identity:
            return
        there = [name for name in self.files if (self.path / name).exists()]
        if found is None and not there:
            return
        what = (
            f"{there[0]} of another run"
            if found is None
            else f"another run of {self._script}.py ({_difference(found, identity)})"
        )
        raise InputError(f"{self.path} holds {what}: choose another --save_dir, or add --overwrite.")

    def _identity(self) -> Identity | None:
        try:
            return json_of(read_plain_text(self._marker))
        except (OSError, ValueError):
            return None

    def claim(self, identity: Identity, overwrite: bool) -> None:
        """Make the folder this run's.

        Args:
            identity: see :meth:`require_free`.
            overwrite: whether another run's files are removed; its run folder stays.
        """
        if overwrite and self._identity() != identity:
            for name in self.files:
                (self.path / name).unlink(missing_ok=True)
        atomic_write(self._marker, json.dumps(identity, sort_keys=True, separators=(",", ":")) + "\n")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder and hold it; see :meth:`RunStore.locked`."""
        with published_words(), RunStore(self.path).locked():
            yield


def require_save_dir(path: Path) -> None:
    """See that a folder can be made and written to, before any data are read.

    Raises:
        InputError: it cannot.
    """
    require_output_folder(path)
    there = nearest_existing(path)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass  # asking for the permissions would not find a folder in which there are no files
    except OSError as error:
        raise InputError(
            f"{there} cannot be written to ({error.strerror}): choose another {field_name('out')}.", field="out"
        ) from error


def identity_of(spec: RunSpec) -> Identity:
    """Return all that makes a run what it is."""
    identity: Identity = json.loads(spec.canonical())
    return identity


@contextlib.contextmanager
def published_words() -> Iterator[None]:
    """Name the folder of runs in errors as the scripts do."""
    try:
        yield
    except InputError as error:
        raise error.spelled({"out": "--save_dir"}.get) from error.__cause__


def _difference(found: Identity, wanted: Identity) -> str:
    """Say in which field two runs differ first."""
    for name in (*wanted, *found):
        there, here = found.get(name), wanted.get(name)
        if there == here:
            continue
        if isinstance(there, dict) and isinstance(here, dict):
            return _difference(there, here)
        return f"{name.replace('_', ' ')} {_shown(there)}, not {_shown(here)}"
    return "of other fields"


def _shown(value: object) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text[:16] if len(text) > 40 else text
