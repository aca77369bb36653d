# mypy: allow-untyped-calls
"""What a scheduler is, and what is not one."""

import http.server
import json
import multiprocessing
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from prunecheck.engine import dask_cluster as engine
from prunecheck.engine.dask_cluster import remote_client, scheduler_address
from prunecheck.errors import InputError


@pytest.fixture
def web_server() -> Iterator[str]:
    class Silent(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def mute_server() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def nobody() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"tcp://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["nobody", "mute_server", "web_server"])
def test_what_is_no_scheduler_is_given_up_soon(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str, tmp_path: Path
) -> None:
    address = request.getfixturevalue(kind)
    monkeypatch.setattr(engine, "SECONDS_TO_CONNECT", 0.5)
    expected = f"^no scheduler answers at {address} within 0.5 seconds.*: see that `dask scheduler` is running there"
    with pytest.raises(InputError, match=expected), remote_client(address):
        pass
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": address}))
    with pytest.raises(InputError, match=f"answers at {address} of {file} within"), remote_client(str(file)):
        pass
    assert multiprocessing.active_children() == []


def test_tls_without_certificates_says_which_settings_are_missing() -> None:
    with pytest.raises(InputError, match=r"distributed\.comm\.tls\.ca-file"), remote_client("tls://127.0.0.1:1"):
        pass


def test_a_scheduler_is_an_address_or_a_file(tmp_path: Path) -> None:
    assert scheduler_address("tcp://10.0.0.1:8786") == "tcp://10.0.0.1:8786"
    assert scheduler_address("tls://login:8786") == "tls://login:8786"
    file = tmp_path / "scheduler.json"
    file.write_text('{"type": "Scheduler", "address": "tls://10.1.2.3:8786"}')
    assert scheduler_address(str(file)) == "tls://10.1.2.3:8786"


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '"tcp://a:1"', '{"address": "inproc://1/2/3"}', '{"address": 3}', "[" * 100_000, "\x80"],
)
def test_a_file_that_is_none_of_a_scheduler_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "scheduler.json"
    file.write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=rf"{file}.* is not the .*: scheduler takes tcp://HOST:PORT, tls://"):
        scheduler_address(str(file))


@pytest.mark.parametrize("scheduler", ["localhost:8786", "http://localhost:8786", "ucx://a:1", "."])
def test_what_is_neither_an_address_nor_a_file_is_refused(scheduler: str) -> None:
    with pytest.raises(InputError, match="scheduler takes tcp://HOST:PORT, tls://HOST:PORT or the file of"):
        scheduler_address(scheduler)
