"""Where names are only read: what a record names stays text, whoever has written it."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from prunecheck.errors import InputError

_is_reading: ContextVar[bool] = ContextVar("is_reading", default=False)


@contextlib.contextmanager
def reading_only() -> Iterator[None]:
    """Have no file or module of users loaded in the block, whatever names it.

    A run's folder may have been written by anybody, and says which files its method, network and checks lie in.
    """
    before = _is_reading.set(True)
    try:
        yield
    finally:
        _is_reading.reset(before)


@contextlib.contextmanager
def loading_what_the_user_names() -> Iterator[None]:
    """Have code of users loaded in the block, though it may stand in one of :func:`reading_only`.

    For what the user names in this very call, never for what a record names.
    """
    before = _is_reading.set(False)
    try:
        yield
    finally:
        _is_reading.reset(before)


def require_not_reading(what: str) -> None:
    """Raise :class:`InputError` in a block of :func:`reading_only`.

    Args:
        what: that is to be loaded, for the sentence.
    """
    if _is_reading.get():
        raise InputError(f"{what} is not loaded to read what others have recorded: name it in a command that trains.")
