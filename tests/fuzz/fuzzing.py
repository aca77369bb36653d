"""The kinds of inputs, and what is wrong with how commands take them."""

import shlex
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.fixtures.forked_commands import run_command
from tests.fuzz.cases import Make, fault_of
from tests.fuzz.inputs_on_disk import checkpoints, data_files, run_folders, tensors
from tests.fuzz.inputs_typed import criteria, options, study_files

KINDS: Mapping[str, Make] = {
    "options": options,
    "study-files": study_files,
    "run-folders": run_folders,
    "tensors": tensors,
    "data-files": data_files,
    "checkpoints": checkpoints,
    "criteria": criteria,
}


@dataclass(frozen=True)
class Fault:
    """What is wrong, and with which input."""

    kind: str
    seed: int
    number: int
    command: str
    says: str
    what: str
    stderr: str

    def __str__(self) -> str:
        again = f"python -m tests.fuzz --kind {self.kind} --seed {self.seed} --only {self.number}"
        return "\n".join((f"{again}\n  {self.what}", f"  {self.command}", f"  {self.says!r}", self.stderr[-1500:]))


def found_faults(kind: str, seed: int, numbers: Iterable[int]) -> Iterator[Fault]:
    """Try inputs of a kind, and yield what is wrong.

    Args:
        kind: one of :data:`KINDS`.
        seed: decides, with the kind and its number, each input.
        numbers: of the inputs.
    """
    for number in numbers:
        with tempfile.TemporaryDirectory(prefix="prunecheck-fuzz-") as name:
            folder = Path(name)
            case = KINDS[kind](Random(f"{kind} {seed} {number}"), folder)
            ended = run_command(case.arguments, folder)
            what = fault_of(case, ended)
        if what is not None:
            command = shlex.join(["prunecheck", *case.arguments])
            yield Fault(kind, seed, number, command, case.says, what, ended.stderr)
