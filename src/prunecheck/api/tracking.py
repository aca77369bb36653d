"""Curves of runs at services that track experiments, beside TensorBoard's files: a listener to the events of runs.

It is told of events in the process of the command, and reads what the runs have written: workers need no service, and
a service that does not answer ends no run.
"""

import csv
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from prunecheck.engine.events import Event, RunDone
from prunecheck.errors import InputError, field_name
from prunecheck.plain_files import read_plain_text
from prunecheck.registry import Registry
from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import METRICS, RunStore

PROJECT = "prunecheck"
"""Where runs are kept at a service unless the user says otherwise."""

SECONDS = 10.0
"""So long what a run has written is not read again, as long as runs leave between checkpoints."""


class TrackedRun(Protocol):
    """One run at a service.

    Attributes:
        last_epoch: the last epoch that the service has of it, from an earlier command; 0 for none.
    """

    last_epoch: int

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Send the metrics of an epoch, counted from 1: the columns of ``metrics.csv`` that have a value."""

    def end(self, result: RunResult | None) -> None:
        """Send what the run ended with, or None if it is interrupted, and let go of it."""


Service = Callable[[RunSpec, Path, str], TrackedRun]
"""Begins a run at a service, or goes on with it: given its spec, its root, and the project or experiment."""

SERVICES: Registry[Service] = Registry("tracking service", "prunecheck.tracking")


def read_services(track: str | Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the services that are asked for and, for each, the project there.

    Args:
        track: names, each with a project behind a colon or not: ``wandb``, ``mlflow:my-experiment``.

    Raises:
        InputError: there is no such service, it is named twice, or its package is not installed.
    """
    import prunecheck.api.tracking_services  # noqa: F401 - which registers ours

    found: dict[str, str] = {}
    for text in (track,) if isinstance(track, str) else track:
        name, _, project = text.partition(":")
        if name in found:
            raise InputError(f"{field_name('track')} names {name} twice: name it once.", field="track")
        check = getattr(SERVICES.get(name), "require", None)
        if check is not None:
            check()
        found[name] = project or PROJECT
    return tuple(found.items())


class Tracking:
    """Sends the metrics of runs as they come; a service that fails is said to have failed, and left alone.

    Args:
        services: see :func:`read_services`.
        root: where the runs are.
    """

    def __init__(self, services: Iterable[tuple[str, str]], root: Path) -> None:
        self._services = dict(services)
        self._store = RunStore(root)
        self._begun: dict[RunSpec, dict[str, TrackedRun]] = {}
        self._sent: dict[tuple[RunSpec, str], int] = {}
        self._read_at: dict[RunSpec, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for spec in list(self._begun):
            self._send(spec)
            self._end(spec, None)

    def update(self, event: Event) -> None:
        """Take in an event: send what is new of its run."""
        spec, is_done = event.spec, isinstance(event, RunDone)
        if not is_done and time.monotonic() - self._read_at.get(spec, -SECONDS) < SECONDS:
            return
        self._read_at[spec] = time.monotonic()
        self._send(spec)
        if isinstance(event, RunDone):
            self._end(spec, event.result)
            del self._read_at[spec]

    def _send(self, spec: RunSpec) -> None:
        rows = _rows(self._store.folder(spec).path / METRICS)
        for name, run in self._runs(spec).items():
            for epoch, values in rows.items():
                if epoch > self._sent[spec, name]:
                    if not self._try(name, partial(run.log, epoch, values)):
                        break
                    self._sent[spec, name] = epoch

    def _runs(self, spec: RunSpec) -> dict[str, TrackedRun]:
        """Return the run at each service, begun there if it is not."""
        runs = self._begun.setdefault(spec, {})
        for name, project in list(self._services.items()):
            if name not in runs:
                self._try(name, partial(self._begin, spec, name, project))
        return {name: run for name, run in runs.items() if name in self._services}

    def _begin(self, spec: RunSpec, name: str, project: str) -> None:
        run = SERVICES.get(name)(spec, self._store.root, project)
        self._begun[spec][name] = run
        self._sent[spec, name] = run.last_epoch

    def _end(self, spec: RunSpec, result: RunResult | None) -> None:
        for name, run in self._begun.pop(spec, {}).items():
            if name in self._services:
                self._try(name, partial(run.end, result))
            self._sent.pop((spec, name), None)

    def _try(self, name: str, act: Callable[[], None]) -> bool:
        """Do something at a service, and say whether it did not fail; one that did is not asked again."""
        try:
            act()
        except Exception as error:  # whatever a service raises, the runs go on
            del self._services[name]
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"prunecheck: {name} failed ({reason}): the runs go on without it.", file=sys.stderr)
            return False
        return True


def _rows(file: Path) -> dict[int, dict[str, float]]:
    """Return what a run has measured by epoch; empty before its first checkpoint."""
    try:
        rows = list(csv.DictReader(read_plain_text(file).splitlines()))
    except FileNotFoundError:
        return {}
    return {
        int(row["epoch"]): {name: float(value) for name, value in row.items() if name != "epoch" and value}
        for row in rows
    }
