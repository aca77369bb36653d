"""A few inputs of each kind; ``python -m tests.fuzz`` tries as many as one likes."""

from pathlib import Path
from random import Random

import pytest

from tests.fixtures.forked_commands import Ended, run_command
from tests.fuzz.cases import Case, fault_of
from tests.fuzz.damage import damaged_bytes, damaged_json
from tests.fuzz.fuzzing import KINDS, found_faults

INPUTS = 5


@pytest.mark.parametrize("kind", KINDS)
def test_commands_take_what_nobody_should_give(kind: str) -> None:
    assert [str(fault) for fault in found_faults(kind, 0, range(INPUTS))] == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_commands_take_more_of_what_nobody_should_give(kind: str) -> None:
    assert [str(fault) for fault in found_faults(kind, 1, range(4 * INPUTS))] == []


@pytest.mark.parametrize(
    ("ended", "fault"),
    [
        (Ended(None, "", ""), "it hung"),
        (Ended(1, "", "Traceback (most recent call last):\n  x\nKeyError: 1\n"), "a traceback: KeyError: 1"),
        (Ended(-11, "", ""), "exit code -11"),
        (Ended(3, "", "x"), "exit code 3"),
        (Ended(1, "", " "), "exit code 1 and not a word"),
        (Ended(0, "\x1b[2J", ""), "an escape sequence reached the terminal"),
        (Ended(0, "", "Traceback is a word"), None),
        (Ended(2, "", "prunecheck: no."), None),
    ],
)
def test_what_is_a_fault(ended: Ended, fault: str | None) -> None:
    assert fault_of(Case((), ""), ended) == fault


def test_a_command_in_a_fork_ends_as_elsewhere(tmp_path: Path) -> None:
    assert run_command(["list"], tmp_path).code == 0
    refused = run_command(["results", "nowhere"], tmp_path)
    assert (refused.code, refused.stdout) == (2, "")
    assert refused.stderr.startswith("prunecheck: there is no folder nowhere")


def test_the_same_seed_makes_the_same_input_and_another_another(tmp_path: Path) -> None:
    def made(kind: str, seed: int) -> tuple[Case, dict[str, bytes]]:
        folder = tmp_path / f"{kind}{seed}{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        case = KINDS[kind](Random(seed), folder)
        return case, {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    for kind in ("options", "study-files", "criteria"):
        once, again = made(kind, 0), made(kind, 0)
        assert (once[0].arguments, once[1]) == (again[0].arguments, again[1])
        others = [made(kind, seed) for seed in range(1, 6)]
        assert any((case.arguments, files) != (once[0].arguments, once[1]) for case, files in others)


def test_damage_always_changes_a_content() -> None:
    chance = Random(0)
    for content in (b"", b"\0", b"some text", bytes(1000)):
        assert all(damaged_bytes(content, chance) != content for _ in range(200))
    assert len({damaged_json('{"a": [1, {"b": 2}]}', chance) for _ in range(300)}) > 50
