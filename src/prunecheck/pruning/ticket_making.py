"""How a method makes a ticket."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from prunecheck.data.scoring_data import ScoringData
from prunecheck.errors import InputError
from prunecheck.pruning.collapse import collapse_of_scores, collapse_of_ties, share_of
from prunecheck.pruning.copying import copy_network
from prunecheck.pruning.layers import Scores, weight_name, whole_masks
from prunecheck.pruning.methods import Method
from prunecheck.pruning.patterns import Structure, find_pattern
from prunecheck.pruning.returned import OwnMasks, read_returned, require_kept
from prunecheck.pruning.shared_scores import scored_once
from prunecheck.pruning.tickets import Ticket, Weights, copy_weights
from prunecheck.pruning.trainings import Training
from prunecheck.user_code.failures import failure_named


def make_ticket(
    method: Method,
    model: nn.Module,
    data: ScoringData,
    sparsity: float,
    generator: torch.Generator,
    draw_weights: Callable[[int], Weights] | None = None,
    *,
    seed: int = 0,
    given: Mapping[Training, Weights] | None = None,
    change_scores: Callable[[Scores], Scores] | None = None,
) -> Ticket:
    """Prune a network.

    Args:
        method: what scores, how many of each layer stay, and which weights are meant; or what chooses masks, or makes
            the whole ticket, itself.
        model: with its initial weights; it is left as it was.
        data: what criteria see.
        sparsity: share of all prunable weights to remove, in [0, 1).
        generator: draws what is random in the mask.
        draw_weights: see :class:`Ticket`.
        seed: the run's, for a method that takes it.
        given: the weights of the earlier trainings that the method needs; see :meth:`Method.trainings`.
        change_scores: what is done to the scores before the mask is made of them; None for nothing.

    Raises:
        InputError: the method returned something else than scores, masks or a ticket of the network, a user's
            function failed, the sparsity cannot be reached, or scores are to be changed and there are none.
    """
    given = given or {}
    if training := method.final_masks(sparsity):
        start = copy_weights(_with_weights(model, method.start(sparsity), given))
        return Ticket(start, dict(given[training]), draw_weights)  # which moved one weight at a time, in no pattern
    returned = _returned(method, model, data, sparsity, generator, draw_weights, seed, given)
    start = copy_weights(_with_weights(model, method.start(sparsity), given))
    structure = structure_in(method, model, data)
    if isinstance(returned, OwnMasks):
        if change_scores:
            raise InputError(f"{method.name} returns masks, and this check changes scores: leave the check out.")
        require_kept(method.name, returned.masks, sparsity)
        structure.require(method.name, returned.masks)
        if method.is_after_training:
            return _after_training(returned, start, draw_weights, structure)
        moves = method.updates
        return Ticket(returned.weights or start, returned.masks, draw_weights, structure=structure, updates=moves)
    scores = change_scores(returned) if change_scores else returned
    combine, updates = method.criterion.combine, method.updates
    if method.ratios_of:
        other = make_ticket(method.ratios_of, model, data, sparsity, generator, draw_weights, seed=seed, given=given)
        chosen = structure.choose_like(scores, other.masks, generator, combine)
    elif updates and updates.is_gradual:
        updates = replace(updates, sparsity=sparsity, allocation=method.allocation)
        return Ticket(start, whole_masks(scores), draw_weights, updates=updates)
    else:
        chosen = structure.choose(scores, sparsity, method.allocation, generator, combine)
    return Ticket(
        start,
        chosen.masks,
        draw_weights,
        collapse_of_scores(scores, chosen.masks) or collapse_of_ties(scores, chosen.masks, chosen.by_lot),
        share_of(chosen.by_lot, chosen.masks),
        structure,
        updates,
    )


def _after_training(
    returned: OwnMasks, trained: Weights, draw_weights: Callable[[int], Weights] | None, structure: Structure
) -> Ticket:
    """Return a ticket with the updated weights that are kept; those that are pruned are as they were trained."""
    if returned.weights is None:
        return Ticket(trained, returned.masks, draw_weights, structure=structure)
    weights = dict(returned.weights)
    for layer, mask in returned.masks.items():
        name = weight_name(layer)
        weights[name] = torch.where(mask, weights[name], trained[name])
    return Ticket(weights, returned.masks, draw_weights, structure=structure, before_update=trained)


def structure_in(method: Method, model: nn.Module, data: ScoringData) -> Structure:
    """Return what a method's pattern is in a network.

    Args:
        method: whose pattern is meant.
        model: the network.
        data: for the shape of its images.

    Raises:
        InputError: the pattern does not fit the network.
    """
    pattern = find_pattern(method.pattern)
    shape = tuple(data.shape_only[0][0].shape[1:]) if pattern.depends_on_network else ()
    return pattern.fit(model, shape)


def _with_weights(model: nn.Module, training: Training | None, given: Mapping[Training, Weights]) -> nn.Module:
    """Return the model with the weights of a training; the model itself if its initial ones are meant."""
    if training is None:
        return model
    other = copy_network(model)
    other.load_state_dict(given[training])
    return other


def _returned(
    method: Method,
    model: nn.Module,
    data: ScoringData,
    sparsity: float,
    generator: torch.Generator,
    draw_weights: Callable[[int], Weights] | None,
    seed: int,
    given: Mapping[Training, Weights],
) -> Scores | OwnMasks:
    """Call a method with copies of networks, in which a user's function may leave gradients and statistics."""
    scored = _with_weights(model, method.scored(sparsity), given)
    offered: dict[str, Any] = {"generator": generator, "sparsity": sparsity, "seed": seed, "draw_weights": draw_weights}
    if training := method.trained_model(sparsity):
        offered["trained_model"] = copy_network(_with_weights(model, training, given))
    if method.is_after_training:
        # One that sees no data is given a blank sequence.
        calibration = data.shape_only[0][0] if data.calibration is None else data.calibration
        offered |= {"calibration": calibration, "pattern": method.pattern}
    samples = data.new_samples if method.criterion.new_samples else data.samples
    seen = {"samples": samples, "training set": data.training_set}.get(method.criterion.sees, data.shape_only)
    with _of_users(method) if method.reference or method.code else contextlib.nullcontext():
        criterion = method.criterion
        returned = scored_once(criterion, scored, seen, lambda: criterion(copy_network(scored), seen, **offered))
        return read_returned(method.name, scored, returned)


@contextlib.contextmanager
def _of_users(method: Method) -> Iterator[None]:
    """Let a user's function fail with its name, and leave stdout and torch's default type alone."""
    default_dtype = torch.get_default_dtype()
    try:
        # What it prints must not end up in the middle of an answer.
        with failure_named(f"{method.name} failed"), torch.enable_grad(), contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        torch.set_default_dtype(default_dtype)
