"""Ctrl-C: once to finish the epoch and save it, twice to stop at once."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType

from prunecheck.engine.execution import Stopped
from prunecheck.runs.store import RunStore


@contextlib.contextmanager
def stop_on_interrupt(store: RunStore) -> Iterator[None]:
    """Turn the first Ctrl-C into a request to stop, in all processes that do runs of this store.

    Raises:
        KeyboardInterrupt: the runs have stopped, or Ctrl-C came a second time.
    """

    def request(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        store.request_stop()
        print("prunecheck: finishing the epoch that is going on; Ctrl-C again stops at once.", file=sys.stderr)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, request)
    try:
        yield
    except Stopped as error:
        raise KeyboardInterrupt from error
    finally:
        signal.signal(signal.SIGINT, before)
