# mypy: allow-untyped-calls
"""Who else is on this machine can neither talk to the engine's processes nor look at them."""

import asyncio
import socket
import ssl
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import psutil  # type: ignore[import-untyped]
import pytest
from distributed import Security
from distributed.core import rpc

from prunecheck.engine.certificate import temporary_security
from prunecheck.engine.local import local_client

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell everyone who listens where")

PATIENCE = 20.0


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """The client of a worker process; with what a user's configuration may say about certificates of others."""
    tls = "distributed.comm.tls"
    with (
        dask.config.set({f"{tls}.ciphers": "NULL", f"{tls}.ca-file": "/proc/none", f"{tls}.min-version": 1.3}),
        local_client(1) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def ports(client: Any) -> list[int]:
    """Where the scheduler, the worker and its nanny listen."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    connections = [one for process in processes for one in process.net_connections("inet")]
    return [one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN]


def who_answers(address: str, security: Security) -> str:
    """Ask a process of the engine for its kind, which is the least that anybody who is let in may ask."""

    async def ask() -> str:
        remote = rpc(address, connection_args=security.get_connection_args("client"), timeout=PATIENCE)
        try:
            async with asyncio.timeout(PATIENCE):
                return str((await remote.identity())["type"])
        finally:
            await remote.close_rpc()

    return asyncio.run(ask())


def test_who_has_the_certificate_is_answered(client: Any, ports: list[int]) -> None:
    kinds = sorted(who_answers(f"tls://127.0.0.1:{port}", client.security) for port in ports)
    assert kinds == ["Nanny", "SchedulerWithoutHTTP", "WorkerWithoutHTTP"]
    assert client.run(sum, [1, 2]) == dict.fromkeys(client.nthreads(), 3)


@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_who_has_none_or_another_one_is_not(protocol: str, ports: list[int]) -> None:
    security = temporary_security() if protocol == "tls" else Security(require_encryption=False)
    for port in ports:
        with pytest.raises((OSError, TimeoutError)):
            who_answers(f"{protocol}://127.0.0.1:{port}", security)


def answer_to(request: bytes, port: int, context: ssl.SSLContext | None = None) -> bytes:
    """Return the first bytes of an answer; nothing if the connection is closed instead."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    try:
        connection = context.wrap_socket(connection) if context else connection
        connection.sendall(request)
        return connection.recv(64)
    except (ssl.SSLError, ConnectionError):
        return b""
    finally:
        connection.close()


def test_who_shows_no_certificate_is_told_nothing(ports: list[int]) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    assert [answer_to(b"", port, context) for port in ports] == [b""] * 3  # who is let in is told the versions first


def test_no_web_server_tells_what_is_going_on(ports: list[int]) -> None:
    for port in ports:
        assert b"HTTP" not in answer_to(b"GET /json/identity.json HTTP/1.0\r\n\r\n", port)


def test_each_command_has_a_certificate_of_its_own_that_holds_whatever_the_clock_says() -> None:
    from cryptography import x509

    one, other = temporary_security(), temporary_security()
    assert one.tls_worker_key != other.tls_worker_key
    certificate = x509.load_pem_x509_certificate(one.tls_ca_file.encode())
    assert certificate.not_valid_before_utc.year < 2001
    assert certificate.not_valid_after_utc.year == 9999


def test_what_workers_leave_on_disk_only_this_user_may_read(client: Any) -> None:
    (folder,) = client.run(lambda dask_worker: dask_worker.local_directory).values()
    below = Path(folder).relative_to(dask.config.get("temporary-directory"))
    assert below.parts
    assert stat.S_IMODE(Path(dask.config.get("temporary-directory")).stat().st_mode) == 0o700
