"""Tickets: starting weights and a mask, and how a method makes one."""

import contextlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from prunecheck.data.batches import ScoringData
from prunecheck.errors import InputError
from prunecheck.io import write_whole
from prunecheck.pruning.allocations import exact_ratio
from prunecheck.pruning.collapse import (
    Collapse,
    collapse_of_masks,
    collapse_of_scores,
    collapse_of_ties,
    empty_layers,
    share_of,
)
from prunecheck.pruning.copying import copy_network
from prunecheck.pruning.layers import Masks, Scores, prunable_weights
from prunecheck.pruning.masks import allocate, drawn_by_lot
from prunecheck.pruning.methods import Method, Training
from prunecheck.tensors import read_tensors, tensors_bytes

Weights = dict[str, Tensor]

BY_LOT_KEY = "share_by_lot"
"""In a ticket file's description, what :attr:`Ticket.share_by_lot` was."""


@dataclass(frozen=True)
class Ticket:
    """What is trained.

    Attributes:
        weights: the state dict that training starts from, not yet masked: a mask that is moved
            uncovers the weights that it moves to.
        masks: boolean, by layer name, True = kept; empty for a dense network.
        draw_weights: given a seed, returns other initial weights of the same network.
        collapse: why the ticket is degenerate, if it is.
        share_by_lot: share, in [0, 1], of the kept weights that were drawn by lot, for others that
            were removed have the same score.
    """

    weights: Weights
    masks: Masks
    draw_weights: Callable[[int], Weights] | None = None
    collapse: Collapse | None = None
    share_by_lot: float = 0.0

    def on_cpu(self) -> "Ticket":
        """Return the ticket with its weights and masks on the CPU."""
        weights = {name: tensor.cpu() for name, tensor in self.weights.items()}
        return replace(self, weights=weights, masks={layer: mask.cpu() for layer, mask in self.masks.items()})

    @property
    def remarks(self) -> list[str]:
        """What is remarkable about it, beside a collapse: empty layers, and weights that were drawn by lot."""
        found = []
        if empty := empty_layers(self.masks):
            found.append(f"no weight is left in {', '.join(empty)}")
        if self.share_by_lot:
            share = f"{100 * self.share_by_lot:.3g}"
            found.append(f"{share} % of the kept weights were drawn by lot among equal scores")
        return found

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
    data: ScoringData,
    sparsity: float,
    generator: torch.Generator,
    draw_weights: Callable[[int], Weights] | None = None,
    *,
    given: Mapping[Training, Weights] | None = None,
    change_scores: Callable[[Scores], Scores] = lambda scores: scores,
) -> Ticket:
    """Prune a network.

    Args:
        method: what scores, how many of each layer stay, and which weights are meant.
        model: with its initial weights; it is left as it was.
        data: what criteria see.
        sparsity: share of all prunable weights to remove, in [0, 1).
        generator: draws what is random in the mask.
        draw_weights: see :class:`Ticket`.
        given: the weights of the earlier trainings that the method needs; see :meth:`Method.trainings`.
        change_scores: what is done to the scores before the mask is made of them.

    Raises:
        InputError: the criterion returned something else than one score per prunable weight, a
            user's criterion failed, or the sparsity cannot be reached.
    """
    given = given or {}
    scored = _with_weights(model, method.scored(sparsity), given)
    scores = _score(method, scored, data, sparsity, generator)
    require_scores(method.name, scored, scores)
    scores = change_scores(scores)
    allocation: str | Mapping[str, float] = method.allocation
    if method.ratios_of:
        other = make_ticket(method.ratios_of, model, data, sparsity, generator, given=given)
        allocation = {layer: exact_ratio(int(mask.sum()), mask.numel()) for layer, mask in other.masks.items()}
    masks = allocate(scores, sparsity, allocation, generator)
    by_lot = drawn_by_lot(scores, masks, allocation)
    start = copy_weights(_with_weights(model, method.start(sparsity), given))
    return Ticket(
        start,
        masks,
        draw_weights,
        collapse_of_scores(scores, masks) or collapse_of_ties(scores, masks, by_lot),
        share_of(by_lot, masks),
    )


def _with_weights(model: nn.Module, training: Training | None, given: Mapping[Training, Weights]) -> nn.Module:
    """Return the model with the weights of a training; the model itself if its initial ones are meant."""
    if training is None:
        return model
    other = copy_network(model)
    other.load_state_dict(given[training])
    return other


def _score(method: Method, model: nn.Module, data: ScoringData, sparsity: float, generator: torch.Generator) -> Scores:
    """Score a copy of the network, for a user's criterion may leave gradients and statistics in it."""
    samples = data.new_samples if method.criterion.new_samples else data.samples
    seen = {"nothing": data.shape_only, "samples": samples, "training set": data.training_set}[method.criterion.sees]
    if method.reference is None:
        return method.criterion(copy_network(model), seen, generator, sparsity)
    default_dtype = torch.get_default_dtype()
    try:
        # What a user's criterion prints must not end up in the middle of an answer.
        with torch.enable_grad(), contextlib.redirect_stdout(sys.stderr):
            return method.criterion(copy_network(model), seen, generator, sparsity)
    except (Exception, SystemExit) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{method.name} failed ({type(error).__name__}: {error}): correct it first.") from error
    finally:
        torch.set_default_dtype(default_dtype)


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
        if score.layout != torch.strided or score.is_meta:
            raise InputError(f"{expected}; for layer {layer} it returned a sparse tensor, or one without values.")
        if score.shape != weight.shape:
            raise InputError(
                f"{name} returned scores of shape {tuple(score.shape)} for layer {layer}: "
                f"its weights have shape {tuple(weight.shape)}."
            )


def ticket_bytes(ticket: Ticket, description: dict[str, object]) -> bytes:
    """Return a ticket as a safetensors file: ``weights/NAME``, ``masks/LAYER`` and a description as JSON."""
    if ticket.share_by_lot:
        description = description | {BY_LOT_KEY: ticket.share_by_lot}
    return tensors_bytes({"weights": ticket.weights, "masks": ticket.masks}, description)


def save_ticket(ticket: Ticket, path: Path, description: dict[str, object]) -> None:
    """Write a ticket; see :func:`ticket_bytes`. The file appears whole or not at all."""
    write_whole(path, ticket_bytes(ticket, description))


def load_ticket(path: Path) -> tuple[Ticket, dict[str, object]]:
    """Read a ticket and its description.

    Raises:
        InputError: there is no such file, or it is not a ticket.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}: make a ticket with `prunecheck prune METHOD -o {path}`.")
    try:
        groups, description = read_tensors(path, ("weights", "masks"))
    except ValueError as error:
        raise InputError(f"{path} is not a ticket: make one with `prunecheck prune METHOD -o {path}`.") from error
    by_lot = description.get(BY_LOT_KEY, 0.0)
    share = by_lot if isinstance(by_lot, float) and 0 <= by_lot <= 1 else 0.0
    return Ticket(groups["weights"], groups["masks"], share_by_lot=share), description
