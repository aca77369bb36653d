# mypy: allow-untyped-calls
"""The engine, dask.distributed: its processes on this machine, or a scheduler that someone else has started."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from prunecheck.errors import InputError

LOOPBACK = "127.0.0.1"

WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""One thread each. The engine's own default also has freed memory handed back at once, which costs
a training step that frees and takes the same buffers a third of its speed."""

LOCAL_SETTINGS = {
    "distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT,
    # A run at a time, so that all are begun in order and none waits for a worker that is busy.
    "distributed.scheduler.worker-saturation": 1.0,
    # How many steps of runs that are over the scheduler remembers: by default enough to grow for days.
    "distributed.admin.low-level-log-length": 100,
    # A worker of this machine that ends is noticed at once. One that is silent has slept with the
    # machine, or the clock was set.
    "distributed.scheduler.worker-ttl": None,
    # Nobody reads a worker's profile, which is sampled while it trains.
    "distributed.worker.profile.enabled": False,
}

GPUS_VARIABLE = "CUDA_VISIBLE_DEVICES"

SECONDS_TO_CONNECT = 5

PACKAGES = ("prunecheck", "distributed", "torch")
"""Whose versions are the same on all machines: what is sent is theirs, and so are the bits of a result."""


@contextlib.contextmanager
def local_client(workers: int, gpus: Sequence[str] = (), dashboard: str | None = None) -> Iterator[Any]:
    """Start single-thread processes on this machine, reached over loopback, and yield their client.

    Args:
        workers: how many processes.
        gpus: what ``CUDA_VISIBLE_DEVICES`` may name; each process gets one, in turn. None for all
            processes to see what this one sees.
        dashboard: ``HOST:PORT`` of the engine's dashboard; None for none.

    Raises:
        InputError: the dashboard cannot be shown there.
    """
    import dask
    from distributed import Client, Nanny, Scheduler, Security, SpecCluster

    if dashboard is not None:
        _require_dashboard(dashboard)
    with contextlib.ExitStack() as open_until_end:
        open_until_end.enter_context(_own_environment_kept())
        open_until_end.enter_context(dask.config.set(LOCAL_SETTINGS))
        security = Security()
        common = {
            "host": LOOPBACK,
            "protocol": "tls://" if security.require_encryption else "tcp://",
            "security": security,
        }
        scheduler = {
            "port": 0,
            "dashboard": dashboard is not None,
            "dashboard_address": dashboard or f"{LOOPBACK}:0",
        }
        worker = {"nthreads": 1, "memory_limit": 0, "dashboard": False, "silence_logs": logging.CRITICAL}
        with _interrupts_held_back():
            cluster = SpecCluster(
                scheduler={"cls": Scheduler, "options": common | scheduler},
                workers={
                    number: {"cls": Nanny, "options": common | worker | {"env": _environment(number, gpus)}}
                    for number in range(workers)
                },
                security=security,
                silence_logs=logging.CRITICAL,
            )
            open_until_end.enter_context(cluster)
            client = open_until_end.enter_context(Client(cluster, set_as_default=False))
        yield client


def _environment(number: int, gpus: Sequence[str]) -> dict[str, str]:
    return {GPUS_VARIABLE: gpus[number % len(gpus)]} if gpus else {}


