import contextlib
import gzip
import hashlib
import http.server
import io
import multiprocessing
import resource
import socket
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from prunecheck.data import Augmentation, Images
from prunecheck.data.datasets import Suggestion
from prunecheck.data.download import CHUNK, fetch
from prunecheck.data.layouts import HashedFiles
from prunecheck.data.sources import Download, PublishedSet
from prunecheck.errors import InputError

FORK = multiprocessing.get_context("fork")

FILES = {"train": bytes(range(256)) * 3000, "test": b"test" * 50}


def packed(files: dict[str, bytes], folder: str = "set") -> bytes:
    """Return an uncompressed tar archive, so that half of it is half of the files."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as opened:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}" if folder else name)
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    return archive.getvalue()


ARCHIVE = packed(FILES)


@dataclass
class Server:
    """What a local web server offers, and what it was asked for.

    Attributes:
        stops_after: how many bytes of a body are sent before the connection is closed; None for all.
        has_ranges: whether it sends the rest of a file when it is asked for that.
        has_length: whether it says how long a body is.
        encoding: what it says the transfer is compressed with.
        requests: path, range asked for and bytes sent, of every request.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    stops_after: int | None = None
    has_ranges: bool = True
    has_length: bool = True
    encoding: str | None = None
    requests: list[tuple[str, str | None, int]] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    offer = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked, content = self.headers["Range"], offer.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and offer.has_ranges else 0
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                offer.requests.append((self.path, asked, 0))
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if offer.encoding:
                self.send_header("Content-Encoding", offer.encoding)
            if offer.has_length:
                self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            body = content[start:][: offer.stops_after]
            with contextlib.suppress(ConnectionError):  # who has had enough goes
                self.wfile.write(body)
            offer.requests.append((self.path, asked, len(body)))

        def log_message(self, *_: object) -> None:
            pass

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as opened:
        offer.address = f"http://127.0.0.1:{opened.server_address[1]}"
        thread = threading.Thread(target=opened.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield offer
        opened.shutdown()
        thread.join()


def no_images(folder: Path) -> tuple[Images, Images]:
    raise AssertionError(f"{folder} is fetched, not read")


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content).hexdigest()}"


def a_set(*downloads: Download, files: dict[str, bytes] = FILES, folder: str = "set") -> PublishedSet:
    table = {name: (f"sha256:{hashlib.sha256(content).hexdigest()}", len(content)) for name, content in files.items()}
    return PublishedSet(
        name="a-set",
        summary="A set",
        num_classes=2,
        mean=(0.5,),
        deviation=(0.5,),
        augmentation=Augmentation(padding=0, flip=False),
        suggestion=Suggestion(model="resnet8", width=16, epochs=1, batch_size=1, learning_rate=0.1),
        layouts=(HashedFiles("binary", (folder,), table, no_images),),
        downloads=downloads,
    )


@pytest.fixture
def published(server: Server) -> PublishedSet:
    server.files["/set.tar"] = ARCHIVE
    return a_set(Download((f"{server.address}/set.tar",), md5(ARCHIVE)))


def everything_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


WHOLE = {f"set/{name}": content for name, content in FILES.items()}


def test_an_archive_is_fetched_and_unpacked_and_nothing_else_is_left(
    published: PublishedSet, server: Server, tmp_path: Path
) -> None:
    root = tmp_path / "made" / "root"
    seen: list[tuple[str, int, int | None]] = []
    assert fetch(published, root, progress=lambda *state: seen.append(state)) == root / "set"
    assert everything_below(root) == WHOLE
    assert [path.name for path in root.iterdir()] == ["set"]
    assert server.requests == [("/set.tar", None, len(ARCHIVE))]
    assert seen[0] == ("set.tar", 0, len(ARCHIVE))
    assert seen[-1] == ("set.tar", len(ARCHIVE), len(ARCHIVE))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_what_is_there_is_not_fetched_again(published: PublishedSet, server: Server, tmp_path: Path) -> None:
    fetch(published, tmp_path)
    fetch(published, tmp_path)
    assert len(server.requests) == 1


