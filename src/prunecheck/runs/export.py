"""Trained networks in forms that other programs read."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from torch import Tensor

from prunecheck.errors import InputError
from prunecheck.pruning import Ticket
from prunecheck.pruning.layers import Masks, weight_name
from prunecheck.pruning.tickets import Weights, load_ticket, ticket_bytes
from prunecheck.runs.index import read_run
from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import CHECKPOINT, SPEC, TICKET
from prunecheck.training import Checkpoint

Form = Literal["state-dict", "torch-prune", "safetensors"]
FORMS: tuple[Form, ...] = get_args(Form)


@dataclass(frozen=True)
class TrainedNetwork:
    """The network that a run ended with.

    Attributes:
        weights: its state dict after the last epoch, with zeros at pruned weights.
        masks: boolean, by layer name, True = kept; empty for a dense network.
    """

    spec: RunSpec
    result: RunResult
    weights: Weights
    masks: Masks

    def to_bytes(self, form: Form) -> bytes:
        """Return the network as a file.

        Args:
            form: ``state-dict``: what ``torch.save(model.state_dict())`` writes. ``torch-prune``: the
                same of a network pruned with ``torch.nn.utils.prune``, which has ``weight_orig`` and
                ``weight_mask`` where a weight is pruned. ``safetensors``: ``weights/NAME`` and
                ``masks/LAYER`` as in tickets. The first two load with ``weights_only=True``.

        Raises:
            InputError: ``torch-prune`` is asked for, and the network is dense.
        """
        if form == "safetensors":
            description: dict[str, object] = {"run": self.spec.folder_name, "accuracy": self.result.accuracy}
            return ticket_bytes(Ticket(self.weights, self.masks), description)
        return _saved(self.weights if form == "state-dict" else self._as_pruned_by_torch())

    def _as_pruned_by_torch(self) -> Weights:
        if not self.masks:
            raise InputError(
                f"{self.spec.folder_name} is a dense network, which has no masks: export it as a state-dict."
            )
        masks = {weight_name(layer): mask for layer, mask in self.masks.items()}
        content: Weights = {}
        for name, tensor in self.weights.items():
            if name in masks:
                content[f"{name}_orig"] = tensor
                # Of the weight's type, as torch keeps it.
                content[f"{name}_mask"] = masks[name].to(tensor.dtype)
            else:
                content[name] = tensor
        return content


def load_trained(folder: Path) -> TrainedNetwork:
    """Read the network that a run ended with.

    Args:
        folder: the run's.

    Raises:
        InputError: it is no run's folder, the run is not finished or was not trained, or its files
            are damaged or do not belong together.
    """
    if not (folder / SPEC).is_file():
        raise InputError(f"{folder} is not the folder of a run: `prunecheck results` lists those that there are.")
    try:
        run = read_run(folder)
    except ValueError as error:
        raise InputError(f"{folder} cannot be read ({error}): the run has to be done anew.") from error
    spec, result = run.spec, run.result
    if result is None:
        raise InputError(
            f"{folder} is not finished, it has done {run.epochs_done} of {spec.setting.recipe.epochs} epochs: "
            "call the command that began it again."
        )
    if result.status != "trained":
        raise InputError(f"{folder} has no trained network, for the run {result.status}: choose another run.")
    weights, masks = _read_weights(folder / CHECKPOINT), load_ticket(folder / TICKET)[0].masks
    _require_same_network(folder, weights, masks)
    return TrainedNetwork(spec, result, weights, masks)


def _read_weights(file: Path) -> Weights:
    if not file.is_file():
        raise InputError(f"{file} is gone, and with it the trained weights: the run has to be done anew.")
    return Checkpoint.read(file).weights


def _require_same_network(folder: Path, weights: Weights, masks: Masks) -> None:
    for layer, mask in masks.items():
        weight = weights.get(weight_name(layer))
        if weight is None or weight.shape != mask.shape or bool(weight[~mask].any()):
            raise InputError(f"the weights and masks of {folder} do not belong together: the run has to be done anew.")


def _saved(content: dict[str, Tensor]) -> bytes:
    import torch

    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()
