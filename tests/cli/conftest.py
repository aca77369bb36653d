import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from prunecheck.cli import known_names, main


@dataclass(frozen=True)
class Ended:
    code: object
    stdout: str
    stderr: str


Call = Callable[..., Ended]

CACHES = {"__pycache__", ".cache"}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command puts files where it is called, and takes over SIGTERM; nothing is found that lies elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    monkeypatch.delenv("PRUNECHECK_DATA", raising=False)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Call the command line in this process, where torch is imported already."""

    def call(*arguments: str) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        printed = capsys.readouterr()
        return Ended(ended.value.code, printed.out, printed.err)

    return call


@pytest.fixture
def refused(call: Call) -> Callable[..., str]:
    """Call the command line with wrong input, see that it is refused in one sentence, and return that."""

    def refused(*arguments: str) -> str:
        before = sorted(Path().rglob("*"))
        ended = call(*arguments)
        assert ended.code == 2
        assert ended.stdout == ""
        assert ended.stderr.endswith("\n")
        (line,) = ended.stderr.splitlines()
        start, _, sentence = line.partition(": ")
        assert start == "prunecheck"
        assert sentence[-1] in ".?`"
        made = [path for path in sorted(Path().rglob("*")) if path not in before and not set(path.parts) & CACHES]
        names = {place for path in made if path.name == known_names.FILE for place in (path, *path.parents)}
        assert all(path.name in ("runs", ".lock") for path in made if path not in names), made
        return sentence

    return refused
