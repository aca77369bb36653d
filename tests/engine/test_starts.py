"""Worker processes that are killed while they start."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from prunecheck.engine.local import KILLED_AT_ITS_START, STARTS, _started

KILLED = RuntimeError(KILLED_AT_ITS_START)


@pytest.fixture
def ended() -> list[str]:
    return []


@pytest.fixture
def started(ended: list[str]) -> Callable[..., Any]:
    """Start what raises one error after another and then returns a word."""

    def started(*errors: Exception) -> Any:
        following: Iterator[Exception] = iter(errors)

        def start() -> str:
            if error := next(following, None):
                raise error
            return "begun"

        processes: Any = SimpleNamespace(end_workers=lambda: ended.append("workers"))
        return _started(60, start, processes)

    return started


def test_a_process_that_is_killed_while_it_starts_is_started_anew(
    started: Callable[..., Any], ended: list[str]
) -> None:
    assert started(*[KILLED] * (STARTS - 1)) == "begun"
    assert ended == ["workers"] * (STARTS - 1)


def test_it_is_given_up_after_some_starts(started: Callable[..., Any]) -> None:
    with pytest.raises(RuntimeError, match=KILLED_AT_ITS_START):
        started(*[KILLED] * STARTS)


def test_whatever_else_hinders_the_start_is_said_at_once(started: Callable[..., Any], ended: list[str]) -> None:
    with pytest.raises(RuntimeError, match="can't start new thread"):
        started(RuntimeError("can't start new thread"))
    assert ended == []
