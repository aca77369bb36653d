"""TensorBoard curves of a run."""

from pathlib import Path
from types import TracebackType
from typing import Self

from prunecheck.training import EpochMetrics

SCALARS = {
    "train_loss": "train_loss",
    "test_loss": "test_loss",
    "train_acc": "train_accuracy",
    "test_acc": "test_accuracy",
}
"""The tags that the code published with arXiv:2009.11094 writes, and the metrics they show."""


class Curves:
    """Writes a run's metrics as they come; a run that goes on replaces what was written past its checkpoint."""

    def __init__(self, folder: Path, epochs_done: int) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=epochs_done)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def add(self, metrics: EpochMetrics) -> None:
        """Add an epoch, counted from 0 as published."""
        for tag, name in SCALARS.items():
            self._writer.add_scalar(tag, getattr(metrics, name), metrics.epoch - 1)
        self._writer.flush()
