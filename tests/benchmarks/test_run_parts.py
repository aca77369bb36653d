from collections.abc import Iterator

import pytest

from benchmarks.run_parts import PARTS, REST, TESTS, TRAINING, Clock, counting, measured, row


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock, of which the first number is how late it is."""
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    monkeypatch.setattr("time.process_time", lambda: now[0] / 2)
    return now


def test_what_is_within_another_part_is_taken_off_it(passing: list[float]) -> None:
    clock = Clock()

    def inner() -> None:
        passing[0] += 3

    within = clock.timed("inner", inner)

    def batches() -> Iterator[int]:
        passing[0] += 1
        yield 0
        within()
        yield 1
        passing[0] += 0.5

    def outer() -> list[int]:
        passing[0] += 10
        return list(clock.timed("iterated", batches)())

    assert clock.timed("outer", outer)() == [0, 1]
    assert dict(clock.seconds) == {"inner": [1.5, 3], "iterated": [0.75, 1.5], "outer": [5, 10]}
    assert dict(clock.calls) == {"inner": 1, "iterated": 1, "outer": 1}


def test_what_fails_is_counted_and_what_was_there_is_put_back() -> None:
    before = [getattr(owner, name) for _, owner, name in PARTS]
    clock = Clock()
    with pytest.raises(KeyError), counting(clock):
        assert [getattr(owner, name) for _, owner, name in PARTS] != before
        with clock.of(REST):
            raise KeyError
    assert [getattr(owner, name) for _, owner, name in PARTS] == before
    assert REST in clock.seconds and not clock._within


def test_a_line_is_milliseconds_a_run_and_shares() -> None:
    assert row("files", [0.25, 1.0], [1.0, 2.0], 10) == ["files", "25.0", "25.0%", "100.0", "50.0%"]


def test_every_part_of_a_checks_runs_is_counted() -> None:
    clock = measured("snip", seeds=1, epochs=1)
    assert set(clock.seconds) == {part for part, *_ in PARTS}
    assert clock.calls[REST] == clock.calls["building the network"] == clock.calls["compiling the ticket"]
    assert clock.calls[TESTS] > 0 and clock.calls["scoring"] == 4  # of two kinds of images, and at random twice
    assert clock.calls[TRAINING] >= 3 * clock.calls[REST]  # of each: an epoch, its tests, and what both came to
