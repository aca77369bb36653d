"""What a training ends with."""

from dataclasses import dataclass, field

from prunecheck.pruning.layers import Masks
from prunecheck.pruning.tickets import Weights
from prunecheck.training.metrics import EpochMetrics


@dataclass(frozen=True)
class Record:
    """A finished training.

    Attributes:
        weights: the state dict after the last epoch.
        metrics: one row per epoch.
        diverged: whether the loss stopped being finite; training ends with that epoch.
        acceleration: the parts of it that were used; see :meth:`prunecheck.training.Acceleration.used`.
        value: what was measured after the last epoch; None if nothing was asked for, or the training diverged.
        masks: those of a ticket whose mask moves, after the last epoch; empty for one whose mask stays.
    """

    weights: Weights
    metrics: tuple[EpochMetrics, ...]
    diverged: bool
    acceleration: tuple[str, ...] = ()
    value: float | None = None
    masks: Masks = field(default_factory=dict)
