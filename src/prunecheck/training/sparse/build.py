"""The kernels, compiled for this machine when they are first asked for.

What is compiled is kept beside the source, as Python keeps its bytecode, or where that cannot be written
in a folder of the user's in the place for temporary files.
"""

import contextlib
import ctypes
import hashlib
import importlib.util
import logging
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from prunecheck.caching import cached_with_errors
from prunecheck.io import lock_name

SOURCE = Path(__file__).with_name("kernels.cpp")
NUMBERS = ("float", "double")
PATIENCE = 600.0
"""Seconds in which a compiler comes to an end; it takes some, on a loaded machine a minute."""

COMPILERS = ("c++", "g++", "clang++")
FLAGS = (
    "-O3",
    "-std=c++17",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-exceptions",
    "-fno-rtti",
    "-fPIC",
    "-shared",
    "-w",
)

SAID_WHEN_COMPILING = (
    "prunecheck: the convolutions are being compiled for this machine's processor, which takes some seconds, once."
)


class UnavailableError(Exception):
    """Why there are no kernels; the message is a clause without a full stop."""


class NoCompilerError(UnavailableError):
    """There is nothing to compile them with."""


@cached_with_errors(UnavailableError)
def load_kernels(number: str = "float") -> ctypes.CDLL:
    """Return the compiled kernels for one type of numbers, ``float`` or ``double``; compile them if need be.

    What comes of it is remembered, a failure too: compiling takes seconds, and another try in this process fails again.

    Raises:
        UnavailableError: no compiler, or it cannot compile them.
    """
    compiler = find_compiler()
    command = [*compiler, *for_this_machine(), *FLAGS, f"-DREAL={number}"]
    key = hashlib.sha256(_source() + _predefined(command).encode() + repr(command).encode()).hexdigest()[:16]
    name = f"kernels-{number}-{key}"
    folders = (SOURCE.parent / "__pycache__", _temporary_folder())
    for folder in filter(_trusted, folders):
        if library := _load(folder, name):
            return library
    reason = f"there is no place to compile to: neither {folders[0]} nor {folders[1]} can be written"
    for folder in filter(_writable, folders):
        try:
            with lock_name(folder / name):  # of several processes one compiles, and the others wait for it
                if library := _load(folder, name):
                    return library
                logging.getLogger(__name__).warning(SAID_WHEN_COMPILING)
                return ctypes.CDLL(str(_compile(command, folder, name)))
        except OSError as error:  # a full disk, or one that nothing may be run from
            reason = f"what is compiled to {folder} cannot be used ({error})"
    raise UnavailableError(reason)


def _source() -> bytes:
    """Return all that is compiled."""
    return b"".join(path.read_bytes() for path in (SOURCE, *sorted(SOURCE.parent.glob("*.h"))))


def _load(folder: Path, name: str) -> ctypes.CDLL | None:
    """Load what was compiled before; None if there is nothing, or nothing that can be used."""
    for made in filter(_whole, folder.glob(f"{name}-*.so")):
        with contextlib.suppress(OSError):
            return ctypes.CDLL(str(made))
    return None


def find_compiler() -> Sequence[str]:
    """Return the command of a C++ compiler: the system's, or the one that the package ziglang brings.

    Raises:
        UnavailableError: there is none.
    """
    for name in COMPILERS:
        if path := shutil.which(name):
            return (path,)
    if importlib.util.find_spec("ziglang"):
        # Without the standard library, which it would have to compile first and which the kernels do not use.
        return (sys.executable, "-m", "ziglang", "c++", "-nostdinc++", "-nostdlib++")
    raise NoCompilerError("they need a C++ compiler and there is none")


def for_this_machine() -> Sequence[str]:
    """Return the flags that let a compiler use all that this machine's processor can do."""
    return ("-march=native",) if platform.machine() in ("x86_64", "AMD64") else ("-mcpu=native",)


def _predefined(command: Sequence[str]) -> str:
    """Return what a compiler defines by itself: its version and what this machine's processor can do."""
    flags = [part for part in command if part != "-shared"]
    return _run([*flags, "-dM", "-E", "-x", "c++", os.devnull])


def _compile(command: Sequence[str], folder: Path, name: str) -> Path:
    """Compile in the folder and rename: a file system without locks lets several processes do so at once."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        made = Path(place) / "made.so"
        _run([*command, str(SOURCE), "-o", str(made)])
        return made.replace(folder / f"{name}-{_digest(made)}.so")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _whole(path: Path) -> bool:
    """Say whether a file is as it was compiled, because loading a part of one may end the process."""
    try:
        return path.stem.endswith(f"-{_digest(path)}")
    except OSError:
        return False


def _run(command: Sequence[str]) -> str:
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=True,
            timeout=PATIENCE,
        ).stdout
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{command[0]} has not come to an end in {PATIENCE:.0f} seconds") from error
    except OSError as error:
        raise UnavailableError(f"{command[0]} cannot be run ({error.strerror})") from error
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines()
        raise UnavailableError(f"{command[0]} does not compile them ({lines[-1] if lines else error})") from error


def _temporary_folder() -> Path:
    return Path(tempfile.gettempdir()) / f"prunecheck-{os.getuid()}"


def _trusted(folder: Path) -> bool:
    """Say whether nobody else can have put anything into a folder, unless he could change the source as well."""
    try:
        there = folder.lstat()
    except OSError:
        return False
    mine = there.st_uid == os.getuid() and not there.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(there.st_mode) and (mine or folder.parent == SOURCE.parent)


def _writable(folder: Path) -> bool:
    """Make the folder if need be; say whether it can be written and is trusted."""
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
    return _trusted(folder) and os.access(folder, os.W_OK)