def test_an_interrupted_fetch_is_an_error_and_then_goes_on_with_the_rest(
    published: PublishedSet, server: Server, tmp_path: Path
) -> None:
    server.stops_after = 300_000
    with pytest.raises(InputError, match=r"connection was lost.*0\.3 MB are there"):
        fetch(published, tmp_path)
    assert not (tmp_path / "set").exists()
    server.stops_after = None
    seen: list[int] = []
    fetch(published, tmp_path, progress=lambda _, done, total: seen.append(done))
    assert everything_below(tmp_path) == WHOLE
    assert server.requests[1:] == [("/set.tar", "bytes=300000-", len(ARCHIVE) - 300_000)]
    assert seen[0] == 300_000


def test_a_server_that_cannot_go_on_begins_anew(published: PublishedSet, server: Server, tmp_path: Path) -> None:
    server.stops_after, server.has_ranges = 300_000, False
    with pytest.raises(InputError):
        fetch(published, tmp_path)
    server.stops_after = None
    fetch(published, tmp_path)
    assert everything_below(tmp_path) == WHOLE
    assert server.requests[1:] == [("/set.tar", "bytes=300000-", len(ARCHIVE))]


def leave_part(root: Path, content: bytes) -> Path:
    part = root / ".fetching" / "set" / "set.tar.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    return part


def test_a_kill_between_the_last_byte_and_the_name_costs_nothing(
    published: PublishedSet, server: Server, tmp_path: Path
) -> None:
    leave_part(tmp_path, ARCHIVE)
    fetch(published, tmp_path)
    assert everything_below(tmp_path) == WHOLE
    assert sum(sent for _, _, sent in server.requests) == 0


@pytest.mark.parametrize("left", [b"of another file" * 1000, ARCHIVE + b"too much", bytes(len(ARCHIVE))])
def test_what_was_left_of_another_file_is_fetched_anew(published: PublishedSet, tmp_path: Path, left: bytes) -> None:
    leave_part(tmp_path, left)
    fetch(published, tmp_path)
    assert everything_below(tmp_path) == WHOLE


def test_another_file_than_the_published_one_is_refused_and_not_kept(
    published: PublishedSet, server: Server, tmp_path: Path
) -> None:
    server.files["/set.tar"] = packed(FILES | {"train": b"evil"})
    with pytest.raises(InputError, match="offers another file than the published one"):
        fetch(published, tmp_path)
    assert everything_below(tmp_path) == {}


def test_the_next_address_is_tried_when_one_has_nothing_or_another_file(
    published: PublishedSet, server: Server, tmp_path: Path
) -> None:
    server.files["/other/set.tar"] = b"another file"
    addresses = tuple(f"{server.address}{path}" for path in ("/none/set.tar", "/other/set.tar", "/set.tar"))
    fetch(replace(published, downloads=(replace(published.downloads[0], addresses=addresses),)), tmp_path)
    assert everything_below(tmp_path) == WHOLE


