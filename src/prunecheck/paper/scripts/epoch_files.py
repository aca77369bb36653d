"""What a training writes after every epoch in the published form: a checkpoint and a log."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from prunecheck.io import atomic_write
from prunecheck.paper.scripts.checkpoints import optimizer_state, plain, to_bytes
from prunecheck.paper.scripts.logs import log_text
from prunecheck.paper.scripts.setting import Say
from prunecheck.pruning.checkpoint_files import Content
from prunecheck.runs.spec import RunSpec
from prunecheck.training import Checkpoint


@dataclass(frozen=True)
class EpochFiles:
    """The files of a training.

    Attributes:
        folder: where they are written.
        checkpoint: the checkpoint's name.
        log: the log's name.
        best: the name of a copy of the best epoch's checkpoint; None for no copy.
        model: the network, whose parameters the optimizer's state is about; left as it is.
        first_epoch: the number of the run's first epoch, counted from 0.
    """

    folder: Path
    checkpoint: str
    log: str
    best: str | None
    model: nn.Module
    spec: RunSpec
    first_epoch: int

    def write(self, checkpoint: Checkpoint) -> None:
        """Write the state after an epoch, the log up to it, and the copy if it is the best so far."""
        content = to_bytes(self.content(checkpoint))
        atomic_write(self.folder / self.log, log_text(checkpoint.metrics))
        atomic_write(self.folder / self.checkpoint, content)
        *earlier, last = [epoch.test_accuracy or 0.0 for epoch in checkpoint.metrics]
        # As published: an epoch that only equals the best one, or 0, is not copied.
        if self.best and last > max(earlier, default=0.0):
            atomic_write(self.folder / self.best, content)

    def content(self, checkpoint: Checkpoint) -> Content:
        """Return the published checkpoint of an epoch; accuracies are in percent."""
        recipe, last = self.spec.setting.recipe, checkpoint.metrics[-1]
        return {
            "epoch": self.first_epoch + len(checkpoint.metrics),
            # In the network's order, which the run folder does not keep.
            "state_dict": plain({name: checkpoint.weights[name] for name in self.model.state_dict()}),
            "acc": last.test_accuracy,
            "best_acc": max(epoch.test_accuracy or 0.0 for epoch in checkpoint.metrics),
            "optimizer": optimizer_state(
                self.model, last.learning_rate, recipe.momentum, recipe.weight_decay, plain(checkpoint.momentum)
            ),
        }

    def say(self, checkpoint: Checkpoint, say: Say) -> None:
        """Print the epoch in a line."""
        last = checkpoint.metrics[-1]
        epoch, epochs = self.first_epoch + last.epoch, self.first_epoch + self.spec.setting.recipe.epochs
        say(
            f"Epoch: [{epoch} | {epochs}] LR: {last.learning_rate:f}  train loss {last.train_loss:.4f}, "
            f"acc {last.train_accuracy:.2f}; test loss {last.test_loss:.4f}, acc {last.test_accuracy:.2f}"
        )
