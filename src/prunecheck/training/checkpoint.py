"""All that is needed to go on with a training, in one file, so that it is never half of two epochs."""

import contextlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from prunecheck.errors import InputError
from prunecheck.tensors import Groups, read_tensors, tensors_bytes
from prunecheck.training.metrics import EpochMetrics


@dataclass(frozen=True)
class Checkpoint:
    """A training after some epochs.

    Attributes:
        weights: the network's state dict.
        momentum: the optimiser's momentum buffers, by parameter name.
        metrics: of the epochs done; their number says where to go on.
        masks: by layer, of a ticket whose mask moves; empty for one whose mask stays.
    """

    weights: dict[str, Tensor]
    momentum: dict[str, Tensor]
    metrics: tuple[EpochMetrics, ...]
    masks: dict[str, Tensor] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the checkpoint as a safetensors file."""
        metrics = [asdict(epoch) for epoch in self.metrics]
        groups = {"weights": self.weights, "momentum": self.momentum}
        return tensors_bytes(groups | {"masks": self.masks} if self.masks else groups, metrics)

    @staticmethod
    def read(path: Path) -> "Checkpoint":
        """Read a checkpoint.

        Raises:
            InputError: the file is not a checkpoint.
        """
        try:
            groups, metrics = _read_groups(path)
            epochs = tuple(EpochMetrics(**epoch) for epoch in metrics)
        except (TypeError, ValueError) as error:
            raise InputError(f"{path} is not a checkpoint of a run: remove it and the run starts anew.") from error
        return Checkpoint(groups["weights"], groups["momentum"], epochs, groups.get("masks", {}))


def _read_groups(path: Path) -> tuple[Groups, Any]:
    with contextlib.suppress(ValueError):
        return read_tensors(path, ("weights", "momentum"))
    return read_tensors(path, ("weights", "momentum", "masks"))
