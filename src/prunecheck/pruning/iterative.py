"""Criteria that score and prune in rounds, without training in between: SynFlow, iterative SNIP and FORCE.

Round t of T keeps the share p = ``(1 - sparsity) ** (t / T)`` of all N weights, those with the largest
scores in the whole network. In all rounds but the last, of which only the scores are returned, the
number is rounded as in the published code: ``N - int((1 - p) * N)`` in SynFlow, ``int(N * p)`` in FORCE
and iterative SNIP. For these methods are chaotic: one weight more or less in a round gives another mask.

Scores of weights that were removed for good lie below all others, the earlier removed the lower, so
that one threshold over the returned scores gives the method's mask. Everything happens on a copy: the
model is left as it was.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.pruning.allocations import require_sparsity
from prunecheck.pruning.criteria import register_criterion
from prunecheck.pruning.layers import Masks, Scores
from prunecheck.pruning.logits import require_logits
from prunecheck.pruning.masks import keep_largest
from prunecheck.pruning.positive_network import flow_through, positive_copy, require_linear
from prunecheck.pruning.scoring import (
    BatchSource,
    copy_for_scoring,
    image_shape_of,
    only_weights_have_gradients,
    require_batches,
    summed_gradient,
)

ScoreMasked = Callable[[Masks], Scores]
"""Given masks, scores the masked network; no score is negative."""

DENSITY_DECIMALS = 15
"""To which 1 - sparsity is rounded."""


@register_criterion("synflow", sees="nothing", argument="rounds", requires=require_linear)
def synflow(model: nn.Module, batches: BatchSource, *, sparsity: float, rounds: int = 100) -> Scores:
    """Synaptic flow: how much passes through a weight when all weights are positive; in 100 rounds.

    SynFlow (Tanaka et al., NeurIPS 2020, arXiv:2006.05467, algorithm 1): |weight x gradient| of the
    summed output for an input of ones, with the absolute values of all parameters. As in the
    published code the network is in evaluation mode and batch norm is kept as it is in a fresh network:
    it multiplies by the absolute value of its weight. Running means and variances, which trained
    weights come with, are left out, for they would let data in and signs turn. Here biases are left
    out too, as in the paper's formula: they are 0 in a fresh network of ours, and else would let
    weights score that no path connects with the input.

    Computed in float64; if the output leaves its range, the input is scaled, which changes no order.
    Scores add up to about 1 in each layer that all paths go through, and are 0 without any path.

    Args:
        model: with its weights.
        batches: only the shape of its images counts.
        sparsity: what the rounds lead to, in [0, 1).
        rounds: at least 1.

    Raises:
        InputError: no batch is given to take the shape of, no rounds, no such sparsity, or a network
            that is not linear for positive weights; see
            :func:`~prunecheck.pruning.positive_network.require_linear`.
    """
    _require_schedule(sparsity, rounds)
    if not len(batches):
        raise InputError("synflow needs to know the shape of the images and was given none: name a data set.")
    require_batches(batches)
    image_shape = image_shape_of(batches)
    require_logits(model, image_shape)
    require_linear(model, image_shape)
    network = positive_copy(model)
    image = torch.ones(1, *image_shape, dtype=torch.float64, device=next(network.parameters()).device)
    weights = only_weights_have_gradients(network)
    dense = {layer: weight.detach().clone() for layer, weight in weights.items()}

    def score(masks: Masks) -> Scores:
        _set_masked(weights, dense, masks)
        through = flow_through(list(weights.values()), network, image).through
        return {layer: flow.abs() for layer, flow in zip(weights, through, strict=True)}

    counts = _rounded_up(_count(dense), sparsity, rounds)
    return _remove_for_good(score, dense, counts)


@register_criterion("iter-snip", argument="rounds", new_samples=True)
def iter_snip(model: nn.Module, batches: BatchSource, *, sparsity: float, rounds: int = 60) -> Scores:
    """SNIP in 60 rounds: what a round removes is gone when the next one scores.

    Iterative SNIP (de Jorge et al., ICLR 2021, arXiv:2006.09081, section 5.2), with its exponential
    schedule. Every round goes through the batches once: with a list all rounds see the same images; the
    method, as the published code, draws other samples for every round.

    Args:
        model: with its weights; a copy is scored in training mode.
        batches: what is scored with; gradients are summed over them.
        sparsity: what the rounds lead to, in [0, 1).
        rounds: at least 1; with 1 this is SNIP.

    Raises:
        InputError: no batch, no rounds, or no such sparsity.
    """
    _require_schedule(sparsity, rounds)
    score, dense = _masked_sensitivity(model, batches)
    return _remove_for_good(score, dense, _cut_off(_count(dense), sparsity, rounds))


@register_criterion("force", argument="rounds", new_samples=True)
def force(model: nn.Module, batches: BatchSource, *, sparsity: float, rounds: int = 60) -> Scores:
    """Foresight connection sensitivity: as iter-snip, but removed weights are scored on and may come back.

    FORCE (de Jorge et al., ICLR 2021, arXiv:2006.09081, section 5.1): |weight x gradient of the masked
    network| for all weights, a removed one with the value that it had. The scores are those of the
    last round, which alone decides.

    Args:
        model: with its weights; a copy is scored in training mode.
        batches: what is scored with; gradients are summed over them.
        sparsity: what the rounds lead to, in [0, 1).
        rounds: at least 1; with 1 this is SNIP.

    Raises:
        InputError: no batch, no rounds, or no such sparsity.
    """
    _require_schedule(sparsity, rounds)
    score, dense = _masked_sensitivity(model, batches)
    scores = score(_everything(dense))
    for count in _cut_off(_count(dense), sparsity, rounds):
        if not _all_finite(scores):
            break
        scores = score(keep_largest(scores, count))
    return scores


def _require_schedule(sparsity: float, rounds: int) -> None:
    require_sparsity(sparsity)
    if rounds < 1:
        raise InputError(f"a criterion in rounds needs at least 1 round, not {rounds}.")


def _rounded_up(total: int, sparsity: float, rounds: int) -> list[int]:
    """Return how many weights are left after each round but the last, as in the published code of SynFlow."""
    density = _density(sparsity)
    return [total - int((1.0 - density ** (number / rounds)) * total) for number in range(1, rounds)]


def _cut_off(total: int, sparsity: float, rounds: int) -> list[int]:
    """Return how many weights are left after each round but the last, as in the published code of FORCE."""
    decay = math.log(_density(sparsity))
    return [int(total * math.exp(number * decay / rounds)) for number in range(1, rounds)]


def _density(sparsity: float) -> float:
    """Return 1 - sparsity as it is written: 0.1 for 0.9, where the difference of floats is a little less."""
    return round(1 - sparsity, DENSITY_DECIMALS)


def _count(dense: dict[str, Tensor]) -> int:
    return sum(weight.numel() for weight in dense.values())


def _remove_for_good(score: ScoreMasked, dense: dict[str, Tensor], counts: list[int]) -> Scores:
    """Return the scores of the last round, float64, with those of weights removed before it below 0.

    A weight that goes in round t of T gets a score in [t - T - 1, t - T - 0.5], by its last score.
    Scores that are not finite can choose nothing: they end the rounds, and are returned.

    Args:
        score: see :data:`ScoreMasked`.
        dense: the weights.
        counts: how many weights are left after each of the T - 1 rounds before the last.
    """
    alive = _everything(dense)
    removed = {layer: torch.zeros_like(weight, dtype=torch.float64) for layer, weight in dense.items()}
    for number, count in enumerate(counts, start=1):
        scores = _in_float64(score(alive))
        if not _all_finite(scores):
            return scores
        ranked = {layer: torch.where(alive[layer], values, removed[layer]) for layer, values in scores.items()}
        kept = keep_largest(ranked, count)
        largest = max(float(values.max()) for values in scores.values()) or 1.0
        for layer, values in ranked.items():
            below = number - len(counts) - 2 + values / (2 * largest)
            removed[layer] = torch.where(alive[layer] & ~kept[layer], below, removed[layer])
        alive = kept
    scores = _in_float64(score(alive))
    if not _all_finite(scores):
        return scores
    return {layer: torch.where(alive[layer], values, removed[layer]) for layer, values in scores.items()}


def _in_float64(scores: Scores) -> Scores:
    return {layer: values.to(torch.float64) for layer, values in scores.items()}


def _masked_sensitivity(model: nn.Module, batches: BatchSource) -> tuple[ScoreMasked, dict[str, Tensor]]:
    """Return SNIP of a masked copy, for removed weights with the value that they had, and the dense weights."""
    scored, weights = copy_for_scoring(model, batches)
    dense = {layer: weight.detach().clone() for layer, weight in weights.items()}

    def score(masks: Masks) -> Scores:
        _set_masked(weights, dense, masks)
        gradient = summed_gradient(scored, weights, batches)
        return {name: (weight * g).abs() for (name, weight), g in zip(dense.items(), gradient, strict=True)}

    return score, dense


def _everything(dense: dict[str, Tensor]) -> Masks:
    return {layer: torch.ones_like(weight, dtype=torch.bool) for layer, weight in dense.items()}


@torch.no_grad()
def _set_masked(weights: dict[str, Tensor], dense: dict[str, Tensor], masks: Masks) -> None:
    for layer, weight in weights.items():
        torch.mul(dense[layer], masks[layer], out=weight)


def _all_finite(scores: Scores) -> bool:
    return all(bool(values.isfinite().all()) for values in scores.values())
