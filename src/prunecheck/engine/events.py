"""What is told of runs while they are executed."""

from dataclasses import dataclass

from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec


@dataclass(frozen=True)
class EpochDone:
    """A run has done an epoch.

    Attributes:
        epoch: counted from 1.
        accuracy: test accuracy, percent; None if the network was not tested after this epoch.
    """

    spec: RunSpec
    epoch: int
    accuracy: float | None


@dataclass(frozen=True)
class RunDone:
    """A run is complete."""

    spec: RunSpec
    result: RunResult


Event = EpochDone | RunDone
