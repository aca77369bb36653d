"""Run folders on disk: written so that a crash at any moment loses nothing finished, and nothing up to a checkpoint."""

import contextlib
import csv
import io
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType

from prunecheck.errors import InputError, field_name
from prunecheck.io import LockedError, atomic_write, atomic_writes, lock, remove_unfinished, require_output_folder
from prunecheck.plain_files import append_line, read_plain_text
from prunecheck.pruning.tickets import Ticket, load_ticket, save_ticket
from prunecheck.pruning.trainings import DENSE
from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec
from prunecheck.training import Checkpoint, EpochMetrics
from prunecheck.user_code import content_hash

SPEC = "spec.json"
RESULT = "result.json"
METRICS = "metrics.csv"
TICKET = "ticket.safetensors"
CHECKPOINT = "last.safetensors"
INPUTS = "inputs.json"
LOG = "log"

RESULTS = "results.csv"
LOCK = ".lock"
STOP = ".stop"
PLANNED = ".planned"

LATER = "later: "
"""Begins a line of that file which says how many more runs there are: no folder's name has a space."""

PATIENCE = 0.3
"""Seconds in which a lock is free again that was only looked at."""


class RunFolder:
    """The files of one run."""

    def __init__(self, path: Path, spec: RunSpec) -> None:
        self.path = path
        self.spec = spec

    def open(self) -> None:
        """Make the folder, or see that it holds this run.

        Raises:
            InputError: it holds another run.
        """
        self.path.mkdir(exist_ok=True)
        for part in self.path.glob(".*.part"):
            part.unlink()  # left by a kill in the middle of a write
        file = self.path / SPEC
        if file.exists():
            self.require_own_spec()
        else:
            atomic_write(file, self.spec.canonical() + "\n")

    def require_own_spec(self) -> None:
        """Raise :class:`InputError` if the folder's ``spec.json`` describes another run."""
        file = self.path / SPEC
        try:
            text = read_plain_text(file)
            if text == self.spec.canonical() + "\n":
                return  # as it was written: nothing to parse
            found = RunSpec.from_json(text)
        except (OSError, ValueError, InputError) as error:
            raise InputError(
                f"{file} is not the spec of a run: move {self.path} away, or choose another {field_name('out')}.",
                field="out",
            ) from error
        if found != self.spec:
            raise InputError(
                f"{self.path} was made by another spec ({found.folder_name}): move it away, or choose another "
                f"{field_name('out')}.",
                field="out",
            )

    def result(self) -> RunResult | None:
        """Return the result if the run is complete.

        Raises:
            InputError: the folder holds another run, or a result that cannot be read, or a file that the run's own
                code read has changed since.
        """
        file = self.path / RESULT
        if not file.exists():
            if (self.path / SPEC).exists():
                self.require_own_spec()
            return None
        self.require_own_spec()
        self.require_same_inputs()
        return read_result(file)

    def write_inputs(self, inputs: Mapping[str, str]) -> None:
        """Write which files the run's own code read beside those that its spec covers.

        Args:
            inputs: the SHA-256 of each, by absolute path; written if there are any.
        """
        if inputs:
            atomic_write(self.path / INPUTS, json.dumps(inputs, indent=1, sort_keys=True) + "\n")
        else:
            (self.path / INPUTS).unlink(missing_ok=True)

    def require_same_inputs(self) -> None:
        """Raise :class:`InputError` unless the files that the run's own code read are what they were."""
        file = self.path / INPUTS
        if not file.exists():
            return
        try:
            inputs = dict(json.loads(read_plain_text(file)))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{file} cannot be read: remove {self.path} and the run is done anew.") from error
        for name, content in inputs.items():
            if content_hash(name) != content:
                raise InputError(
                    f"{self.path} was made with {name} as it was before it changed: remove that folder to do the run "
                    f"anew, or choose another {field_name('out')}.",
                    field="out",
                )

    def write_ticket(self, ticket: Ticket) -> None:
        """Write the starting weights and masks."""
        save_ticket(ticket, self.path / TICKET, {"run": self.spec.folder_name})

    def ticket(self) -> Ticket | None:
        """Return the ticket that an interrupted run began with, or None.

        Raises:
            InputError: the file is not a ticket of this run, or what it was made of has changed.
        """
        file = self.path / TICKET
        if not file.exists():
            return None
        self.require_same_inputs()
        ticket, description = load_ticket(file)
        if description.get("run") != self.spec.folder_name:
            raise InputError(f"{file} is the ticket of another run: remove {self.path} and the run is done anew.")
        if not ticket.masks and self.spec.method != DENSE:
            raise InputError(f"{file} has no masks: remove {self.path} and the run is done anew.")
        return ticket

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Write the metrics up to an epoch and, last, the state after it."""
        metrics = metrics_csv(checkpoint.metrics)
        atomic_writes({self.path / METRICS: metrics, self.path / CHECKPOINT: checkpoint.to_bytes()})

    def checkpoint(self) -> Checkpoint | None:
        """Return where the run was interrupted, or None."""
        file = self.path / CHECKPOINT
        return Checkpoint.read(file) if file.exists() else None

    def forget(self) -> None:
        """Have the run done anew: remove its result, what it began with and how far it came."""
        for name in (RESULT, CHECKPOINT, TICKET):
            (self.path / name).unlink(missing_ok=True)

    def write_result(self, result: RunResult) -> None:
        """Write the sign that the run is complete."""
        atomic_write(self.path / RESULT, result.to_json())

    def log(self, line: str) -> None:
        """Add a line to the run's log."""
        append_line(self.path / LOG, line)


