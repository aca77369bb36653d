"""Notices that workers are gone and none comes in their place, which the engine itself waits for without a word."""

import logging
import time
from collections.abc import Callable

from prunecheck.errors import InputError, field_name

SECONDS_BETWEEN_LOOKS = 5
"""How often workers are counted."""

SECONDS_WITHOUT_WORKERS = 60
"""How long workers may be missing before that is said; a process that ended is started anew in a few seconds."""


class WorkerWatch:
    """Watches over the number of workers.

    Args:
        processes: how many were started on this machine; 0 if workers are others', and come and go as they like.
        now: a clock, in seconds.
    """

    def __init__(self, processes: int, now: Callable[[], float] = time.monotonic) -> None:
        self._processes = processes
        self._now = now
        self._next_look = now() + SECONDS_BETWEEN_LOOKS
        self._too_few_since: float | None = None
        self._said: int | None = None

    def seconds_to_next_look(self) -> float:
        """Return in how many seconds workers are to be counted."""
        return max(0.0, self._next_look - self._now())

    def see(self, count: int) -> None:
        """Take in how many workers there are, and say once if they have been too few for long.

        Raises:
            InputError: all of this machine have been gone for :data:`SECONDS_WITHOUT_WORKERS`.
        """
        now = self._now()
        self._next_look = now + SECONDS_BETWEEN_LOOKS
        if count >= max(self._processes, 1):
            self._too_few_since = self._said = None
            return
        if self._too_few_since is None:
            self._too_few_since = now
        if now - self._too_few_since < SECONDS_WITHOUT_WORKERS:
            return
        if self._processes and not count:
            raise InputError(
                "all worker processes have ended, and for "
                f"{SECONDS_WITHOUT_WORKERS} seconds none could be started anew: see that the machine has memory, "
                f"processes and open files left, and begin again, with fewer {field_name('workers')} if need be; what "
                "is finished stays.",
                field="workers",
            )
        if count != self._said:
            self._said = count
            logging.getLogger(__name__).warning(self._too_few(count))

    def _too_few(self, count: int) -> str:
        if self._processes:
            gone = self._processes - count
            return (
                f"prunecheck: {gone} of {self._processes} worker processes ended and could not be started anew: "
                "the runs go on with the others."
            )
        return (
            "prunecheck: the scheduler has no worker any more: the runs go on as soon as one joins "
            "(`dask worker --nthreads 1`)."
        )
