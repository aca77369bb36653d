"""How the kernels are compiled and kept, with a source that takes no time."""

import ctypes
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from prunecheck.training.sparse import build
from prunecheck.training.sparse.build import UnavailableError

ANSWER = 42
TINY = f'extern "C" int answer() {{ return {ANSWER}; }}\n'
load = build.load_kernels.__wrapped__
"""As a new process loads them."""


def real_compiler() -> str:
    found = [path for name in build.COMPILERS if (path := shutil.which(name))]
    if not found:
        pytest.skip("no C++ compiler")
    return found[0]


class Place:
    """A package with a tiny source, and a compiler that writes down how it is called.

    Attributes:
        source: of the kernels.
        kept: the folder beside it.
        compiler: the system's, and the PATH that it runs with.
        temporary: where temporary files are.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self._monkeypatch = root, monkeypatch
        self.source = root / "package" / "kernels.cpp"
        self.kept = self.source.parent / "__pycache__"
        self.temporary = root / "temporary"
        self._calls = root / "calls"
        for folder in (self.source.parent, self.temporary, root / "bin"):
            folder.mkdir()
        self.source.write_text(TINY)
        monkeypatch.setattr(build, "SOURCE", self.source)
        monkeypatch.setattr(tempfile, "tempdir", str(self.temporary))
        self.compiler, self.path = real_compiler(), os.environ["PATH"]
        self.use_compiler(
            f'echo "$@" >> {self._calls}\nexport PATH={shlex.quote(self.path)}\nexec {self.compiler} "$@"'
        )

    def use_compiler(self, script: str) -> None:
        """Let this shell script be the only compiler."""
        path = self.root / "bin" / "c++"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        self._monkeypatch.setenv("PATH", str(path.parent))

    def compiled(self) -> int:
        """Return how often the compiler was called to compile."""
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        return sum("-shared" in line.split() for line in lines)

    @property
    def own_temporary(self) -> Path:
        return self.temporary / f"prunecheck-{os.getuid()}"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def answers(library: ctypes.CDLL) -> bool:
    return bool(library.answer() == ANSWER)


def test_they_are_compiled_once_and_kept_beside_the_source(place: Place) -> None:
    assert answers(load("float"))
    (made,) = place.kept.iterdir()
    assert answers(load("float"))
    assert place.compiled() == 1
    assert list(place.kept.iterdir()) == [made]
    assert not list(place.temporary.iterdir())


def test_that_they_are_being_compiled_is_said_once(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    load("float")
    assert caplog.messages == [build.SAID_WHEN_COMPILING]
    load("float")
    assert len(caplog.messages) == 1


def test_another_source_type_or_compiler_is_compiled_anew(place: Place) -> None:
    load("float")
    load("double")
    assert place.compiled() == 2
    place.source.write_text(TINY.replace(str(ANSWER), "43"))
    assert load("float").answer() == 43
    assert place.compiled() == 3
    # As after an update, or on another machine with the same files: it defines something else by itself.
    newer = place.root / "newer.py"
    newer.write_text(
        "import os, sys\n"
        f"os.environ['PATH'] = {place.path!r}\n"
        "if '-E' in sys.argv:\n"
        "    print('#define __VERSION__ \"99\"')\n"
        "else:\n"
        f"    os.execv({place.compiler!r}, [{place.compiler!r}, *sys.argv[1:]])\n"
    )
    place.use_compiler(f'exec {sys.executable} {newer} "$@"')
    assert load("float").answer() == 43
    assert len(list(place.kept.glob("kernels-float-*"))) == 3


def test_without_a_compiler_it_says_so(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place.temporary))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match=r"^they need a C\+\+ compiler and there is none$"):
        load("float")


def test_the_compiler_of_the_extra_is_used_where_the_system_has_none(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package of this name stands in for the real one, which is 100 MB and more."""
    package = tmp_path / "site" / "ziglang"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        "import os, sys\n"
        "assert sys.argv[1:4] == ['c++', '-nostdinc++', '-nostdlib++'], sys.argv\n"
        f"os.environ['PATH'] = {place.path!r}\n"
        f"os.execv({place.compiler!r}, [{place.compiler!r}, *sys.argv[4:]])\n"
    )
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setenv("PATH", str(place.temporary))
    assert answers(load("float"))


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo first >&2; echo sorry, unimplemented >&2; exit 1", r"c\+\+ does not compile them \(sorry, unimpl"),
        ("exit 3", r"c\+\+ does not compile them \(.*exit status 3"),
        ("case $* in *-shared*) echo no disk >&2; exit 1;; esac", r"c\+\+ does not compile them \(no disk\)"),
        ("kill -9 $$", r"c\+\+ does not compile them \(.*SIGKILL"),
    ],
)
def test_a_compiler_that_fails_is_named_with_what_it_said(place: Place, script: str, sentence: str) -> None:
    place.use_compiler(script)
    with pytest.raises(UnavailableError, match=sentence):
        load("float")
    assert not list(place.root.glob("*/**/*.so"))