@dataclass(frozen=True)
class Planned:
    """The runs of a study.

    Attributes:
        names: of the folders of those that are planned.
        later: how many more it has.
    """

    names: frozenset[str]
    later: int = 0

    @property
    def count(self) -> int:
        """How many runs it has."""
        return len(self.names) + self.later


class RunStore:
    """A folder of run folders."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._stop = str(root / STOP)

    def folder(self, spec: RunSpec) -> RunFolder:
        """Return the folder of a run, which need not exist."""
        return RunFolder(self.root / spec.folder_name, spec)

    def result(self, spec: RunSpec) -> RunResult | None:
        """Return a run's result if it is complete; see :meth:`RunFolder.result`."""
        return self.folder(spec).result()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Make the root and hold it, so that no second command works in it; what a killed one left half-written goes.

        Raises:
            InputError: it cannot be made or written to, or another command holds it.
        """
        require_output_folder(self.root)
        with contextlib.ExitStack() as held:
            try:
                self.root.mkdir(parents=True, exist_ok=True)
                is_held = held.enter_context(lock(self.root / LOCK, timeout=PATIENCE))
                os.utime(self.root / LOCK)  # when the command began
            except LockedError:
                raise InputError(
                    f"another prunecheck is at work in {self.root}: wait for it, or choose another "
                    f"{field_name('out')}.",
                    field="out",
                ) from None
            except OSError as error:
                raise InputError(
                    f"{self.root} cannot be written to ({error.strerror}): choose another {field_name('out')}.",
                    field="out",
                ) from error
            if not is_held:
                logging.getLogger(__name__).warning(
                    "the file system of %s has no locks: see that no second prunecheck works there.", self.root
                )
            (self.root / STOP).unlink(missing_ok=True)
            remove_unfinished(self.root)
            yield

    def request_stop(self) -> None:
        """Ask the runs that are going on here, in whatever process, to stop after their epoch."""
        (self.root / STOP).touch()

    def stop_requested(self) -> bool:
        """Say whether a stop was requested since the command that does the runs began."""
        return os.path.exists(self._stop)  # noqa: PTH110 - asked after every epoch, some of which take milliseconds

    def write_planned(self, runs: Iterable[RunSpec], later: int = 0) -> None:
        """Let others know which runs the study has that the root is held for, those done before among them.

        Args:
            runs: that are planned.
            later: how many more it has.
        """
        names = "".join(f"{run.folder_name}\n" for run in runs)
        atomic_write(self.root / PLANNED, names + (f"{LATER}{later}\n" if later else ""))

    def planned(self) -> "Planned | None":
        """Return what is known of the runs that the latest study here has; None if there was none."""
        try:
            lines = read_plain_text(self.root / PLANNED).splitlines()
        except FileNotFoundError:
            return None
        later = [line.removeprefix(LATER) for line in lines if line.startswith(LATER)]
        names = frozenset(line for line in lines if not line.startswith(LATER))
        return Planned(names, sum(int(count) for count in later if count.isdecimal()))

    def require_space(self, needed: int) -> None:
        """Raise :class:`InputError` if the disk has less than ``needed`` bytes left."""
        status = os.statvfs(self.root)
        free = status.f_bavail * status.f_frsize
        if free < needed:
            raise InputError(
                f"the disk of {self.root} has {free / 1e6:.1f} MB left and the runs need {needed / 1e6:.1f} MB: "
                f"free some, or choose another {field_name('out')}.",
                field="out",
            )

    def results(self, known: Mapping[RunSpec, RunResult] = MappingProxyType({})) -> dict[RunSpec, RunResult]:
        """Return what every complete run that can be read ended with, by folder name.

        Args:
            known: what was read before and is not read again.
        """
        read = {spec.folder_name: (spec, result) for spec, result in known.items()}
        found = {}
        for file in sorted(self.root.glob(f"*/{RESULT}")):
            try:
                spec, result = read.get(file.parent.name) or read_finished(file.parent)
            except (OSError, ValueError, InputError):
                continue
            found[spec] = result
        return found

    def write_results(self, known: Mapping[RunSpec, RunResult] = MappingProxyType({})) -> dict[RunSpec, RunResult]:
        """Write ``results.csv``, a row for every complete run of this root, and return them: see :meth:`results`."""
        found = self.results(known)
        atomic_write(self.root / RESULTS, results_csv(found))
        return found


def read_finished(folder: Path) -> tuple[RunSpec, RunResult]:
    """Read the spec and the result of a complete run.

    Raises:
        OSError, ValueError, InputError: one of them is missing or damaged.
    """
    return read_spec(folder), read_result(folder / RESULT)


def read_spec(folder: Path) -> RunSpec:
    """Read the spec of a run's folder.

    Raises:
        OSError, ValueError, InputError: it is missing or damaged, or that of another folder.
    """
    spec = RunSpec.from_json(read_plain_text(folder / SPEC))
    if spec.folder_name != folder.name and spec.folder_name != folder.resolve().name:
        raise ValueError(f"{SPEC} is that of {spec.folder_name}")
    return spec


def read_result(file: Path) -> RunResult:
    """Read ``result.json``; raise :class:`InputError` if it is not one."""
    try:
        return RunResult.from_json(read_plain_text(file))
    except ValueError:
        raise InputError(f"{file} is not the result of a run: remove its folder and the run is done anew.") from None


def metrics_csv(metrics: Iterable[EpochMetrics]) -> str:
    """Return the content of ``metrics.csv``, a row per epoch."""
    text = io.StringIO()
    names = [field.name for field in fields(EpochMetrics)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([getattr(epoch, name) for name in names] for epoch in metrics)
    return text.getvalue()


def results_csv(runs: Mapping[RunSpec, RunResult]) -> str:
    """Return one row per run, with the columns of :func:`prunecheck.load_results`; folders by name."""
    from prunecheck.runs.index import FoundRun
    from prunecheck.runs.table import runs_csv

    return runs_csv(
        FoundRun(Path(spec.folder_name), spec, result, result.epochs, result.accuracy) for spec, result in runs.items()
    )