def test_without_a_network_one_sentence_says_what_to_put_where(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/set.tar"
        with pytest.raises(InputError) as refused:
            fetch(a_set(Download((address,), md5(ARCHIVE))), tmp_path)
    assert f"{address}: no connection" in str(refused.value)
    assert "put its folder set below data_root" in str(refused.value)
    assert "MB" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_is_an_error_is_named(published: PublishedSet, server: Server, tmp_path: Path) -> None:
    server.files.clear()
    with pytest.raises(InputError, match="answers 404"):
        fetch(published, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_the_set_itself_are_kept_as_they_are_sent(server: Server, tmp_path: Path) -> None:
    files = {f"{name}.gz": gzip.compress(content) for name, content in FILES.items()}
    server.files = {f"/{name}": content for name, content in files.items()}
    server.encoding = "gzip"  # as some servers call it when a file is a .gz
    downloads = [Download((f"{server.address}/{name}",), md5(files[name]), unpacked=False) for name in files]
    fetch(a_set(*downloads, files=files, folder="Set/raw"), tmp_path)
    assert everything_below(tmp_path) == {f"Set/raw/{name}": content for name, content in files.items()}


def test_a_file_that_was_fetched_whole_is_not_fetched_again_when_the_next_fails(server: Server, tmp_path: Path) -> None:
    server.files = {"/train": FILES["train"]}
    downloads = [Download((f"{server.address}/{name}",), md5(FILES[name]), unpacked=False) for name in FILES]
    with pytest.raises(InputError, match="404"):
        fetch(a_set(*downloads), tmp_path)
    server.files["/test"] = FILES["test"]
    fetch(a_set(*downloads), tmp_path)
    assert everything_below(tmp_path) == WHOLE
    assert [path for path, _, _ in server.requests] == ["/train", "/test"]


@pytest.mark.parametrize("evil", ["../../evil", "/tmp/prunecheck-evil"])
def test_an_archive_with_a_member_outside_is_refused_and_leaves_nothing_of_the_set(
    server: Server, tmp_path: Path, evil: str
) -> None:
    archive = packed({"set/train": b"x", evil: b"evil"}, folder="")
    server.files["/set.tar"] = archive
    root = tmp_path / "a" / "root"
    with pytest.raises(InputError, match="would lie outside"):
        fetch(a_set(Download((f"{server.address}/set.tar",), md5(archive))), root)
    assert list(everything_below(tmp_path)) == ["a/root/.fetching/set/set.tar"]
    assert not Path("/tmp/prunecheck-evil").exists()


def test_an_archive_that_lacks_a_file_is_not_taken_for_the_set(server: Server, tmp_path: Path) -> None:
    archive = packed({"train": FILES["train"]})
    server.files["/set.tar"] = archive
    with pytest.raises(InputError, match="test is missing"):
        fetch(a_set(Download((f"{server.address}/set.tar",), md5(archive))), tmp_path)
    assert not (tmp_path / "set").exists()


def damage_it(root: Path) -> None:
    (root / "set" / "test").write_bytes(b"TEST" * 50)


def test_a_damaged_folder_of_the_users_is_an_error_and_stays(published: PublishedSet, tmp_path: Path) -> None:
    fetch(published, tmp_path)
    damage_it(tmp_path)
    with pytest.raises(InputError, match="test is not the published file"):
        fetch(published, tmp_path)
    assert (tmp_path / "set" / "test").read_bytes() == b"TEST" * 50


def test_a_damaged_folder_in_the_cache_is_replaced(published: PublishedSet, tmp_path: Path) -> None:
    fetch(published, tmp_path)
    damage_it(tmp_path)
    fetch(published, tmp_path, replace_damaged=True)
    assert everything_below(tmp_path) == WHOLE


def test_of_two_processes_one_fetches_and_both_have_it(published: PublishedSet, server: Server, tmp_path: Path) -> None:
    processes = [FORK.Process(target=fetch, args=(published, tmp_path)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(server.requests) == 1
    assert everything_below(tmp_path) == WHOLE


def test_a_root_that_cannot_be_made_is_an_os_error(published: PublishedSet, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError):
        fetch(published, tmp_path / "file")


def test_a_full_disk_keeps_what_was_fetched(published: PublishedSet, server: Server, tmp_path: Path) -> None:
    process = FORK.Process(target=fetch_onto_a_full_disk, args=(published, tmp_path))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert not (tmp_path / "set").exists()
    fetch(published, tmp_path)
    assert everything_below(tmp_path) == WHOLE
    assert server.requests[-1][1] is not None, "it began anew"


def fetch_onto_a_full_disk(published: PublishedSet, root: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    with pytest.raises(OSError):
        fetch(published, root)


@pytest.mark.parametrize("says_its_length", [True, False])
def test_a_body_larger_than_any_file_of_a_set_is_given_up_and_not_kept(
    published: PublishedSet, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says_its_length: bool
) -> None:
    monkeypatch.setattr("prunecheck.data.download.LARGEST_FILE", len(ARCHIVE))
    fetch(published, tmp_path / "whole")
    server.files["/set.tar"], server.has_length = ARCHIVE + bytes(8 * CHUNK), says_its_length
    taken = [0]
    with pytest.raises(InputError, match="offers another file than the published one"):
        fetch(published, tmp_path / "large", progress=lambda name, done, total: taken.append(done))
    assert max(taken) <= len(ARCHIVE)
    assert list((tmp_path / "large").iterdir()) == []
