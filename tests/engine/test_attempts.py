import os
from pathlib import Path

import pytest

from prunecheck.engine.attempts import BEGUN, Attempt


def die(folder: Path, command: str, *, epochs: int = 0) -> None:
    """Begin a run in a process that ends in the middle of it."""
    child = os.fork()
    if child == 0:
        attempt = Attempt(folder, command)
        with attempt.begun():
            for _ in range(epochs):
                attempt.got_on()
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


def test_a_run_that_gets_on_begins_to_count_anew(tmp_path: Path) -> None:
    die(tmp_path, "this")
    die(tmp_path, "this", epochs=2)
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
