"""What is printed where: narrow and wide terminals, terminals without our signs, streams that are closed."""

import contextlib
import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prunecheck.cli import main
from tests.end_to_end.conftest import PRUNECHECK
from tests.fixtures.forked_commands import begin_in_a_fork, end_of, run_command

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs terminals as Linux has them")


@contextlib.contextmanager
def terminal_of(columns: int, lines: list[str]) -> Iterator[int]:
    """Give what is begun in the block a terminal of so many columns; ``lines`` become those that are printed there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    yield theirs
    os.close(theirs)
    printed = b""
    with contextlib.suppress(OSError):  # the end of a terminal is an error
        while part := os.read(ours, 65536):
            printed += part
    os.close(ours)
    lines += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", printed.decode()).replace("\r", "").splitlines()


def words(text: str) -> list[str]:
    return re.sub(r"[─+|-]{3,}", " ", text).split()


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_terminal_shows_all_that_a_file_gets(
    finished: Any, small_check: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, columns: int
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    command, lines = [*small_check, "--quiet", "--workers", "1"], list[str]()
    with terminal_of(columns, lines) as terminal:
        process = begin_in_a_fork(
            lambda: main(command), ["prunecheck", *command], finished.folder, [terminal] * 3, tmp_path
        )
    assert end_of(process) == 0, lines
    assert sorted(words(" ".join(lines))) == sorted(words(finished.table.stdout))
    assert "…" not in " ".join(lines)
    widest = max(len(line.rstrip()) for line in lines)
    assert widest <= max(columns, 80)  # a narrower one breaks the lines of the table itself


def test_a_live_bar_ends_with_how_long_it_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    options = shlex.split(
        "--epochs 1 --seeds 1 --width 4 --model resnet8 --train-images 100 --checks reinit --baseline none --workers 1"
    )
    command, lines = ["check", "snip", *options], list[str]()
    with terminal_of(100, lines) as terminal:
        process = begin_in_a_fork(
            lambda: main(command), ["prunecheck", *command], tmp_path, [terminal] * 3, tmp_path / "cache"
        )
    assert end_of(process) == 0, lines
    text = "\n".join(lines)
    assert "epochs" in text
    assert re.search(r"^5 of 5 runs done in \d+ s$", text, re.MULTILINE)
    assert "verdict" in text


def test_a_stream_without_our_signs_gets_others(finished: Any, small_check: list[str]) -> None:
    done = run_command([*small_check, "--quiet", "--workers", "1"], finished.folder, encoding="ascii")
    assert (done.code, done.stderr) == (0, "")
    numbers = re.compile(r"[\d.]{4,}")
    assert numbers.findall(done.stdout) == numbers.findall(finished.table.stdout)
    assert "---" in done.stdout
    assert "????" not in done.stdout


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "| head -n 1"])
def test_a_closed_stream_costs_nothing_but_what_goes_there(
    finished: Any, small_check: list[str], environment: dict[str, str], closed: str
) -> None:
    command = shlex.join([str(PRUNECHECK), *small_check, "--workers", "1"])
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} {closed}"],
        cwd=finished.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.returncode in ((0, 1) if "head" in closed else (0,))
    expected = "" if closed.startswith(">") else finished.table.stdout
    assert done.stdout == (expected.splitlines(keepends=True)[0] if "head" in closed else expected)


def test_the_package_can_be_called_where_no_command_is_on_the_path(tmp_path: Path) -> None:
    def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "prunecheck", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    version = subprocess.run([PRUNECHECK, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert call("--version").stdout == version
    wrong = call("check", "snipp")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("prunecheck: there is no method named 'snipp'")
