# mypy: allow-untyped-calls
"""What is seen of code that is watched, and what is not."""

import builtins
import ctypes
import importlib
import importlib.machinery
import linecache
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch

from prunecheck.observation import USED_BY, Observation
from prunecheck.user_code import content_hash


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.txt"
    path.write_text("12345678")
    return path


@pytest.fixture(autouse=True)
def _used_by_is_put_back() -> Iterator[None]:
    before = {name: set(files) for name, files in USED_BY.items()}
    yield
    USED_BY.clear()
    USED_BY.update(before)


def seen_by(call: Callable[[], object]) -> Observation:
    """Return what was seen of a call, which stands in the block as a user's function does."""
    with Observation() as seen:
        call()
    return seen


def read(path: Path) -> None:
    path.read_text()


def opened(path: Path | str | bytes, flags: int) -> None:
    os.close(os.open(path, flags))


def test_only_what_is_opened_in_the_block_is_seen(file: Path, tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for one in (before, after):
        one.touch()
    before.read_text()
    seen = seen_by(file.read_text)
    assert seen.files == set()  # nobody's function but a library's was called
    seen = seen_by(lambda: read(file))
    after.read_text()
    assert (seen.files, seen.elsewhere) == ({str(file)}, set())


@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
def test_paths_of_any_kind_are_whole_and_lead_through_links(
    kind: Any, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(file)
    (tmp_path / "folder").mkdir()
    assert seen_by(lambda: opened(kind("folder/../link"), os.O_RDONLY)).files == {str(tmp_path / "link")}


def test_what_is_not_there_and_numbers_of_open_files_are_not_seen(file: Path, tmp_path: Path) -> None:
    def look() -> None:
        assert not (tmp_path / "missing").exists()
        with pytest.raises(FileNotFoundError):
            (tmp_path / "missing").read_text()

    assert not any("missing" in path for path in seen_by(look).files)
    with file.open() as already:
        assert seen_by(lambda: open(already.fileno(), closefd=False).read()).files == set()  # noqa: SIM115


@pytest.mark.parametrize("flag", [os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC | os.O_WRONLY])
def test_what_was_written_before_is_no_input_and_what_was_read_before_stays_one(flag: int, tmp_path: Path) -> None:
    read_first, written_first, written = (tmp_path / name for name in ("read-first", "written-first", "written"))
    for path in (read_first, written_first, written):
        path.touch()

    def call() -> None:
        opened(read_first, os.O_RDONLY)
        opened(read_first, flag)
        opened(read_first, os.O_RDONLY)
        opened(written_first, flag)
        opened(written_first, os.O_RDONLY)
        opened(written, flag)

    assert seen_by(call).files == {str(read_first)}


def connect_to_nobody() -> None:
    with socket.socket() as one, pytest.raises(OSError):
        one.settimeout(1)
        one.connect(("127.0.0.1", 1))


def fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


@pytest.mark.parametrize(
    ("call", "where"),
    [
        (lambda: subprocess.run(["true"], check=True), {"another program"}),
        (lambda: os.system("true"), {"another program"}),
        (lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0), {"another program"}),
        (fork, {"another process"}),
        (connect_to_nobody, {"the network"}),
        (lambda: None, set()),
    ],
)
def test_where_code_looks_beside_files_is_said(call: Callable[[], object], where: set[str]) -> None:
    assert seen_by(call).elsewhere == where


def test_threads_of_before_are_others_and_those_of_the_block_are_watched(file: Path, tmp_path: Path) -> None:
    others, ours = tmp_path / "others", tmp_path / "ours"
    others.touch()
    ours.write_text("ours")
    go, done = threading.Event(), threading.Event()

    def other() -> None:
        go.wait()
        others.read_text()
        os.system("true")
        done.set()

    thread = threading.Thread(target=other)
    thread.start()

    def call() -> None:
        go.set()
        done.wait()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(file.read_text).result()  # by a library's functions alone
            pool.submit(content_hash, str(ours)).result()  # by functions of prunecheck's

    seen = seen_by(call)
    thread.join()
    assert (seen.files, seen.elsewhere) == ({str(file)}, set())


def test_what_prunecheck_reads_for_itself_is_not_seen_and_what_it_is_called_to_read_is(file: Path) -> None:
    assert seen_by(lambda: content_hash(str(file))).files == {str(file)}
    with Observation() as seen:
        content_hash(str(file))
    assert seen.files == set()


def test_a_frame_that_is_given_is_where_the_block_stands(file: Path) -> None:
    def watching() -> Observation:
        with Observation(sys._getframe(1)) as seen:  # of who calls this
            read(file)
        return seen

    assert watching().files == {str(file)}


def test_blocks_in_blocks_see_each_for_itself_and_leave_nothing_behind(tmp_path: Path) -> None:
    one, two, three = (tmp_path / name for name in "123")
    for path in (one, two, three):
        path.touch()
    functions = (builtins.__import__, importlib.import_module, safetensors.safe_open, torch.from_file)
    with Observation() as outer:
        assert builtins.__import__ is not functions[0]
        read(one)
        with Observation() as inner:
            read(two)
        read(three)
    assert (inner.files, outer.files) == ({str(two)}, {str(one), str(two), str(three)})
    assert functions == (builtins.__import__, importlib.import_module, safetensors.safe_open, torch.from_file)


def nothing_but_errors(call: Callable[[], object]) -> None:
    """Call what opens a file that is none of its kind."""
    try:
        call()
    except Exception:
        return


@pytest.mark.parametrize(
    "load",
    [
        lambda path: safetensors.safe_open(path, "pt"),
        lambda path: safetensors.safe_open(filename=path, framework="pt"),
        lambda path: vars(safetensors.torch)["safe_open"](path, "pt"),
        lambda path: vars(safetensors.numpy)["safe_open"](path, "np"),
        lambda path: torch.jit.load(path, None),
        lambda path: torch.from_file(path, size=1),
        lambda path: torch.UntypedStorage.from_file(path, False, 4),
        lambda path: sqlite3.connect(path).close(),
        lambda path: ctypes.CDLL(path, 0),
    ],
)
def test_libraries_that_open_files_by_themselves_are_watched(load: Callable[[str], object], file: Path) -> None:
    assert seen_by(lambda: nothing_but_errors(lambda: load(str(file)))).files == {str(file)}


def test_what_is_read_to_be_quoted_is_no_input_unless_it_is_no_code(file: Path, tmp_path: Path) -> None:
    code = tmp_path / "code.py"
    code.write_text("1\n")

    def quote() -> None:
        linecache.getline(str(code), 1)
        linecache.getline(str(file), 1)

    assert seen_by(quote).files == {str(file)}
    assert seen_by(lambda: read(code)).files == {str(code)}


def test_code_that_is_executed_is_seen_wherever_it_came_from(tmp_path: Path) -> None:
    code = tmp_path / "code.py"
    code.write_text("")
    compiled = compile("1", str(code), "exec")
    assert seen_by(lambda: exec(compiled)).files == {str(code)}
    assert seen_by(lambda: exec(compile("1", str(tmp_path / "missing.py"), "exec"))).files == set()


def test_extension_modules_are_seen() -> None:
    spec = importlib.machinery.PathFinder.find_spec("_queue")
    if spec is None or not spec.origin or not isinstance(spec.loader, importlib.machinery.ExtensionFileLoader):
        pytest.skip("it is built into this Python")
    loader, origin = spec.loader, spec.origin
    assert origin in seen_by(lambda: loader.create_module(spec)).files


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose part reads a file when it is imported, and a module that imports it."""
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "watched_package"
    folder.mkdir()
    (folder / "read").write_text("1")
    (folder / "__init__.py").touch()
    (folder / "other.py").touch()
    (folder / "part.py").write_text(
        "from pathlib import Path\nfrom . import other\nvalue = Path(__file__).with_name('read').read_text()\n"
    )
    for name in ("watched_package", "watched_package.part", "watched_package.other"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return folder


HOW = {
    "import": "import watched_package.part",
    "from": "from watched_package import part",
    "import_module": "import importlib; importlib.import_module('watched_package.part')",
    "relative": "import importlib; importlib.import_module('.part', 'watched_package')",
    "__import__": "__import__('watched_package.part')",
}


@pytest.mark.parametrize("how", HOW)
def test_imports_are_seen_again_and_what_is_read_then_stays_the_module_s(how: str, package: Path) -> None:
    names = {"__name__": "mine", "__file__": str(package.parent / "mine.py")}
    parts = {str(package / name) for name in ("__init__.py", "part.py")}
    first = seen_by(lambda: exec(HOW[how], dict(names)))
    assert first.files >= parts | {str(package / "read"), str(package / "other.py")}
    assert USED_BY[str(package / "part.py")] >= {str(package / "read"), str(package / "other.py")}
    again = seen_by(lambda: exec(HOW[how], dict(names)))
    assert {path for path in again.files if path.startswith(str(package))} == parts
    assert USED_BY[names["__file__"]] >= parts


def test_what_libraries_import_is_theirs(package: Path) -> None:
    theirs = {"__name__": "numpy.somewhere", "__file__": str(package.parent / "theirs.py")}
    exec("import watched_package.part", dict(theirs))
    exec("import importlib; importlib.import_module('watched_package.part')", dict(theirs))
    seen = seen_by(lambda: exec("import watched_package.part", dict(theirs)))
    seen_too = seen_by(lambda: exec("import importlib; importlib.import_module('watched_package.part')", dict(theirs)))
    assert not any(path.startswith(str(package)) for path in seen.files | seen_too.files)
    assert theirs["__file__"] not in USED_BY
