# mypy: allow-untyped-calls
"""The engine on this machine: a scheduler in this process, and processes that do the runs."""

import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from prunecheck.engine.dask_cluster import GPUS_VARIABLE
from prunecheck.engine.fork_server import used
from prunecheck.engine.interrupts import interrupts_held_back
from prunecheck.engine.main_module import main_module_left_out
from prunecheck.engine.processes import SAFE_PATH, KeptWorkers, Processes, begun_processes, kept
from prunecheck.engine.sending import sent_at_once
from prunecheck.engine.settings import import_engine, local_security, local_settings
from prunecheck.errors import InputError, field_name
from prunecheck.process_limits import LOOPBACK, limits_in_words, private_folder

SECONDS_TO_START = 120
SECONDS_TO_START_A_WORKER = 4
"""How long the engine may take to start: so long, and so long more for each of its processes."""

STARTS = 3
"""So often the engine is started where a process of it ends while it starts: who killed one may have meant another."""

KILLED_AT_ITS_START = "Nanny failed to start worker process"
"""What the engine then says."""

SECONDS_TO_END = 60

Value = TypeVar("Value")


@contextlib.contextmanager
def kept_client(workers: int, gpus: Sequence[str] = (), dashboard: str | None = None) -> Iterator[tuple[Any, int]]:
    """Yield the client of at least so many processes, and how many they are: of those that are kept, if there are.

    They wait for what is handed out later in a block of :func:`prunecheck.engine.processes.processes_kept`, and end
    with it, or with what is raised here.

    Args:
        workers: see :func:`local_client`, as for what else it takes and raises.
        gpus: see there.
        dashboard: see there.
    """
    here, kind = kept(), (tuple(gpus), dashboard)
    if here is None:
        with local_client(workers, gpus, dashboard) as client:
            yield client, workers
        return
    if here.workers and (here.workers.kind != kind or here.workers.count < workers):
        here.workers.until_end.close()
        here.workers = None
    if here.workers is None:
        until_end = contextlib.ExitStack()
        client = until_end.enter_context(local_client(workers, gpus, dashboard))
        here.until_end.callback(until_end.close)  # after what they are copies of was begun, and so before that ends
        here.workers = KeptWorkers(workers, kind, client, until_end)
    try:
        yield here.workers.client, here.workers.count
    except BaseException:
        ended, here.workers = here.workers, None
        ended.until_end.close()
        raise


@contextlib.contextmanager
def local_client(workers: int, gpus: Sequence[str] = (), dashboard: str | None = None) -> Iterator[Any]:
    """Start single-thread processes on this machine, reached over loopback, and yield their client.

    They talk to nobody who has not the certificate of this call, which lies in their memory alone. All of them, and
    what they have started, have ended when the block or this process does.

    Args:
        workers: how many processes.
        gpus: what ``CUDA_VISIBLE_DEVICES`` may name; each process gets one, in turn. None for all
            processes to see what this one sees.
        dashboard: ``HOST:PORT`` of the engine's dashboard; None for none.

    Raises:
        InputError: the dashboard cannot be shown there, or the processes cannot be started.
    """
    own_safe_path = os.environ.get(SAFE_PATH, "")
    with contextlib.ExitStack() as open_until_end:
        if dashboard is not None:
            _require_dashboard(dashboard)
        processes = open_until_end.enter_context(begun_processes(workers))
        open_until_end.enter_context(processes.environment())
        open_until_end.callback(processes.end_workers)
        open_until_end.enter_context(used(processes.server))
        open_until_end.enter_context(main_module_left_out())
        temporary = private_folder()
        import_engine()
        security = local_security()
        open_until_end.enter_context(local_settings(temporary))
        open_until_end.enter_context(sent_at_once())
        variables = [_environment(number, gpus) | {SAFE_PATH: own_safe_path} for number in range(workers)]

        def start() -> tuple[Any, Any]:
            return _start(variables, security, temporary, dashboard)

        with interrupts_held_back(), _failure_in_words(workers):
            cluster, client = _started(SECONDS_TO_START + SECONDS_TO_START_A_WORKER * workers, start, processes)
        open_until_end.callback(_end, cluster, client, processes)
        yield client


