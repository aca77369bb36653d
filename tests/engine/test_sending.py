# mypy: allow-untyped-calls
"""A clock that is set back between two messages does not keep the second one waiting."""

import asyncio
from typing import Any

import distributed.batched
import pytest
from distributed.batched import BatchedSend
from tornado.ioloop import IOLoop

from prunecheck.engine.sending import sent_at_once

DAY = 86_400.0


class Connection:
    """What a sender writes to. While it writes the first message a second is sent, and the clock is set back a day."""

    def __init__(self) -> None:
        self.written: list[Any] = []
        self.clock = 3 * DAY
        self.sender: Any = None

    def closed(self) -> bool:
        return False

    def now(self) -> float:
        return self.clock

    async def write(self, messages: list[Any], **_: Any) -> int:
        self.written += messages
        if messages == ["first"]:
            self.sender.send("second")
            self.clock -= DAY
        return 1


async def _sent_within(connection: Connection, seconds: float) -> list[Any]:
    connection.sender = BatchedSend("2ms", loop=IOLoop.current())
    connection.sender.start(connection)
    connection.sender.send("first")
    while "second" not in connection.written and seconds > 0:
        await asyncio.sleep(0.001)
        seconds -= 0.001
    return connection.written


def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    connection = Connection()
    monkeypatch.setattr(distributed.batched, "time", connection.now)
    return asyncio.run(_sent_within(connection, 0.5))


def test_the_engines_own_sender_waits_for_the_time_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "second" not in sent(monkeypatch)  # else the remedy is needed no more


def test_nothing_waits_when_all_is_sent_at_once_and_other_senders_are_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin = BatchedSend.__init__
    with sent_at_once():
        assert "second" in sent(monkeypatch)
    assert BatchedSend.__init__ is begin
