"""Masks: which weights are kept, given what each is worth and how many of each layer stay."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from prunecheck.errors import InputError
from prunecheck.pruning.allocations import ALLOCATIONS, Allocation, require_sparsity
from prunecheck.pruning.layers import Masks, Scores, Shapes, shapes_of
from prunecheck.registry import unknown_name

GLOBAL = "global"

GLOBAL_CONVOLUTIONS = "global-convolutions"
"""One threshold over all convolutions; the linear layers stay whole."""


def allocate(scores: Scores, sparsity: float, allocation: str | Mapping[str, float] = GLOBAL) -> Masks:
    """Keep the weights with the largest scores.

    Args:
        scores: one score per prunable weight, by layer name.
        sparsity: share of all prunable weights to remove, in [0, 1).
        allocation: ``global`` (one threshold over all layers), ``global-convolutions`` (one over the
            convolutions, while linear layers stay whole), the name of an allocation by ratios, or
            the ratios themselves.

    Returns:
        Boolean masks, True = kept, that keep exactly ``round(N * (1 - sparsity))`` of all N weights
        (with one threshold) or ``round(n * ratio)`` of each layer; of equal scores the first in
        order is kept.

    Raises:
        InputError: an unknown allocation, a sparsity outside [0, 1) or one that it cannot reach,
            ratios of other layers or outside [0, 1].
    """
    require_sparsity(sparsity)
    if allocation == GLOBAL:
        return keep_largest(scores, round(_count(scores) * (1 - sparsity)))
    if allocation == GLOBAL_CONVOLUTIONS:
        return _largest_of_convolutions(scores, sparsity)
    ratios = _find(allocation)(shapes_of(scores), sparsity) if isinstance(allocation, str) else allocation
    if set(ratios) != set(scores):
        raise InputError("the keep ratios name other layers than the scores: give one ratio for each scored layer.")
    masks = {}
    for name, score in scores.items():
        ratio = ratios[name]
        if not 0 <= ratio <= 1:
            raise InputError(f"the keep ratio of layer {name} is {ratio:g}: it must be in [0, 1].")
        masks[name] = _largest(score.flatten(), round(score.numel() * ratio)).view(score.shape)
    return masks


def sparsity_of(masks: Masks) -> float:
    """Return the share of weights that the masks remove."""
    total = sum(mask.numel() for mask in masks.values())
    return 1 - sum(int(mask.sum()) for mask in masks.values()) / total


def _count(scores: Scores) -> int:
    return sum(score.numel() for score in scores.values())


def keep_largest(scores: Scores, count: int) -> Masks:
    """Return masks, True = kept, of the ``count`` largest scores of all layers together."""
    kept = _largest(torch.cat([score.flatten() for score in scores.values()]), count)
    parts = torch.split(kept, [score.numel() for score in scores.values()])
    return {name: part.view(scores[name].shape) for name, part in zip(scores, parts, strict=True)}


def _largest_of_convolutions(scores: Scores, sparsity: float) -> Masks:
    """Keep linear layers whole, and of the convolutions' scores the largest that the sparsity leaves room for.

    So the lottery tickets of arXiv:2009.11094 are pruned; the published code keeps up to two
    weights less than asked for, ``N - int(N * sparsity) - 1`` of all N.
    """
    count = kept_of_convolutions(shapes_of(scores), sparsity)
    convolutions = {name: score for name, score in scores.items() if score.dim() == 4}
    masks = keep_largest(convolutions, count)
    return {
        name: masks[name] if name in masks else score.new_ones(score.shape, dtype=torch.bool)
        for name, score in scores.items()
    }


def kept_of_convolutions(shapes: Shapes, sparsity: float) -> int:
    """Return how many weights of the convolutions a sparsity leaves while linear layers stay whole.

    Raises:
        InputError: there is no convolution, or none of their weights is left.
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    linear = sum(size for name, size in sizes.items() if len(shapes[name]) != 4)
    total = sum(sizes.values())
    if linear == total:
        raise InputError(f"the network has no convolution to prune: choose the allocation {GLOBAL}.")
    count = round(total * (1 - sparsity)) - linear
    if count < 1:
        highest = math.floor((1 - (linear + 1) / total) * 1e4) / 1e4
        raise InputError(
            f"sparsity {sparsity:g} cannot be reached while the linear layers stay whole: choose one from 0 to "
            f"{highest:g}, or the allocation {GLOBAL}."
        )
    return count


def _find(name: str) -> Allocation:
    if name not in ALLOCATIONS.names():
        raise unknown_name("allocation", name, [GLOBAL, GLOBAL_CONVOLUTIONS, *ALLOCATIONS.names()])
    return ALLOCATIONS.get(name)


def _largest(scores: Tensor, count: int) -> Tensor:
    """Mark the ``count`` largest entries of a vector; of those equal to the least one kept, the first."""
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    threshold = scores.kthvalue(len(scores) - count + 1).values
    kept = scores > threshold
    tied = scores == threshold
    return kept | (tied & (tied.cumsum(0) <= count - kept.sum()))