def _start(
    variables: Sequence[dict[str, str]], security: Any, temporary: Path, dashboard: str | None
) -> tuple[Any, Any]:
    """Start the scheduler and a process for each item of ``variables``, which are added to its environment."""
    from distributed import Client, Nanny, Scheduler, SpecCluster

    from prunecheck.engine.without_http import SchedulerWithoutHTTP, WorkerWithoutHTTP

    common = {"host": LOOPBACK, "protocol": "tls://", "security": security}
    scheduler = {"port": 0, "dashboard": dashboard is not None, "dashboard_address": dashboard}
    worker = {
        "worker_class": WorkerWithoutHTTP,
        "nthreads": 1,
        "memory_limit": 0,
        "dashboard": False,
        "silence_logs": logging.CRITICAL,
        "local_directory": str(temporary),
    }
    cluster = SpecCluster(
        scheduler={"cls": Scheduler if dashboard else SchedulerWithoutHTTP, "options": common | scheduler},
        workers={
            number: {"cls": Nanny, "options": common | worker | {"env": own}} for number, own in enumerate(variables)
        },
        security=security,
        silence_logs=logging.CRITICAL,
    )
    try:
        return cluster, Client(cluster, set_as_default=False)
    except BaseException:
        cluster.close()
        raise


def _started(seconds: float, start: Callable[[], Value], processes: Processes) -> Value:
    """Return what :func:`_within` does; where a process is killed while it starts, begin once more, or twice."""
    for _ in range(STARTS - 1):
        try:
            return _within(seconds, start, processes)
        except RuntimeError as error:
            if _innermost(error) != KILLED_AT_ITS_START:
                raise
            processes.end_workers()
    return _within(seconds, start, processes)


def _within(seconds: float, work: Callable[[], Value], processes: Processes) -> Value:
    """Return what a piece of work returns, or raise what it raises; it is done in a thread of its own.

    A process that is to be started and cannot be may leave the engine waiting for something that never comes.

    Raises:
        TimeoutError: it took longer than ``seconds``. Its processes are ended, by which it ends too.
    """
    ended: queue.SimpleQueue[tuple[Value | None, BaseException | None]] = queue.SimpleQueue()

    def do() -> None:
        try:
            ended.put((work(), None))
        except BaseException as error:
            ended.put((None, error))

    threading.Thread(target=do, daemon=True, name="prunecheck engine").start()
    try:
        value, error = ended.get(timeout=seconds)
    except queue.Empty:
        processes.end_workers()
        raise TimeoutError(f"nothing has come of it in {seconds:.0f} seconds") from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


@contextlib.contextmanager
def _failure_in_words(workers: int) -> Iterator[None]:
    """Turn whatever the start of the engine ends with into one sentence."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        processes = "worker process" if workers == 1 else "worker processes"
        raise InputError(
            f"{workers} {processes} could not be started ({_innermost(error)}){limits_in_words()}: raise what is "
            f"limited, or train with fewer {field_name('workers')}; with 1 none is started.",
            field="workers",
        ) from error


def _innermost(error: BaseException) -> str:
    """Return in one line what an error says that was raised first."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _end(cluster: Any, client: Any, processes: Processes) -> None:
    """End the engine, in whatever state it is."""

    def close() -> None:
        with contextlib.suppress(Exception):
            client.close()
        cluster.close()

    with contextlib.suppress(Exception):  # its processes are ended in any case, and what they have done is on disk
        _within(SECONDS_TO_END, close, processes)


def _environment(number: int, gpus: Sequence[str]) -> dict[str, str]:
    return {GPUS_VARIABLE: gpus[number % len(gpus)]} if gpus else {}


def _require_dashboard(address: str) -> None:
    """Raise :class:`InputError` unless a dashboard can be shown at ``HOST:PORT``."""
    import importlib.util
    import socket

    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        raise InputError(f"the dashboard takes HOST:PORT, for example {LOOPBACK}:8787, not {address!r}.")
    if not importlib.util.find_spec("bokeh"):
        raise InputError("the dashboard needs bokeh, and it is not installed: pip install bokeh.")
    try:
        with socket.create_server((host, int(port))):
            pass
    except (OSError, OverflowError) as error:
        raise InputError(f"the dashboard cannot be shown at {address} ({error}): choose another address.") from error
