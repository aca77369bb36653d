"""TensorBoard scalars below ``--writerdir``, which other runs may share."""

from pathlib import Path
from types import TracebackType
from typing import Self

from prunecheck.errors import InputError
from prunecheck.runs.tensorboard import EVENT_FILES, EventFile
from prunecheck.training import Checkpoint


def require_writerdir(folder: Path) -> None:
    """Raise :class:`InputError` if the folder cannot be one."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--writerdir {folder} is a file: give the name of a folder.")


class Scalars:
    """Writes ``train_loss``, ``test_loss``, ``train_acc`` and ``test_acc`` of one run, by epoch from 0.

    Args:
        folder: made if need be. Of the event files in it, those that this run wrote before are
            written anew.
        run: the run's hash, with which the names of its event files end.
        first_epoch: the number of its first epoch.
    """

    def __init__(self, folder: Path, run: str, first_epoch: int) -> None:
        self._folder = folder
        self._run = run
        self._first_epoch = first_epoch
        self._file: EventFile | None = None
        self._written = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()

    def write(self, checkpoint: Checkpoint) -> None:
        """Add the epochs that are not yet written."""
        if self._file is None:
            self._file = self._begin()
        for metrics in checkpoint.metrics[self._written :]:
            self._file.add(metrics, self._first_epoch + metrics.epoch - 1)
        self._written = len(checkpoint.metrics)

    def _begin(self) -> EventFile:
        for old in self._folder.glob(f"{EVENT_FILES}*.{self._run}"):
            old.unlink()
        return EventFile(self._folder, suffix=f".{self._run}")
