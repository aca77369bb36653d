# mypy: allow-untyped-calls, disable-error-code="misc"
"""Messages of the engine sent at once, whatever becomes of the clock.

Its sender lets a few milliseconds pass between two messages, by the time of day: where the clock is set back meanwhile,
nothing is sent until that time comes again.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

NO_WAIT = -math.inf
"""Seconds between two messages; added to any time of day, this is over."""


@contextlib.contextmanager
def sent_at_once() -> Iterator[None]:
    """Have senders that this process makes in the block, of its scheduler and clients, wait for no time of day."""
    from distributed.batched import BatchedSend

    begin = BatchedSend.__init__

    def begin_without_wait(self: Any, interval: Any, *arguments: Any, **named: Any) -> None:
        begin(self, interval, *arguments, **named)
        self.interval = NO_WAIT

    BatchedSend.__init__ = begin_without_wait  # type: ignore[method-assign]
    try:
        yield
    finally:
        BatchedSend.__init__ = begin  # type: ignore[method-assign]
