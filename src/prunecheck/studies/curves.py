"""TensorBoard curves of a run."""

from collections.abc import Iterable
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
    """Writes a run's metrics as they come.

    Args:
        folder: of the run. Curves that it holds are written anew, for an interruption may have left
            them an epoch ahead of the checkpoint or behind it.
        done: the metrics of the epochs that were done before.
    """

    def __init__(self, folder: Path, done: Iterable[EpochMetrics]) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._writer = SummaryWriter(str(folder))
        for metrics in done:
            self.add(metrics)

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
