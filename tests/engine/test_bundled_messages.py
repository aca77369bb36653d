import pytest

from prunecheck.engine.bundled_messages import SECONDS_BETWEEN_MESSAGES, BundledMessages


def test_what_follows_fast_is_sent_together_in_its_order_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now, sent = 100.0, list[list[int]]()
    monkeypatch.setattr("time.monotonic", lambda: now)
    messages = BundledMessages(lambda bundle: sent.append(list(bundle)))
    messages.add(0)
    messages.add(1)
    messages.add(2)
    assert sent == [[0]]
    now += SECONDS_BETWEEN_MESSAGES
    messages.add(3)
    assert sent == [[0], [1, 2, 3]]
    messages.add(4)
    messages.send()
    messages.send()
    assert sent == [[0], [1, 2, 3], [4]]
