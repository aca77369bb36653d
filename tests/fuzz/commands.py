"""Commands in processes of their own, which share what is imported with the one that starts them."""

import contextlib
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from prunecheck.cli import main

SECONDS = 300.0
"""What takes longer hangs: every command here has a second's work, or twenty on a busy machine."""

MEMORY = 12 << 30
"""Bytes of addresses that a command may have: what wants more is refused by the system, not by the machine's end."""

LATER = 0.005
"""Seconds between two looks whether a process has ended."""


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: its exit code; minus the signal that ended it; None if it hung and was killed.
    """

    code: int | None
    stdout: str
    stderr: str


def run_command(arguments: Sequence[str], folder: Path, seconds: float = SECONDS) -> Ended:
    """Call the command line in a fork of this process, in a folder and with a cache of its own.

    Args:
        arguments: what stands behind ``prunecheck``.
        folder: where it is called.
        seconds: after which it hangs.
    """
    streams = {number: folder / f".{name}" for number, name in ((1, "stdout"), (2, "stderr"))}
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process == 0:
        os._exit(_called(list(arguments), folder, streams))
    code = _code(process, seconds)
    printed = (file.read_bytes().decode(errors="backslashreplace") for file in streams.values())
    return Ended(code, *printed)


def _called(arguments: list[str], folder: Path, streams: dict[int, Path]) -> int:
    """Be the command, in the fork, and return its exit code."""
    try:
        os.setsid()
        os.chdir(folder)
        os.environ.update(XDG_CACHE_HOME=str(folder / ".cache"), COLUMNS="100")
        os.environ.pop("PRUNECHECK_DATA", None)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for number, file in {0: Path(os.devnull), **streams}.items():
            opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(opened, number)
        sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
        sys.argv = ["prunecheck", *arguments]
        torch.set_num_threads(1)
        main(arguments)
    except SystemExit as ended:
        return _flushed(ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1)
    except BaseException:
        traceback.print_exc()
        return _flushed(1)


def _flushed(code: int) -> int:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code


def _code(process: int, seconds: float) -> int | None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            _kill(process)  # what it has left behind
            return os.waitstatus_to_exitcode(status)
        time.sleep(LATER)
    _kill(process)
    os.waitpid(process, 0)
    return None


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
