import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fixtures.forked_commands import run_command

PRUNECHECK = Path(sys.executable).parent / "prunecheck"

SMALL = shlex.split(
    "--epochs 2 --seeds 2 --train-images 500 --width 4 --model resnet8 --checks rearrange-mask --sparsity 0.9"
)

PATIENCE = 300.0
"""Seconds after which a command that does not end is given up."""


@dataclass(frozen=True)
class Ended:
    code: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Without what would change the width or the colours of the output, or the data sets that are found."""
    changing = ("COLUMNS", "FORCE_COLOR", "PRUNECHECK_DATA", "PYTHONIOENCODING")
    kept = {name: value for name, value in os.environ.items() if name not in changing}
    return kept | {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture(scope="session")
def prunecheck(environment: dict[str, str]) -> Callable[..., Ended]:
    """Call the installed command, as from a shell, in a folder."""

    def prunecheck(*arguments: str | Path, cwd: Path) -> Ended:
        done = subprocess.run(
            [PRUNECHECK, *arguments],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return prunecheck


@pytest.fixture(scope="session")
def prunecheck_in_a_fork() -> Callable[..., Ended]:
    """Call the command line as ``prunecheck`` does, without its start: in a fork of this process, which has torch."""

    def prunecheck(*arguments: str | Path, cwd: Path) -> Ended:
        ended = run_command([str(argument) for argument in arguments], cwd)
        assert ended.code is not None
        return Ended(ended.code, ended.stdout, ended.stderr)

    return prunecheck


@pytest.fixture(scope="session")
def begin(environment: dict[str, str]) -> Callable[..., "subprocess.Popen[str]"]:
    """Start the installed command in a process group of its own and do not wait for it."""

    def begin(*arguments: str | Path, cwd: Path) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [PRUNECHECK, *arguments],
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return begin


@pytest.fixture(scope="session")
def small_check() -> list[str]:
    """A check that takes a few seconds: 8 runs."""
    return ["check", "snip", *SMALL, "--checkpoint-seconds", "0"]


@dataclass(frozen=True)
class Finished:
    """A check that nothing disturbed, called twice: for its table, and for its JSON."""

    folder: Path
    table: Ended
    json: Ended


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
    prunecheck: Callable[..., Ended],
    prunecheck_in_a_fork: Callable[..., Ended],
    small_check: list[str],
) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    table = prunecheck(*small_check, "--workers", "1", cwd=folder)
    json = prunecheck_in_a_fork(*small_check, "--workers", "1", "--json", "--quiet", cwd=folder)
    return Finished(folder, table, json)
