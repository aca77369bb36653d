"""What a command is called with, and what may come of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.fixtures.forked_commands import Ended

ANSWERED, SOMETHING_FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        arguments: of the command that is given it.
        says: what it is, for whoever reads the fault.
        codes: that it may end with.
        fault: looks at how the command ended, and says what is wrong with it beyond what is wrong everywhere.
    """

    arguments: Sequence[str]
    says: str
    codes: tuple[int, ...] = (ANSWERED, SOMETHING_FAILED, WRONG_INPUT)
    fault: Callable[[Ended], str | None] = field(default=lambda ended: None)


Make = Callable[[Random, Path], Case]
"""Makes an input in an empty folder."""


def fault_of(case: Case, ended: Ended) -> str | None:
    """Say what is wrong with how a command ended, or None."""
    if ended.code is None:
        return "it hung"
    if "Traceback (most recent call last)" in ended.stderr:
        return f"a traceback: {ended.stderr.rstrip().splitlines()[-1]}"
    if ended.code not in case.codes:
        return f"exit code {ended.code}"
    if ended.code != ANSWERED and not ended.stderr.strip():
        return f"exit code {ended.code} and not a word"
    if "\x1b" in ended.stdout + ended.stderr:
        return "an escape sequence reached the terminal"
    return case.fault(ended)


def copied(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files by their path below a folder."""
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
