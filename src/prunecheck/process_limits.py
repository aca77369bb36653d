"""What this system allows a command: open files, threads and processes, semaphores, a connection to itself."""

import contextlib
import logging
import multiprocessing
import os
import resource
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from prunecheck.errors import InputError, field_name

LOOPBACK = "127.0.0.1"

FILES_OF_A_COMMAND = 64
"""Open files of a command without its workers, with some to spare."""

FILES_OF_A_WORKER = 12
"""Open files that a command holds for each of its worker processes: pipes, semaphores' files, connections."""

THREADS_OF_A_COMMAND = 8
THREADS_FOR_A_WORKER = 4
"""Threads that a command starts for itself, and for each of its worker processes."""

THREADS_OF_A_WORKER = 12
"""Threads of a worker process, which the system counts with the command's."""

SMALLEST_STACK = 256 * 1024

WITHOUT_ENGINE = f"{field_name('workers')} set to 1, which starts none"


def allow_most_open_files() -> int:
    """Raise this process's limit of open files as far as it may be raised, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):  # macOS refuses what its kernel does not reach
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 2**31 if limit == resource.RLIM_INFINITY else limit


def workers_with_open_files() -> int:
    """Return for how many worker processes the limit of open files suffices; at least 1."""
    return max(1, (allow_most_open_files() - FILES_OF_A_COMMAND) // FILES_OF_A_WORKER)


def require_startable(workers: int) -> None:
    """See that this system lets worker processes be started, so that none of them is what finds out.

    Args:
        workers: how many processes.

    Raises:
        InputError: there are too few open files, threads or processes for so many, or the system lacks what any
            of them needs.
    """
    _require_open_files(workers)
    _require_semaphores()
    _require_loopback()
    _require_threads(workers)


def _who_needs(workers: int) -> str:
    return "1 worker process needs" if workers == 1 else f"{workers} worker processes need"


def _require_open_files(workers: int) -> None:
    allowed, needed = allow_most_open_files(), FILES_OF_A_COMMAND + FILES_OF_A_WORKER * workers
    if allowed < needed:
        who = _who_needs(workers)
        raise InputError(
            f"{who} about {needed} open files, and {allowed} are allowed: raise the limit (ulimit -n), or lower "
            f"{field_name('workers')} to {workers_with_open_files()}.",
            field="workers",
        )


def _require_semaphores() -> None:
    """Make one as those that processes are told things by: on Linux they are files in ``/dev/shm``."""
    try:
        multiprocessing.get_context("spawn").Lock()
    except (OSError, ImportError) as error:
        raise InputError(
            f"worker processes need semaphores, and the system gives none ({_reason(error)}): see that /dev/shm can be "
            f"written to and has space, or train with {WITHOUT_ENGINE}."
        ) from error


def _require_loopback() -> None:
    try:
        with socket.create_server((LOOPBACK, 0)) as server, socket.create_connection(server.getsockname(), timeout=5):
            pass
    except OSError as error:
        raise InputError(
            f"worker processes are reached over {LOOPBACK}, which cannot be connected to ({_reason(error)}): bring the "
            f"loopback interface up (ip link set lo up), or train with {WITHOUT_ENGINE}."
        ) from error


def _require_threads(workers: int) -> None:
    """Hold as many threads at once as are going to be; those that other processes will hold with little memory."""
    own = THREADS_OF_A_COMMAND + THREADS_FOR_A_WORKER * workers
    needed = own + (1 + THREADS_OF_A_WORKER) * workers
    with contextlib.ExitStack() as held:
        had = held.enter_context(_held_threads(own))
        if had == own:
            had += held.enter_context(_held_threads(needed - own, SMALLEST_STACK))
    if had < needed:
        fit = max(1, (had - THREADS_OF_A_COMMAND) // (THREADS_FOR_A_WORKER + THREADS_OF_A_WORKER + 1))
        who = _who_needs(workers)
        raise InputError(
            f"{who} about {needed} threads, and the system gives this command no more than "
            f"{had}{_limits('u', 'v')}: raise the limit, of this shell or of the container, or lower "
            f"{field_name('workers')} to {fit}.",
            field="workers",
        )


@contextlib.contextmanager
def _held_threads(count: int, stack: int = 0) -> Iterator[int]:
    """Start threads that wait for the end of the block, and yield how many of them could be started."""
    end = threading.Event()
    threads: list[threading.Thread] = []
    before = threading.stack_size(stack)
    try:
        with contextlib.suppress(RuntimeError, MemoryError):
            for _ in range(count):
                thread = threading.Thread(target=end.wait, daemon=True)
                thread.start()
                threads.append(thread)
        yield len(threads)
    finally:
        threading.stack_size(before)
        end.set()
        for thread in threads:
            thread.join()


LIMITS = {
    "n": (resource.RLIMIT_NOFILE, "open files", 1),
    "u": (getattr(resource, "RLIMIT_NPROC", None), "processes", 1),
    "v": (resource.RLIMIT_AS, "kB of address space", 1024),
}
"""By the letter of ``ulimit``: what is limited, its unit in words and in what the system counts."""


def _limits(*letters: str) -> str:
    """Return the limits that are set, in brackets; nothing if none of them is."""
    said = []
    for letter in letters:
        kind, words, unit = LIMITS[letter]
        limit = resource.RLIM_INFINITY if kind is None else resource.getrlimit(kind)[0]
        if limit != resource.RLIM_INFINITY:
            said.append(f"ulimit -{letter} allows {limit // unit} {words}")
    return f" ({', '.join(said)})" if said else ""


def limits_in_words() -> str:
    """Return the limits of open files, processes and address space that are set, in brackets; nothing if none is."""
    return _limits(*LIMITS)


MEMORY_SHARE = 0.5
"""What takes more than this share of the memory that is free is said beforehand."""

CGROUP = Path("/sys/fs/cgroup")
"""Where Linux says how much memory a container may use."""


def require_memory(what: str, needed: int, remedy: str = "use fewer or smaller images") -> None:
    """See that there is memory for something before it is read, and say so where it is much of what is free.

    Args:
        what: needs the memory; begins the sentence.
        needed: bytes.
        remedy: how less would be needed.

    Raises:
        InputError: it takes more than is free.
    """
    free = available_memory()
    if free is None or needed <= MEMORY_SHARE * free:
        return
    if needed > free:
        raise InputError(
            f"{what}: {gibibytes(needed)} of memory are needed, and {gibibytes(free)} are free: {remedy}, "
            "or free some memory."
        )
    logging.getLogger(__name__).warning(
        "%s: %s of memory are needed, and %s are free.", what, gibibytes(needed), gibibytes(free)
    )


def gibibytes(size: int) -> str:
    """Return a number of bytes in words."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 / 10 else f"{size / 2**20:.1f} MiB"


