# mypy: allow-untyped-calls
"""The engine, dask.distributed, at a scheduler that someone else has started, and what both kinds of it share."""

import asyncio
import contextlib
import logging
import socket
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from prunecheck.declared_types import json_of
from prunecheck.engine.interrupts import interrupts_held_back
from prunecheck.errors import InputError, field_name
from prunecheck.plain_files import read_plain_text

GPUS_VARIABLE = "CUDA_VISIBLE_DEVICES"

SECONDS_TO_CONNECT = 5

PACKAGES = ("prunecheck", "distributed", "torch")
"""Whose versions are the same on all machines: what is sent is theirs, and so are the bits of a result."""


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
        with interrupts_held_back():
            client = _connect(address, scheduler)
        with client:
            _require_own_versions(client)
            yield client


def scheduler_address(scheduler: str) -> str:
    """Return the address that a user gave, or that the scheduler's file holds.

    Raises:
        InputError: it is neither an address of a kind that is spoken here nor a scheduler file.
    """
    known = "tcp://HOST:PORT, tls://HOST:PORT or the file of dask scheduler --scheduler-file"
    takes = f"{field_name('scheduler')} takes {known}"
    address, where = scheduler, ""
    if "://" not in scheduler:
        try:
            address, where = (
                json_of(read_plain_text(Path(scheduler).expanduser()))["address"],
                f" in {scheduler}",
            )
        except OSError as error:
            raise InputError(f"{scheduler} cannot be read ({error.strerror}): {takes}.", field="scheduler") from error
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"{scheduler} is not the file of a scheduler: {takes}.", field="scheduler") from error
    if not str(address).startswith(("tcp://", "tls://")):
        raise InputError(f"{address!r}{where} is not the address of a scheduler: {takes}.", field="scheduler")
    return str(address)


def _connect(address: str, scheduler: str) -> Any:
    from distributed import Client, Security

    security = Security()
    if address.startswith("tls://") and not security.get_tls_config_for_role("client")["ca_file"]:
        raise InputError(
            f"{address} needs certificates, and dask's configuration names none: set distributed.comm.tls.ca-file, "
            "distributed.comm.tls.client.cert and distributed.comm.tls.client.key in ~/.config/dask, or "
            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ..._CLIENT__CERT and ..._CLIENT__KEY in the environment."
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
        f"is running there and can be reached from here, or correct {field_name('scheduler')}.",
        field="scheduler",
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


def nanny_answers(address: str) -> bool:
    """Say whether something still listens at the address of a nanny; one that was killed has left its machine."""
    from distributed.comm.addressing import get_address_host_port

    try:
        with socket.create_connection(get_address_host_port(address), timeout=SECONDS_TO_CONNECT):
            return True
    except (OSError, ValueError):
        return False


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