@contextlib.contextmanager
def _own_environment_kept() -> Iterator[None]:
    """Undo at the end what the engine leaves in this process of the environment that its workers start with.

    It can be told no other way: what it gives to a worker alone is set after numpy was imported there, too late for
    the number of threads, and it sets ``PYTHONHASHSEED`` here whatever it is told.
    """
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` spells them.

    Args:
        environment: of this process; the CUDA driver reads it too.
    """
    named = environment.get(GPUS_VARIABLE)
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]


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


@contextlib.contextmanager
def remote_client(scheduler: str) -> Iterator[Any]:
    """Yield a client of a scheduler that someone else has started, and whose workers stay when it ends.

    Args:
        scheduler: ``tcp://HOST:PORT``, ``tls://HOST:PORT``, or the path of a scheduler file.

    Raises:
        InputError: it cannot be reached, or it has other versions than this process.
    """
    from distributed.utils import silence_logging_cmgr

    address = scheduler_address(scheduler)
    with silence_logging_cmgr(logging.CRITICAL), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the engine says of versions is said below
        with _interrupts_held_back():
            client = _connect(address, scheduler)
        with client:
            _require_own_versions(client)
            yield client


def scheduler_address(scheduler: str) -> str:
    """Return the address that a user gave, or that the scheduler's file holds.

    Raises:
        InputError: it is neither an address of a kind that is spoken here nor a scheduler file.
    """
    takes = "--scheduler takes tcp://HOST:PORT, tls://HOST:PORT or the file of dask scheduler --scheduler-file"
    address, where = scheduler, ""
    if "://" not in scheduler:
        try:
            address, where = json.loads(Path(scheduler).expanduser().read_text())["address"], f" in {scheduler}"
        except OSError as error:
            raise InputError(f"{scheduler} cannot be read ({error.strerror}): {takes}.") from error
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"{scheduler} is not the file of a scheduler: {takes}.") from error
    if not str(address).startswith(("tcp://", "tls://")):
        raise InputError(f"{address!r}{where} is not the address of a scheduler: {takes}.")
    return str(address)


def _connect(address: str, scheduler: str) -> Any:
    from distributed import Client, Security

    security = Security()
    if address.startswith("tls://") and not security.get_tls_config_for_role("client")["ca_file"]:
        raise InputError(
            f"{address} needs certificates, and dask's configuration names none: set distributed.comm.tls.ca-file, "
            "distributed.comm.tls.client.cert and distributed.comm.tls.client.key in ~/.config/dask."
        )
    of = "" if scheduler == address else f" of {scheduler}"
    try:
        with ThreadPoolExecutor(1) as thread:  # this one may have an event loop already, as notebooks have
            kind = thread.submit(asyncio.run, _kind_of(address, security)).result()
        if kind == "Scheduler":
            return Client(address, timeout=SECONDS_TO_CONNECT, security=security, set_as_default=False)
        reason = f" (but a {kind})"
    # Whatever the engine makes of what answers there, which need not speak its protocol.
    except Exception as error:
        reason = _in_short(error)
    raise InputError(
        f"no scheduler answers at {address}{of} within {SECONDS_TO_CONNECT} seconds{reason}: see that `dask scheduler` "
        "is running there and can be reached from here, or correct --scheduler."
    )


async def _kind_of(address: str, security: Any) -> str:
    """Ask who answers at an address, and wait for no longer than a user does; the engine's client does not give up."""
    from distributed.core import rpc

    async with asyncio.timeout(SECONDS_TO_CONNECT):
        remote = rpc(address, connection_args=security.get_connection_args("client"), timeout=SECONDS_TO_CONNECT)
        try:
            return str((await remote.identity())["type"])
        finally:
            await remote.close_rpc()


def _in_short(error: BaseException) -> str:
    """Return the innermost reason of an error in one line, in brackets; nothing if it says none."""
    while error.__cause__:
        error = error.__cause__
    reason = " ".join(str(error).split()).rstrip(".")
    return f" ({reason})" if reason else ""


def own_versions() -> dict[str, str | None]:
    """Return the versions that all machines of a cluster need to have in common."""
    from distributed.versions import get_package_info

    return _public(get_package_info(PACKAGES))


def _public(versions: Mapping[str, str | None]) -> dict[str, str | None]:
    """Leave what is compared, without what says for which devices torch was built."""
    return {name: version and version.partition("+")[0] for name, version in versions.items() if name in PACKAGES}


def require_same_versions(who: str, found: Mapping[str, str | None], own: Mapping[str, str | None]) -> None:
    """Raise :class:`InputError`, which names both versions, if ``who`` has another one than this command."""
    for package, version in own.items():
        theirs = found.get(package)
        if theirs != version:
            raise InputError(
                f"{who} has {package} {theirs or 'not installed'} and this command {version}: install the same "
                "versions on all machines."
            )


def _require_own_versions(client: Any) -> None:
    """Raise :class:`InputError` if the scheduler, or a worker that it has, has other versions than this process."""
    found = client.get_versions(packages=PACKAGES)
    own = own_versions()
    require_same_versions("the scheduler", _public(found["scheduler"]["packages"]), own)
    for address, worker in found["workers"].items():
        require_same_versions(f"the worker {address}", _public(worker["packages"]), own)


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C, which a terminal sends to every process of a command, wait for the end of the block.

    The threads and processes that are started meanwhile never get it: they inherit the mask. What
    multiprocessing starts beside its first process would lift it, and is therefore started before.
    """
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
