import os
import socket
from pathlib import Path

import pytest

from prunecheck.engine.attempts import BEGUN, Attempt, forget_attempts
from prunecheck.engine.dask_cluster import nanny_answers


def die(folder: Path, command: str, *, checkpoints: int = 0, nanny: str = "") -> None:
    """Begin a run in a process that ends in the middle of it."""
    child = os.fork()
    if child == 0:
        attempt = Attempt(folder, command, nanny)
        with attempt.begun():
            for _ in range(checkpoints):
                forget_attempts(folder)
            os._exit(9)
    os.waitpid(child, 0)


def test_deaths_in_the_middle_of_a_run_are_counted_for_the_command_whose_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert Attempt(folder, "this").deaths == 0
    die(folder, "this")
    die(folder, "an earlier one")
    die(folder, "this")
    assert Attempt(folder, "this").deaths == 2
    assert Attempt(folder, "the next").deaths == 0


def test_processes_that_ended_with_their_machines_are_counted_apart(tmp_path: Path) -> None:
    for nanny in ("tcp://gone:1", "tcp://there:1", "tcp://gone:2", ""):
        die(tmp_path, "this", nanny=nanny)
    die(tmp_path, "an earlier one", nanny="tcp://gone:3")
    attempt = Attempt(tmp_path, "this", "tcp://there:2", lambda nanny: "gone" not in nanny)
    assert (attempt.deaths, attempt.machines_lost) == (2, 2)


def test_a_nanny_that_ended_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        assert nanny_answers(address)
    assert not nanny_answers(address)
    assert not nanny_answers("nowhere")


def test_a_run_that_gets_on_begins_to_count_anew(tmp_path: Path) -> None:
    die(tmp_path, "this")
    die(tmp_path, "this", checkpoints=2)
    assert Attempt(tmp_path, "this").deaths == 0
    die(tmp_path, "this")
    assert Attempt(tmp_path, "this").deaths == 1


@pytest.mark.parametrize("error", [None, ValueError("no luck"), KeyboardInterrupt()])
def test_a_run_that_ends_in_any_way_leaves_nothing(tmp_path: Path, error: BaseException | None) -> None:
    die(tmp_path, "this")
    try:
        with Attempt(tmp_path, "this").begun():
            assert (tmp_path / BEGUN).read_text() == "this\nthis\n"
            if error:
                raise error
    except (ValueError, KeyboardInterrupt):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_damaged_counts_for_nobody(tmp_path: Path) -> None:
    (tmp_path / BEGUN).write_bytes(b"\xff\x00this")
    assert Attempt(tmp_path, "this").deaths == 0
