"""What of files makes them what they are: content, or the version of the package that they came with."""

import functools
import hashlib
import importlib.metadata
import os
import re
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path

import prunecheck
from prunecheck.errors import InputError
from prunecheck.plain_files import open_file

ABSENT = "absent"

COMPUTED_WITH = frozenset({"prunecheck", "torch", "numpy", "scipy"})
"""Packages that every run computes with. Their versions stand in its result, and are no part of its identity."""

SYSTEM = ("/proc", "/sys", "/dev")

SETTLED_AFTER = 2.0
"""Seconds after which a file that is changed again has another time of change."""

Input = tuple[str, str]
"""A file's name and its SHA-256; or a package's name, and its version with the hash of its list of files."""


def inputs_of(files: set[str], folder: Path, known: Mapping[str, str]) -> list[Input]:
    """Return what identifies files, sorted, each once.

    Left out is what is Python's own, prunecheck's own, or the system's; files of installed packages stand together
    under the package's name.

    Args:
        files: absolute paths.
        folder: names are relative to it.
        known: the content's SHA-256 of some of them, whatever they hold now.

    Raises:
        InputError: a file cannot be read.
    """
    found: set[Input] = set()
    for file in files:
        if package := installed_package(file):
            if package not in COMPUTED_WITH:
                found.add((f"package {package}", _release(package)))
        elif is_input(file):
            found.add((os.path.relpath(file, folder), known.get(file) or content_hash(file)))
    return sorted(found)


def hash_of(inputs: list[Input]) -> str:
    """Return one SHA-256 of inputs and their names."""
    total = hashlib.sha256()
    for name, content in inputs:
        total.update(f"{len(os.fsencode(name))} ".encode() + os.fsencode(name) + f" {content}\n".encode())
    return total.hexdigest()


def is_input(file: str) -> bool:
    """Say whether a file that was read is one that people change: a regular file, or one that is missing."""
    if file.endswith(".pyc") or _is_below(file, (*SYSTEM, *_folders_of_ours())):
        return False
    if _is_below(file, _folders_of_python()) and not _is_below(file, _folders_of_packages()):
        return False
    path = Path(file)
    return path.is_file() or not path.exists()


def content_hash(file: str) -> str:
    """Return the SHA-256 of a file's content, or that there is no such file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        status = Path(file).stat()
        now = time.time()
        state = (file, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)
        if known := _known.get(state):
            return known
        with open_file(Path(file), status.st_size) as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    except OSError as error:
        raise InputError(
            f"{file}, which the code of a run reads, cannot be read to tell whether it is the same ({error.strerror}): "
            "make it readable."
        ) from error
    if now - status.st_ctime > SETTLED_AFTER:
        _known[state] = found
    return found


_known: dict[tuple[object, ...], str] = {}


def installed_package(file: str) -> str | None:
    """Return the name of the installed distribution that a file came with, None for a file of nobody's."""
    for folder in _folders_of_packages():
        if _is_below(file, (folder,)):
            top = os.path.relpath(file, folder).partition(os.sep)[0]
            name = re.sub(r"\..*", "", top)
            owners = _distributions().get(name) or _distributions().get(top)
            return owners[0] if owners else None
    return None


@functools.cache
def _release(package: str) -> str:
    """Return a package's version and the hash of the list of its files, which holds theirs."""
    distribution = importlib.metadata.distribution(package)
    listed = sorted(
        f"{file} {file.hash.value}"
        for file in distribution.files or ()
        if file.hash and file.parts[0] != ".." and not file.parts[0].endswith(".dist-info")
    )
    return f"{distribution.version} {hashlib.sha256(chr(10).join(listed).encode()).hexdigest()}"


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return {name: sorted(owners) for name, owners in importlib.metadata.packages_distributions().items()}


@functools.cache
def _folders_of_packages() -> tuple[str, ...]:
    """Return the folders in which packages were installed, each with the list of its files."""
    found = {
        str(Path(str(distribution.locate_file(""))).absolute())
        for distribution in importlib.metadata.distributions()
        if distribution.read_text("RECORD")
    }
    return tuple(sorted(found, key=len, reverse=True))


@functools.cache
def _folders_of_python() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = [Path(paths["stdlib"]), Path(paths["platstdlib"]), Path(os.__file__).parent]
    return tuple({str(folder.absolute()) for folder in folders} | {str(folder.resolve()) for folder in folders})


@functools.cache
def _folders_of_ours() -> tuple[str, ...]:
    return (str(Path(prunecheck.__file__).absolute().parent),)


def _is_below(file: str, folders: tuple[str, ...]) -> bool:
    return any(file.startswith(folder + os.sep) for folder in folders)