def test_a_compiler_that_cannot_be_run_is_named(place: Place) -> None:
    compiler = place.root / "bin" / "c++"
    compiler.write_bytes(b"\x7fELF of another machine")
    with pytest.raises(UnavailableError, match=r"c\+\+ cannot be run \(Exec format error\)"):
        load("float")


def test_a_compiler_that_hangs_is_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.use_compiler("exec /bin/sleep 600")
    monkeypatch.setattr(build, "PATIENCE", 1.0)
    with pytest.raises(UnavailableError, match=r"c\+\+ has not come to an end in 1 seconds"):
        load("float")


def block(folder: Path) -> None:
    """Put a file where the folder would be: nothing can be written into it, even by root."""
    folder.touch()


def test_where_the_package_cannot_be_written_a_temporary_folder_serves(place: Place) -> None:
    block(place.kept)
    assert answers(load("float"))
    assert answers(load("float"))
    assert place.compiled() == 1
    assert len(list(place.own_temporary.glob("*.so"))) == 1
    assert place.own_temporary.stat().st_mode & 0o777 == 0o700


def test_without_any_place_it_says_so(place: Place) -> None:
    block(place.kept)
    block(place.own_temporary)
    with pytest.raises(UnavailableError, match=f"neither {place.kept} nor {place.own_temporary} can be written"):
        load("float")


def test_what_a_disk_refuses_is_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    with pytest.raises(UnavailableError, match="No space left on device"):
        load("float")


def to_stranger(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the folder that is there be another user's."""
    stranger = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: stranger)
    folder.rename(folder.with_name(f"prunecheck-{stranger}"))


def to_everybody(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.chmod(0o777)


def to_link(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


@pytest.mark.parametrize("give", [to_stranger, to_everybody, to_link])
def test_a_folder_that_others_may_write_is_neither_read_nor_written(
    place: Place, monkeypatch: pytest.MonkeyPatch, give: Callable[[Path, pytest.MonkeyPatch], None]
) -> None:
    block(place.kept)
    load("float")  # what a stranger could have put there
    give(place.own_temporary, monkeypatch)
    with pytest.raises(UnavailableError, match="there is no place to compile to"):
        load("float")
    assert place.compiled() == 1
    place.kept.unlink()
    assert answers(load("float"))
    assert place.compiled() == 2


def in_new_process(place: Place) -> subprocess.Popen[str]:
    """Load the kernels in a process of its own, without torch."""
    script = f"""
import importlib.util, pathlib, sys, tempfile, time
specification = importlib.util.spec_from_file_location("build", {str(build.__file__)!r})
build = importlib.util.module_from_spec(specification)
specification.loader.exec_module(build)
build.SOURCE, tempfile.tempdir = pathlib.Path({str(place.source)!r}), {str(place.temporary)!r}
print("ready", flush=True)
sys.stdin.readline()
print(build.load_kernels().answer())
"""
    return subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_of_several_processes_one_compiles_and_all_load_what_it_made(place: Place) -> None:
    processes = [in_new_process(place) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, errors = process.communicate()
        assert (out, process.returncode) == (f"{ANSWER}\n", 0), errors
    assert place.compiled() == 1
    assert len(list(place.kept.iterdir())) == 1
    assert answers(load("float"))


@pytest.mark.parametrize("left", [0.0, 0.3, 0.9, 0.999])
def test_a_damaged_file_is_replaced(place: Place, left: float) -> None:
    """In another process, for to load a part of a library may end it."""
    load("float")
    (made,) = place.kept.iterdir()
    whole = made.read_bytes()
    made.unlink()  # it is mapped into this process
    made.write_bytes(whole[: int(left * len(whole))])
    out, errors = in_new_process(place).communicate("go\n")
    assert out == f"ready\n{ANSWER}\n", errors
    assert place.compiled() == 2
    assert made.read_bytes() == whole
    assert answers(load("float"))
    assert place.compiled() == 2


def test_a_file_that_cannot_be_loaded_does_not_stand_in_the_way(place: Place) -> None:
    """As one that was made with other libraries: whole, but of no use."""
    load("float")
    (made,) = place.kept.iterdir()
    other = place.kept / "other.so"
    other.write_text("no library")
    other.rename(place.kept / f"{made.stem.rpartition('-')[0]}-{build._digest(other)}.so")
    made.unlink()
    assert answers(load("float"))
    assert place.compiled() == 2
