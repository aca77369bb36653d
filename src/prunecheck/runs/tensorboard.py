"""TensorBoard curves of a run."""

import itertools
import os
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prunecheck.training import EpochMetrics

SCALARS = {
    "train_loss": "train_loss",
    "test_loss": "test_loss",
    "train_acc": "train_accuracy",
    "test_acc": "test_accuracy",
}
"""The tags that the code published with arXiv:2009.11094 writes, and the metrics they show."""

EVENT_FILES = "events.out.tfevents."

_number = itertools.count()


class EventFile:
    """A TensorBoard event file, written by whoever calls.

    TensorBoard's own writer works in a thread of its own, which ends with a traceback where the disk
    is full; here that is an error of the call.

    Args:
        folder: made if need be.
        suffix: how the file's name ends.

    Raises:
        OSError: it cannot be written; so do all its methods.
    """

    def __init__(self, folder: Path, suffix: str = "") -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(parents=True, exist_ok=True)
        name = f"{EVENT_FILES}{int(time.time())}.{socket.gethostname()}.{os.getpid()}.{next(_number)}{suffix}"
        self._file = (folder / name).open("wb")
        self._records: Any = RecordWriter(self._file)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        self._records.flush()

    def add(self, metrics: EpochMetrics, step: int) -> None:
        """Add the scalars of an epoch, those of the test part if it was tested, and see that they are in the file."""
        values = {tag: getattr(metrics, name) for tag, name in SCALARS.items()}
        self.add_values({tag: value for tag, value in values.items() if value is not None}, step)

    def add_values(self, values: Mapping[str, float], step: int) -> None:
        """Add scalars by tag, and see that they are in the file."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        for tag, number in values.items():
            value = Summary.Value(tag=tag, simple_value=number)
            self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))
        self._records.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, event: Any) -> None:
        self._records.write(event.SerializeToString())


class Curves:
    """Writes a run's metrics as they come.

    Args:
        folder: of the run. Curves that it holds are written anew, for an interruption may have left
            them an epoch ahead of the checkpoint or behind it.
        done: the metrics of the epochs that were done before.
    """

    def __init__(self, folder: Path, done: Iterable[EpochMetrics]) -> None:
        for old in folder.glob(f"{EVENT_FILES}*"):
            old.unlink()
        self._file = EventFile(folder)
        for metrics in done:
            self.add(metrics)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, metrics: EpochMetrics) -> None:
        """Add an epoch, counted from 0 as published."""
        self._file.add(metrics, metrics.epoch - 1)

    def add_metric(self, name: str, value: float, epoch: int) -> None:
        """Add what the run is judged by, which is measured after the last epoch alone."""
        self._file.add_values({f"metric/{name}": value}, epoch - 1)
