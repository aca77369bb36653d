"""All that is needed to go on with a training, in one file, so that it is never half of two epochs."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from prunecheck.errors import InputError
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
        from safetensors.torch import save

        tensors = {f"weights/{name}": tensor.contiguous() for name, tensor in self.weights.items()}
        tensors |= {f"momentum/{name}": tensor.contiguous() for name, tensor in self.momentum.items()}
        return save(tensors, metadata={"metrics": json.dumps([asdict(epoch) for epoch in self.metrics])})

    @staticmethod
    def read(path: Path) -> "Checkpoint":
        """Read a checkpoint.

        Raises:
            InputError: the file is not a checkpoint.
        """
        from safetensors import SafetensorError, safe_open

        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "momentum": {}}
        try:
            with safe_open(path, framework="pt") as file:
                metrics = json.loads((file.metadata() or {})["metrics"])
                for key in file.keys():  # noqa: SIM118 - not a mapping
                    part, _, name = key.partition("/")
                    parts[part][name] = file.get_tensor(key)
            epochs = tuple(EpochMetrics(**epoch) for epoch in metrics)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is not a checkpoint of a run: remove it and the run starts anew.") from error
        return Checkpoint(parts["weights"], parts["momentum"], epochs)
