"""Criteria that score and prune in rounds, without training in between: SynFlow, iterative SNIP and FORCE.

Round t of T keeps the share p = ``(1 - sparsity) ** (t / T)`` of all N weights, those with the largest
scores in the whole network. In all rounds but the last, of which only the scores are returned, the
number is rounded as in the published code: ``N - int((1 - p) * N)`` in SynFlow, ``int(N * p)`` in FORCE
and iterative SNIP. For these methods are chaotic: one weight more or less in a round gives another mask.

Scores of weights that were removed for good lie below all others, the earlier removed the lower, so
that one threshold over the returned scores gives the method's mask. Everything happens on a copy: the
model is left as it was.
"""

import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.pruning.criteria import register_criterion
from prunecheck.pruning.layers import Masks, Scores
from prunecheck.pruning.logits import require_logits
from prunecheck.pruning.masks import keep_largest
from prunecheck.pruning.positive_network import flow_through, positive_copy, require_linear
from prunecheck.pruning.rounds import (
    ScoreMasked,
    all_finite,
    count_weights,
    cut_off,
    everything,
    remove_for_good,
    require_schedule,
    rounded_up,
    set_masked,
)
from prunecheck.pruning.scoring import (
    BatchSource,
    copy_for_scoring,
    image_shape_of,
    only_weights_have_gradients,
    require_batches,
    summed_gradient,
)


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
    require_schedule(sparsity, rounds)
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
        set_masked(weights, dense, masks)
        through = flow_through(list(weights.values()), network, image).through
        return {layer: flow.abs() for layer, flow in zip(weights, through, strict=True)}

    counts = rounded_up(count_weights(dense), sparsity, rounds)
    return remove_for_good(score, dense, counts)


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
    require_schedule(sparsity, rounds)
    score, dense = _masked_sensitivity(model, batches)
    return remove_for_good(score, dense, cut_off(count_weights(dense), sparsity, rounds))


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
    require_schedule(sparsity, rounds)
    score, dense = _masked_sensitivity(model, batches)
    scores = score(everything(dense))
    for count in cut_off(count_weights(dense), sparsity, rounds):
        if not all_finite(scores):
            break
        scores = score(keep_largest(scores, count))
    return scores


def _masked_sensitivity(model: nn.Module, batches: BatchSource) -> tuple[ScoreMasked, dict[str, Tensor]]:
    """Return SNIP of a masked copy, for removed weights with the value that they had, and the dense weights."""
    scored, weights = copy_for_scoring(model, batches)
    dense = {layer: weight.detach().clone() for layer, weight in weights.items()}

    def score(masks: Masks) -> Scores:
        set_masked(weights, dense, masks)
        gradient = summed_gradient(scored, weights, batches)
        return {name: (weight * g).abs() for (name, weight), g in zip(dense.items(), gradient, strict=True)}

    return score, dense
