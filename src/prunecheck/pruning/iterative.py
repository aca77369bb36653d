"""Criteria that score and prune in rounds, without training in between: SynFlow, iterative SNIP and FORCE.

Round t of T keeps the share ``(1 - sparsity) ** (t / T)`` of all weights, those with the largest
scores in the whole network. Scores of weights that were removed for good lie below all others, the
earlier removed the lower, so that one threshold over the returned scores gives the method's mask.
Everything happens on a copy: the model is left as it was.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from prunecheck.errors import InputError
from prunecheck.pruning.allocations import require_sparsity
from prunecheck.pruning.copying import copy_network
from prunecheck.pruning.criteria import register_criterion
from prunecheck.pruning.layers import Masks, Scores
from prunecheck.pruning.logits import logits_of, require_logits
from prunecheck.pruning.masks import allocate
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

LARGE_EXPONENT = 1000
"""2 to this power, and to its negative, is a float64 still."""


@register_criterion("synflow", sees="nothing", argument="rounds")
def synflow(model: nn.Module, batches: BatchSource, *, sparsity: float, rounds: int = 100) -> Scores:
    """Synaptic flow: how much passes through a weight when all weights are positive; in 100 rounds.

    SynFlow (Tanaka et al., NeurIPS 2020, arXiv:2006.05467, algorithm 1): |weight x gradient| of the
    summed output for an input of ones, with the absolute values of all parameters. As in the
    published code the network is in evaluation mode and normalisation is kept as it is in a fresh
    network: it multiplies by the absolute value of its weight. Running means and variances, which
    trained weights come with, are left out, for they would let data in and signs turn. Here biases
    are left out too, as in the paper's formula: they are 0 in a fresh network of ours, and else would
    let weights score that no path connects with the input.

    Computed in float64; if the output leaves its range, the input is scaled, which changes no order.
    Scores add up to about 1 in each layer that all paths go through, and are 0 without any path.

    Args:
        model: with its weights.
        batches: only the shape of its images counts.
        sparsity: what the rounds lead to, in [0, 1).
        rounds: at least 1.

    Raises:
        InputError: no batch is given to take the shape of, no rounds, or no such sparsity.
    """
    _require_schedule(sparsity, rounds)
    network, image = _positive_copy(model, batches)
    weights = only_weights_have_gradients(network)
    dense = {layer: weight.detach().clone() for layer, weight in weights.items()}

    def score(masks: Masks) -> Scores:
        _set_masked(weights, dense, masks)
        total = _output_in_range(network, image)
        # Brings the total to about 1, so that products with it stay in range.
        exponent = int(torch.frexp(total.detach()).exponent.clamp(-LARGE_EXPONENT, LARGE_EXPONENT))
        seed = torch.full_like(total, 2.0**-exponent)
        gradient = torch.autograd.grad(total, list(weights.values()), seed, materialize_grads=True)
        return {name: (weight.detach() * g).abs() for (name, weight), g in zip(weights.items(), gradient, strict=True)}

    return _remove_for_good(score, dense, sparsity, rounds)


@register_criterion("iter-snip", argument="rounds")
def iter_snip(model: nn.Module, batches: BatchSource, *, sparsity: float, rounds: int = 60) -> Scores:
    """SNIP in 60 rounds: what a round removes is gone when the next one scores.

    Iterative SNIP (de Jorge et al., ICLR 2021, arXiv:2006.09081, section 5.2), with its exponential
    schedule. Every round sees all batches, where the published code may draw other ones.

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
    return _remove_for_good(score, dense, sparsity, rounds)


@register_criterion("force", argument="rounds")
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
    for finished in range(1, rounds):
        if not _all_finite(scores):
            break
        scores = score(allocate(scores, _sparsity_after(finished, rounds, sparsity)))
    return scores


def _require_schedule(sparsity: float, rounds: int) -> None:
    require_sparsity(sparsity)
    if rounds < 1:
        raise InputError(f"a criterion in rounds needs at least 1 round, not {rounds}.")


def _sparsity_after(finished: int, rounds: int, sparsity: float) -> float:
    return 1 - math.pow(1 - sparsity, finished / rounds)


def _remove_for_good(score: ScoreMasked, dense: dict[str, Tensor], sparsity: float, rounds: int) -> Scores:
    """Return the scores of the last round, float64, with those of weights removed before it below 0.

    A weight that goes in round t of T gets a score in [t - T - 1, t - T - 0.5], by its last score.
    Scores that are not finite can choose nothing: they end the rounds, and are returned.
    """
    alive = _everything(dense)
    removed = {layer: torch.zeros_like(weight, dtype=torch.float64) for layer, weight in dense.items()}
    for number in range(1, rounds + 1):
        scores = {layer: values.to(torch.float64) for layer, values in score(alive).items()}
        if not _all_finite(scores):
            return scores
        ranked = {layer: torch.where(alive[layer], values, removed[layer]) for layer, values in scores.items()}
        if number == rounds:
            break
        kept = allocate(ranked, _sparsity_after(number, rounds, sparsity))
        largest = max(float(values.max()) for values in scores.values()) or 1.0
        for layer, values in ranked.items():
            below = number - rounds - 1 + values / (2 * largest)
            removed[layer] = torch.where(alive[layer] & ~kept[layer], below, removed[layer])
        alive = kept
    return ranked


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


def _positive_copy(model: nn.Module, batches: BatchSource) -> tuple[nn.Module, Tensor]:
    """Return a float64 copy with positive parameters, no biases and passive normalisation, and an image of ones."""
    if not len(batches):
        raise InputError("synflow needs to know the shape of the images and was given none: name a data set.")
    require_batches(batches)
    shape = image_shape_of(batches)
    require_logits(model, shape, make_copy=_float64_copy)
    network = _float64_copy(model).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.rpartition(".")[2] == "bias":
                parameter.zero_()
            else:
                parameter.abs_()
    for module in network.modules():
        if isinstance(module, _NormBase | nn.GroupNorm | nn.LayerNorm):
            module.register_forward_hook(_multiply_by_weight)
    device = next(network.parameters()).device
    return network, torch.ones(1, *shape, dtype=torch.float64, device=device)


def _float64_copy(model: nn.Module) -> nn.Module:
    return copy_network(model).double()


def _multiply_by_weight(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Stand in for a normalisation: per channel, or for layer norm per last positions."""
    weight = module._parameters.get("weight")
    if weight is None:
        return inputs[0]
    is_per_channel = not isinstance(module, nn.LayerNorm)
    return inputs[0] * (weight.view(-1, *(1,) * (inputs[0].dim() - 2)) if is_per_channel else weight)


def _output_in_range(network: nn.Module, image: Tensor) -> Tensor:
    """Return the summed output, of an input that is scaled if it would be infinite or 0 otherwise."""
    for exponent in (0, -LARGE_EXPONENT, LARGE_EXPONENT):
        total = logits_of(network, image * 2.0**exponent).sum()
        if bool(total.isfinite()) and float(total.detach()) > 0:
            break
    return total
