"""What the system has no more of, told by the errors that come of it, wherever that is noticed."""

import errno
import resource
import threading

LEAST_ADDRESSES = 1 << 30
"""Bytes of addresses without which torch is not loaded, or OpenBLAS, which asks for its buffers again and again."""

MEMORY = "memory"

THREADS = "threads or processes"

OF_MEMORY = ("failed to map segment", "cannot allocate memory", "can't allocate memory")
"""What libraries say that find no memory, in errors of other kinds: those that are loaded, and torch's allocator."""

OF_THREADS = "can't start new thread"


def require_addresses() -> None:
    """Raise :class:`MemoryError` if a limit leaves this process fewer addresses than it needs to import anything."""
    allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
    if allowed != resource.RLIM_INFINITY and allowed < LEAST_ADDRESSES:
        raise MemoryError


def what_is_missing(error: BaseException) -> str | None:
    """Return what the system gave no more of, where an error comes of that; None of any other.

    OpenBLAS, which starts its threads while it is loaded, interrupts its own process where it cannot.
    """
    one: BaseException | None = error
    while one:
        if found := _missing_by_itself(one):
            return found
        one = one.__cause__ or one.__context__
    return None


def _missing_by_itself(error: BaseException) -> str | None:
    if isinstance(error, KeyboardInterrupt):
        return None if _threads_can_be_started() else THREADS
    number, text = getattr(error, "errno", None), str(error).lower()
    if isinstance(error, MemoryError) or number == errno.ENOMEM or any(words in text for words in OF_MEMORY):
        return MEMORY
    return THREADS if number == errno.EAGAIN or OF_THREADS in text else None


def _threads_can_be_started() -> bool:
    thread = threading.Thread(target=lambda: None)
    try:
        thread.start()
    except (RuntimeError, MemoryError):
        return False
    thread.join()
    return True
