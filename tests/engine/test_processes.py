"""The process that workers are copies of: when it begins, how long it stays, what it is told."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from prunecheck.cli import study_runs
from prunecheck.engine import processes
from prunecheck.engine.fork_server import new_fork_server
from prunecheck.engine.fork_server import number_of as number_of_server
from prunecheck.engine.local import kept_client
from prunecheck.engine.orphans import VARIABLE, end_marked
from prunecheck.engine.processes import WORKER_ENVIRONMENT, begin_early, begun_processes, processes_kept


@pytest.fixture(autouse=True)
def bare_servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have servers import nothing, which takes seconds; none of them is left at the end."""
    monkeypatch.setattr(processes, "new_fork_server", forkserver.ForkServer)
    before = set(servers())
    yield
    assert set(servers()) == before


def servers() -> list[int]:
    """Return the numbers of the fork servers and watchers that are alive."""
    children = psutil.Process().children()
    return [child.pid for child in children if "resource_tracker" not in " ".join(child.cmdline())]


def number_of(begun: processes.Processes) -> int:
    number = number_of_server(begun.server)
    assert number is not None
    return number


def environment_of(number: int) -> dict[str, str]:
    """Return what a server was started with; until it is an interpreter of its own, it shows this process's."""
    until = time.monotonic() + 60
    while VARIABLE not in (told := psutil.Process(number).environ()) and time.monotonic() < until:
        time.sleep(0.01)
    return dict(told)


def test_it_ends_with_the_block_that_nothing_is_kept_around() -> None:
    with begun_processes(2) as first:
        assert psutil.pid_exists(number_of(first))
        number = number_of(first)
    assert not psutil.pid_exists(number)
    with begun_processes(2) as second:
        assert number_of(second) != number
        assert second.mark != first.mark


def test_what_is_kept_is_begun_once_for_all_looks_and_ends_with_the_outermost_block() -> None:
    with processes_kept():
        with begun_processes(1) as first:
            number = number_of(first)
        with processes_kept(), begun_processes(2) as second:
            assert number_of(second) == number
        assert psutil.pid_exists(number)
    assert not psutil.pid_exists(number)


def workers_of(client: Any) -> set[int]:
    return set(client.run(os.getpid).values())


def test_workers_wait_for_the_next_look_and_end_with_the_block() -> None:
    own = dict(os.environ)
    with processes_kept():
        with kept_client(2) as (first, count):
            before = workers_of(first)
            assert (len(before), count) == (2, 2)
        with kept_client(1) as (again, count):
            assert (workers_of(again), count) == (before, 2)
        with kept_client(1, ["0"]) as (others, count):  # which see another GPU
            assert workers_of(others).isdisjoint(before)
            assert not any(map(psutil.pid_exists, before))
        with kept_client(2, ["0"]) as (more, count):
            assert (len(workers_of(more)), count) == (2, 2)
            last = workers_of(more)
    assert not any(map(psutil.pid_exists, last))
    assert dict(os.environ) == own


def test_workers_share_what_the_server_has_imported_and_leave_it_out_of_their_collections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "new_fork_server", new_fork_server)
    with kept_client(1) as (client, _):
        (frozen,) = client.run(gc.get_freeze_count).values()
    assert frozen > 100_000  # objects, of torch for the most part


def test_workers_end_with_what_is_raised_while_they_are_used_and_others_begin() -> None:
    with processes_kept():
        with pytest.raises(KeyboardInterrupt), kept_client(1) as (client, _):
            before = workers_of(client)
            raise KeyboardInterrupt
        assert not any(map(psutil.pid_exists, before))
        with kept_client(1) as (client, _):
            assert workers_of(client).isdisjoint(before)


def test_workers_that_nothing_keeps_end_at_once() -> None:
    with kept_client(1) as (client, _):
        before = workers_of(client)
    assert not any(map(psutil.pid_exists, before))


