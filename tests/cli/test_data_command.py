import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest

from prunecheck.data.datasets import forget_datasets
from prunecheck.data.layouts import HashedFiles
from prunecheck.data.public_datasets import CIFAR10, PUBLISHED
from prunecheck.data.readers.cifar import read_cifar10_binary
from prunecheck.data.sources import Download

Call = Callable[..., Any]

CONTENT = {"train.bin": b"training images", "test.bin": b"test images"}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PRUNECHECK_DATA", raising=False)
    forget_datasets()


@pytest.fixture
def small_cifar10(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Let cifar10 consist of two small files."""
    table = {name: (f"md5:{hashlib.md5(data).hexdigest()}", len(data)) for name, data in CONTENT.items()}
    layout = HashedFiles("binary", ("cifar-10-batches-bin",), table, read_cifar10_binary)
    monkeypatch.setitem(PUBLISHED, "cifar10", replace(CIFAR10, layouts=(layout,)))  # undone with all later changes
    return CONTENT


def put(root: Path, content: dict[str, bytes]) -> Path:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return folder


def lines_of(stdout: str) -> dict[str, str]:
    return {line.split()[0]: " ".join(line.split()[1:]) for line in stdout.splitlines() if line.startswith("  ")}


def test_list_says_of_each_set_where_it_is(
    call: Call, small_cifar10: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put(tmp_path / "data", small_cifar10)
    monkeypatch.setenv("PRUNECHECK_DATA", str(tmp_path / "other"))
    ended = call("data", "list", "--data-root", str(tmp_path / "data"))
    assert (ended.code, ended.stderr) == (0, "")
    lines = lines_of(ended.stdout)
    assert lines["digits"] == "here ships with a package"
    assert lines["cifar10"] == f"here, not verified {folder} (binary)"
    assert lines["mnist"] == "not here prunecheck data get mnist"
    assert lines["folder:<path>"] == "where you say"
    assert lines[str(tmp_path / "data")] == "--data-root"
    assert lines[str(tmp_path / "other")] == "PRUNECHECK_DATA (not there)"
    assert lines[str(tmp_path / "cache" / "prunecheck")] == "cache (not there)"
    assert not (tmp_path / "cache").exists()


def test_list_names_what_is_missing(call: Call, small_cifar10: dict[str, bytes], tmp_path: Path) -> None:
    folder = put(tmp_path, {"train.bin": small_cifar10["train.bin"]})
    lines = lines_of(call("data", "list", "--data-root", str(tmp_path)).stdout)
    assert lines["cifar10"] == f"damaged {folder} (binary): test.bin is missing"


def test_verify_ends_with_0_only_for_a_whole_set(call: Call, small_cifar10: dict[str, bytes], tmp_path: Path) -> None:
    folder = put(tmp_path, small_cifar10)
    ended = call("data", "verify", "cifar10", "--data-root", str(tmp_path))
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout == f"cifar10 in {folder} is complete: every file has its published hash.\n"

    put(tmp_path, {"train.bin": b"TRAINING IMAGES", "test.bin": b"TEST IMAGES"})
    ended = call("data", "verify", "cifar10", "--data-root", str(tmp_path))
    assert ended.code == 1
    assert ended.stdout.splitlines() == [
        f"cifar10 in {folder} is not complete:",
        "  train.bin is not the published file",
        "  test.bin is not the published file",
    ]


def test_verify_of_an_absent_set_is_one_sentence(refused: Callable[..., str], tmp_path: Path) -> None:
    sentence = refused("data", "verify", "cifar10", "--data-root", str(tmp_path))
    assert f"looked in {tmp_path}, {tmp_path}/cache/prunecheck" in sentence


def test_verify_reads_what_is_the_users_own(call: Call, tmp_path: Path) -> None:
    images, labels = numpy.zeros((4, 8, 8), numpy.uint8), numpy.array([0, 1, 0, 1])
    numpy.savez(tmp_path / "own.npz", x_train=images, y_train=labels, x_test=images[:2], y_test=labels[:2])
    ended = call("data", "verify", f"npz:{tmp_path}/own.npz")
    assert (ended.code, ended.stderr) == (0, "")
    assert "complete: 4 training and 2 test images, 2 classes." in ended.stdout


def test_verify_refuses_what_is_the_users_own_and_damaged(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "own.npz").write_bytes(b"no arrays")
    (tmp_path / "cache" / "prunecheck" / "decoded").mkdir(parents=True)
    assert "own.npz" in refused("data", "verify", f"npz:{tmp_path}/own.npz")


@pytest.mark.parametrize("command", ["get", "verify"])
def test_an_unknown_set_is_answered_with_the_nearest(refused: Callable[..., str], command: str) -> None:
    assert "did you mean cifar10" in refused("data", command, "cifar11")


@pytest.mark.parametrize("name", ["digits", "folder:<path>"])
def test_a_set_that_nobody_offers_is_not_fetched(refused: Callable[..., str], name: str) -> None:
    assert "need not be fetched" in refused("data", "get", name)


@pytest.mark.parametrize("command", ["list", "verify"])
def test_a_root_that_is_no_folder_is_refused(refused: Callable[..., str], command: str) -> None:
    arguments = ["cifar10"] if command == "verify" else []
    assert "--data-root" in refused("data", command, *arguments, "--data-root", "none")


@pytest.fixture
def address(small_cifar10: dict[str, bytes]) -> Iterator[str]:
    """Offer the small cifar10 on a local web server."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, data in small_cifar10.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    content = packed.getvalue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        offered = f"http://127.0.0.1:{server.server_address[1]}/set.tar.gz"
        download = Download((offered,), f"md5:{hashlib.md5(content).hexdigest()}")
        PUBLISHED["cifar10"] = replace(PUBLISHED["cifar10"], downloads=(download,))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield offered
        server.shutdown()
        thread.join()


def files_in(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.usefixtures("address")
def test_get_puts_a_set_into_the_cache_where_it_is_found(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "prunecheck" / "cifar-10-batches-bin"
    ended = call("data", "get", "cifar10")
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout == f"cifar10 is complete in {folder}.\n"
    assert files_in(folder) == CONTENT
    assert call("data", "verify", "cifar10").code == 0
    assert lines_of(call("data", "list").stdout)["cifar10"].startswith("here")


@pytest.mark.usefixtures("address")
def test_get_makes_the_root_that_is_named(call: Call, tmp_path: Path) -> None:
    assert call("data", "get", "cifar10", "--data-root", str(tmp_path / "new" / "root")).code == 0
    assert files_in(tmp_path / "new" / "root" / "cifar-10-batches-bin") == CONTENT
    assert not (tmp_path / "cache").exists()


def test_get_fetches_nothing_that_is_here_and_whole(
    call: Call, small_cifar10: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRUNECHECK_DATA", str(tmp_path / "data"))
    folder = put(tmp_path / "data", small_cifar10)
    assert call("data", "get", "cifar10").stdout == f"cifar10 is complete in {folder}.\n"


@pytest.mark.usefixtures("address")
def test_get_makes_a_damaged_cache_good_and_leaves_a_users_folder_alone(
    call: Call, refused: Callable[..., str], tmp_path: Path
) -> None:
    cached = put(tmp_path / "cache" / "prunecheck", {"train.bin": b"damaged"})
    assert call("data", "get", "cifar10").code == 0
    assert files_in(cached) == CONTENT

    own = put(tmp_path / "own", {"train.bin": b"damaged"})
    assert str(own) in refused("data", "get", "cifar10", "--data-root", str(tmp_path / "own"))
    assert files_in(own) == {"train.bin": b"damaged"}


def test_without_a_network_one_sentence_says_what_to_do(
    refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (tmp_path / "cache" / "prunecheck").mkdir(parents=True)
    sentence = refused("data", "get", "cifar100")
    assert "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz: no connection" in sentence
    assert "cifar-100-binary below --data-root" in sentence


def test_help_names_the_environment_variable(call: Call) -> None:
    assert "PRUNECHECK_DATA" in call("data", "--help").stdout


def test_the_list_of_everything_has_a_line_for_each_set(call: Call) -> None:
    lines = lines_of(call("list").stdout)
    for name in (*PUBLISHED, "folder:<path>", "npz:<path>"):
        assert len(lines[name]) > 20
