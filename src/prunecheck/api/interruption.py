"""Ctrl-C: once to finish the epoch and save it, twice to stop at once."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from prunecheck.engine.execution import Stopped
from prunecheck.errors import StoppedFromOutside
from prunecheck.runs.store import RunStore


@contextlib.contextmanager
def stop_on_interrupt(store: RunStore) -> Iterator[None]:
    """Turn the first Ctrl-C into a request to stop, in all processes that do runs of this store.

    Only the main thread can take over a signal; in any other, Ctrl-C reaches the main thread as ever. The handler that
    was there before is there again afterwards.

    Raises:
        KeyboardInterrupt: the runs have stopped, or Ctrl-C came a second time; a :class:`StoppedFromOutside` where
            another command asked for it.
    """
    requested: list[int] = []
    try:
        with _first_requests_stop(store, requested):
            yield
    except Stopped as error:
        raise (KeyboardInterrupt if requested else StoppedFromOutside) from error


@contextlib.contextmanager
def _first_requests_stop(store: RunStore, requested: list[int]) -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before in (signal.SIG_IGN, None):
        yield
        return

    def request(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        requested.append(number)
        store.request_stop()
        print("prunecheck: finishing the epoch that is going on; Ctrl-C again stops at once.", file=sys.stderr)

    signal.signal(signal.SIGINT, request)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