def test_what_has_died_since_is_begun_anew() -> None:
    with processes_kept():
        with begun_processes(1) as first:
            number = number_of(first)
        os.kill(number, signal.SIGKILL)
        with begun_processes(1) as second:
            again = number_of(second)
            assert again != number
            assert psutil.pid_exists(again)
            end_marked(second.mark)  # which waits for it, too
        with begun_processes(1) as third:
            assert number_of(third) not in (number, again)
            assert psutil.pid_exists(number_of(third))


def test_what_workers_have_started_ends_with_them_and_not_the_server() -> None:
    with processes_kept(), begun_processes(1) as begun:
        with begun.environment():
            left = subprocess.Popen(["sleep", "300"])
        begun.end_workers()
        left.wait(60)
        assert psutil.pid_exists(number_of(begun))


def test_another_threads_processes_do_not_end_with_these() -> None:
    has_begun, is_over = threading.Event(), threading.Event()

    def alive_afterwards() -> bool:
        with processes_kept(), begun_processes(1) as theirs:
            has_begun.set()
            is_over.wait(60)
            return bool(psutil.pid_exists(number_of(theirs)))

    with ThreadPoolExecutor(1) as pool:
        with processes_kept(), begun_processes(1) as ours:
            number = number_of(ours)
            answer = pool.submit(alive_afterwards)
            assert has_begun.wait(60)
        assert not psutil.pid_exists(number)
        is_over.set()
        assert answer.result()


def test_one_begun_early_is_used_and_alone_is_told_what_workers_find() -> None:
    own = dict(os.environ)
    with processes_kept():
        begin_early()
        assert dict(os.environ) == own
        of_this_thread = processes._kept.get()
        assert of_this_thread is not None
        kept = of_this_thread.processes
        assert kept is not None
        told = environment_of(number_of(kept))
        assert told[VARIABLE] == kept.mark
        assert told["PYTHONSAFEPATH"] == "1"
        assert {name: told[name] for name in WORKER_ENVIRONMENT} == WORKER_ENVIRONMENT
        begin_early()
        with begun_processes(3) as used:
            assert used is kept
        assert dict(os.environ) == own


def test_begun_early_where_nothing_keeps_it_nothing_is() -> None:
    before = servers()
    begin_early()
    assert servers() == before


def test_that_it_cannot_be_begun_early_is_said_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> forkserver.ForkServer:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(processes, "new_fork_server", fails)
    with processes_kept():
        begin_early()
        with pytest.raises(BlockingIOError), begun_processes(1):
            pass


COMMAND = """
import sys
from prunecheck.cli import study_runs
from prunecheck.engine import processes

def begun():
    sys.exit(f"torch is imported: {'torch' in sys.modules}")

processes.begin_early = begun
sys.argv = ["prunecheck", *sys.argv[1:]]
from prunecheck.cli import main
main()
"""


@pytest.mark.parametrize("command", [["check", "snip"], ["run", "study.toml"], ["reproduce", "hybrid"]])
def test_commands_that_train_begin_it_before_torch_is_imported(command: list[str], tmp_path: Path) -> None:
    def says(*more: str) -> str:
        called = [sys.executable, "-c", COMMAND, *command, "--workers", "2", *more]
        return subprocess.run(called, capture_output=True, text=True, cwd=tmp_path, check=False).stderr

    (tmp_path / "study.toml").touch()
    assert says() == "torch is imported: False\n"


@pytest.mark.parametrize("command", [["run", "nothing.toml"], ["reproduce", "nothing"]])
def test_wrong_input_is_said_before_it_begins(command: list[str], tmp_path: Path) -> None:
    called = [sys.executable, "-c", COMMAND, *command, "--workers", "2"]
    told = subprocess.run(called, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert told.returncode == 2
    assert command[1] in told.stderr


def test_where_something_is_there_it_begins_when_runs_are_known_to_be_missing(tmp_path: Path) -> None:

    asked: list[bool] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "begin_early", lambda: asked.append(True))
        out = tmp_path / "runs"
        study_runs.begin_workers(2, out)
        study_runs.begin_workers(1, out)
        assert len(asked) == 1
        out.mkdir()
        study_runs.begin_workers(2, out)
        assert len(asked) == 2
        (out / "results.csv").touch()
        study_runs.begin_workers(2, out)
    assert len(asked) == 2
