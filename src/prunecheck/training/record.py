"""What a training ends with."""

from dataclasses import dataclass, field

from prunecheck.pruning.layers import Masks
from prunecheck.pruning.tickets import Weights
from prunecheck.training.metrics import EpochMetrics


@dataclass(frozen=True)
class Tested:
    """What a test of a network that is not trained showed.

    Attributes:
        loss: mean cross entropy, nats.
        accuracy: percent.
        sequence_losses: mean cross entropy of each test sequence of tokens, nats; empty for images.
    """

    loss: float
    accuracy: float
    sequence_losses: tuple[float, ...] = ()


@dataclass(frozen=True)
class Record:
    """A finished training, or test.

    Attributes:
        weights: the state dict after the last epoch.
        metrics: one row per epoch.
        diverged: whether the loss stopped being finite; training ends with that epoch.
        acceleration: the parts of it that were used; see :meth:`prunecheck.training.Acceleration.used`.
        value: what was measured after the last epoch; None if nothing was asked for, or the training diverged.
        tested: of a ticket that was tested and not trained; None for one that was trained.
        masks: those of a ticket whose mask moves, after the last epoch; empty for one whose mask stays.
    """

    weights: Weights
    metrics: tuple[EpochMetrics, ...]
    diverged: bool
    acceleration: tuple[str, ...] = ()
    value: float | None = None
    masks: Masks = field(default_factory=dict)
    tested: Tested | None = None

    @property
    def test_loss(self) -> float | None:
        """Mean cross entropy of the test part at the end, nats."""
        return self.tested.loss if self.tested else self.metrics[-1].test_loss

    @property
    def test_accuracy(self) -> float | None:
        """Test accuracy at the end, percent."""
        return self.tested.accuracy if self.tested else self.metrics[-1].test_accuracy
