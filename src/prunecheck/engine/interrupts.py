"""Ctrl-C kept from what is being started."""

import contextlib
import signal
from collections.abc import Iterator
from multiprocessing import resource_tracker


@contextlib.contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C, which a terminal sends to every process of a command, wait for the end of the block.

    The threads and processes that are started meanwhile never get it: they inherit the mask. What
    multiprocessing starts beside its first process would lift it, and is therefore started before.
    """
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