def available_memory() -> int | None:
    """Return how many bytes of memory are free for this process: the machine's, or what its container is left.

    None where the system does not say.
    """
    return min((size for size in (_free_on_machine(), _free_in_container()) if size is not None), default=None)


def _free_on_machine() -> int | None:
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) * 1024
    with contextlib.suppress(ImportError):
        import psutil  # type: ignore[import-untyped]

        return int(psutil.virtual_memory().available)
    return None


def _free_in_container() -> int | None:
    for folder, limit, used in (
        (CGROUP, "memory.max", "memory.current"),
        (CGROUP / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        with contextlib.suppress(OSError, ValueError):  # "max" for no limit
            kept = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
            free = int((folder / limit).read_text(encoding="ascii")) - int((folder / used).read_text(encoding="ascii"))
            return max(0, free + int(kept.get("inactive_file", 0)))  # what was read is let go where memory is short
    return None


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def private_folder() -> Path:
    """Return a folder for temporary files that nobody else may look into, and that nobody else has prepared.

    It is the same one in every call, unless someone has prepared that.

    Raises:
        InputError: there is no folder for temporary files that can be written to.
    """
    import tempfile

    try:
        folder = Path(tempfile.gettempdir()) / f"prunecheck-{os.geteuid()}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        status = folder.lstat()
        is_own = status.st_uid == os.geteuid() and status.st_mode & 0o170777 == 0o040700
        if not is_own:
            folder = Path(tempfile.mkdtemp(prefix="prunecheck-"))
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"worker processes need a folder for temporary files, and none can be written to ({_reason(error)}): set "
            f"TMPDIR to one that can, or train with {WITHOUT_ENGINE}."
        ) from error
    return folder
