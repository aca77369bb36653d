"""Whatever code of a user's raises becomes one sentence."""

import contextlib
from collections.abc import Iterator

import torch

from prunecheck.errors import InputError

LONGEST_MESSAGE = 300
"""Characters of what was raised that are repeated."""

NOT_ITS_FAILURES: tuple[type[BaseException], ...] = (InputError, KeyboardInterrupt, GeneratorExit)
"""What is raised through a user's code and not by it."""

SHORT_OF_MEMORY: tuple[type[BaseException], ...] = (MemoryError, torch.OutOfMemoryError)
"""What may be the machine's fault."""


@contextlib.contextmanager
def failure_named(what: str, *, beside: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
    """Turn what is raised within, whatever it is, into one sentence.

    Args:
        what: what failed, the sentence's beginning.
        beside: what is left to others, such as :data:`SHORT_OF_MEMORY`.

    Raises:
        InputError: something was raised.
    """
    try:
        yield
    except NOT_ITS_FAILURES + beside:
        raise
    except BaseException as error:  # a criterion may call sys.exit
        raise InputError(f"{what} ({described(error)}): correct it first.") from error


def described(error: BaseException) -> str:
    """Return an error's type and message in one line."""
    try:
        message = " ".join(str(error).split()).rstrip(".")
        message = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in message)  # for terminals
    except Exception:  # its own __str__ may fail, too
        message = ""
    short = message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}..."
    return f"{type(error).__name__}: {short}" if short else type(error).__name__
