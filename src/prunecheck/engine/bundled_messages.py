"""Messages that follow fast on each other, sent together."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

SECONDS_BETWEEN_MESSAGES = 0.2


class BundledMessages:
    """Sends items a few times a second, whatever has come by then: each message keeps two more processes busy.

    Args:
        send: sends some of it.
    """

    def __init__(self, send: Callable[[Sequence[Any]], None]) -> None:
        self._send = send
        self._waiting: list[Any] = []
        self._sent = -math.inf

    def add(self, item: Any) -> None:
        """Send an item, now or together with those of the next moments."""
        self._waiting.append(item)
        if time.monotonic() - self._sent >= SECONDS_BETWEEN_MESSAGES:
            self.send()

    def send(self) -> None:
        """Send what waits."""
        if self._waiting:
            self._send(self._waiting)
            self._waiting, self._sent = [], time.monotonic()
