"""Tickets: starting weights and a mask, and how a method makes one."""

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.files import write_whole
from prunecheck.pruning.collapse import Collapse, collapse_of_masks, collapse_of_scores
from prunecheck.pruning.layers import Masks, Scores, prunable_weights
from prunecheck.pruning.masks import allocate
from prunecheck.pruning.methods import Method

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Ticket:
    """What is trained.

    Attributes:
        weights: the state dict that training starts from, not yet masked: a mask that is moved
            uncovers the weights that it moves to.
        masks: boolean, by layer name, True = kept; empty for a dense network.
        draw_weights: given a seed, returns other initial weights of the same network.
        collapse: why the ticket is degenerate, if it is.
    """

    weights: Weights
    masks: Masks
    draw_weights: Callable[[int], Weights] | None = None
    collapse: Collapse | None = None

    def checked(self, model: nn.Module, image_shape: tuple[int, int, int]) -> "Ticket":
        """Return the ticket with its collapse found, if its masks leave no working network."""
        if self.collapse or not self.masks:
            return self
        return replace(self, collapse=collapse_of_masks(model, self.masks, image_shape))


def copy_weights(model: nn.Module) -> Weights:
    """Return a copy of a network's state dict."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def dense_ticket(model: nn.Module) -> Ticket:
    """Return the whole network as a ticket that prunes nothing."""
    return Ticket(copy_weights(model), {})


def make_ticket(
    method: Method,
    model: nn.Module,
    batches: Sequence[Batch],
    sparsity: float,
    generator: torch.Generator,
    draw_weights: Callable[[int], Weights] | None = None,
) -> Ticket:
    """Prune a network.

    Args:
        method: what scores, and how many of each layer stay.
        model: with its initial weights; it is left as it was.
        batches: what the criterion sees.
        sparsity: share of all prunable weights to remove, in [0, 1).
        generator: draws what is random in the mask.
        draw_weights: see :class:`Ticket`.

    Raises:
        InputError: the criterion returned something else than one score per prunable weight, a
            user's criterion failed, or the sparsity cannot be reached.
    """
    scores = _score(method, model, batches, generator)
    require_scores(method.name, model, scores)
    lowest_if_undefined = {layer: score.nan_to_num(nan=-torch.inf) for layer, score in scores.items()}
    masks = allocate(lowest_if_undefined, sparsity, method.allocation)
    return Ticket(copy_weights(model), masks, draw_weights, collapse_of_scores(scores, masks))


def _score(method: Method, model: nn.Module, batches: Sequence[Batch], generator: torch.Generator) -> Scores:
    """Score a copy of the network, for a user's criterion may leave gradients and statistics in it."""
    try:
        return method.criterion(copy.deepcopy(model), batches, generator)
    except (Exception, SystemExit) as error:
        if method.source is None or isinstance(error, InputError):
            raise
        raise InputError(f"{method.name} failed ({type(error).__name__}: {error}): correct it first.") from error


def require_scores(name: str, model: nn.Module, scores: Scores) -> None:
    """Raise :class:`InputError` unless ``scores`` holds one number per prunable weight of ``model``."""
    weights = prunable_weights(model)
    expected = f"{name} must return a dict with one tensor of scores for each of {', '.join(list(weights)[:3])}, ..."
    if not isinstance(scores, dict):
        raise InputError(f"{expected}; it returned {type(scores).__name__}.")
    if missing := [layer for layer in weights if layer not in scores]:
        raise InputError(f"{expected}; it returned none for layer {missing[0]}.")
    if foreign := [layer for layer in scores if layer not in weights]:
        raise InputError(f"{expected}; it returned scores for {foreign[0]}, which is not a prunable layer.")
    for layer, weight in weights.items():
        score = scores[layer]
        if not isinstance(score, Tensor) or score.is_complex() or score.dtype == torch.bool:
            raise InputError(f"{expected}; for layer {layer} it returned no tensor of numbers.")
        if score.shape != weight.shape:
            raise InputError(
                f"{name} returned scores of shape {tuple(score.shape)} for layer {layer}: "
                f"its weights have shape {tuple(weight.shape)}."
            )


def ticket_bytes(ticket: Ticket, description: dict[str, object]) -> bytes:
    """Return a ticket as a safetensors file: ``weights/NAME``, ``masks/LAYER`` and a description as JSON."""
    from safetensors.torch import save

    tensors = {f"weights/{name}": tensor.contiguous() for name, tensor in ticket.weights.items()}
    tensors |= {f"masks/{layer}": mask.contiguous() for layer, mask in ticket.masks.items()}
    return save(tensors, metadata={"description": json.dumps(description, sort_keys=True)})


def save_ticket(ticket: Ticket, path: Path, description: dict[str, object]) -> None:
    """Write a ticket; see :func:`ticket_bytes`. The file appears whole or not at all."""
    write_whole(path, ticket_bytes(ticket, description))


def load_ticket(path: Path) -> tuple[Ticket, dict[str, object]]:
    """Read a ticket and its description.

    Raises:
        InputError: there is no such file, or it is not a ticket.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise InputError(f"there is no file {path}: make a ticket with `prunecheck prune METHOD -o {path}`.")
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "masks": {}}
    try:
        with safe_open(path, framework="pt") as file:
            description = json.loads((file.metadata() or {})["description"])
            for key in file.keys():  # noqa: SIM118 - not a mapping
                part, _, name = key.partition("/")
                parts[part][name] = file.get_tensor(key)
    except (SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path} is not a ticket: make one with `prunecheck prune METHOD -o {path}`.") from error
    return Ticket(parts["weights"], parts["masks"]), description
