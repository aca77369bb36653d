"""What is told of runs while they are executed."""

from dataclasses import dataclass

from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec


@dataclass(frozen=True)
class EpochDone:
    """A run has done an epoch.

    Attributes:
        epoch: counted from 1.
        accuracy: test accuracy, percent.
    """

    spec: RunSpec
    epoch: int
    accuracy: float


@dataclass(frozen=True)
class RunDone:
    """A run is complete."""

    spec: RunSpec
    result: RunResult


Event = EpochDone | RunDone
