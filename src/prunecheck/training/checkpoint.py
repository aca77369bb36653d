"""All that is needed to go on with a training, in one file, so that it is never half of two epochs."""

from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from prunecheck.errors import InputError
from prunecheck.tensors import read_tensors, tensors_bytes
from prunecheck.training.metrics import EpochMetrics


@dataclass(frozen=True)
class Checkpoint:
    """A training after some epochs.

    Attributes:
        weights: the network's state dict.
        momentum: the optimiser's momentum buffers, by parameter name.
        metrics: of the epochs done; their number says where to go on.
    """

    weights: dict[str, Tensor]
    momentum: dict[str, Tensor]
    metrics: tuple[EpochMetrics, ...]

    def to_bytes(self) -> bytes:
        """Return the checkpoint as a safetensors file."""
        metrics = [asdict(epoch) for epoch in self.metrics]
        return tensors_bytes({"weights": self.weights, "momentum": self.momentum}, metrics)

    @staticmethod
    def read(path: Path) -> "Checkpoint":
        """Read a checkpoint.

        Raises:
            InputError: the file is not a checkpoint.
        """
        try:
            groups, metrics = read_tensors(path, ("weights", "momentum"))
            epochs = tuple(EpochMetrics(**epoch) for epoch in metrics)
        except (TypeError, ValueError) as error:
            raise InputError(f"{path} is not a checkpoint of a run: remove it and the run starts anew.") from error
        return Checkpoint(groups["weights"], groups["momentum"], epochs)
