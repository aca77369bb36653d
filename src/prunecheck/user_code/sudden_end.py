"""Code of a user's that ends the whole process is tried in another one first."""

import contextlib
import faulthandler
import io
import os
import signal
import sys
import time
from collections.abc import Callable

import torch

from prunecheck.errors import InputError

SURVIVED = 77
"""The exit code of a trial at whose end the process was still there."""

PATIENCE = 30.0
"""Seconds after which a trial is given up: what takes so long is told from what hangs by nobody."""

LATER = 0.002
"""Seconds between two looks whether the trial has ended."""


def require_survival(call: Callable[[], object], name: str) -> None:
    """See that a call leaves its process alive, in a fork of this one; whatever it raises is no matter here.

    Nothing is tried where processes cannot be forked, or CUDA is in use, which no fork outlives.

    Args:
        call: what is tried. What it prints is not seen.
        name: of the user's code that it calls.

    Raises:
        InputError: the process ended.
    """
    if not hasattr(os, "fork") or torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return
    process = os.fork()
    if process == 0:
        _try(call)
    status = _awaited(process)
    if status is None or status == SURVIVED:
        return
    how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"with exit code {status}"
    raise InputError(f"{name} ends the whole process when it is called ({how}): correct it first.")


def _try(call: Callable[[], object]) -> None:
    """Be the fork."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    sys.stdout = sys.stderr = io.StringIO()  # a notebook's write elsewhere
    faulthandler.disable()  # which may have kept a stream of its own
    torch.set_num_threads(1)  # those of the process that was forked are not here
    with contextlib.suppress(BaseException):
        call()
    os._exit(SURVIVED)


def _awaited(process: int) -> int | None:
    """Return the exit code of a process, minus the signal that ended it; None if it had to be given up."""
    until = time.monotonic() + PATIENCE
    try:
        while time.monotonic() < until:
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(LATER)
    except BaseException:
        _given_up(process)
        raise
    _given_up(process)
    return None


def _given_up(process: int) -> None:
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
