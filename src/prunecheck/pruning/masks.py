"""Masks: which weights are kept, given what each is worth and how many of each layer stay."""

from collections.abc import Mapping

import torch
from torch import Tensor

from prunecheck.errors import InputError
from prunecheck.pruning.allocations import ALLOCATIONS, Allocation, require_sparsity
from prunecheck.pruning.layers import Masks, Scores, shapes_of
from prunecheck.registry import unknown_name

GLOBAL = "global"


def allocate(scores: Scores, sparsity: float, allocation: str | Mapping[str, float] = GLOBAL) -> Masks:
    """Keep the weights with the largest scores.

    Args:
        scores: one score per prunable weight, by layer name.
        sparsity: share of all prunable weights to remove, in [0, 1).
        allocation: ``global`` (one threshold over all layers), the name of an allocation by ratios,
            or the ratios themselves.

    Returns:
        Boolean masks, True = kept, that keep exactly ``round(N * (1 - sparsity))`` weights (global)
        or ``round(n * ratio)`` of each layer; of equal scores the first in order is kept.

    Raises:
        InputError: an unknown allocation, a sparsity outside [0, 1) or one that it cannot reach,
            ratios of other layers or outside [0, 1].
    """
    require_sparsity(sparsity)
    if allocation == GLOBAL:
        flat = torch.cat([score.flatten() for score in scores.values()])
        kept = _largest(flat, round(len(flat) * (1 - sparsity)))
        parts = torch.split(kept, [score.numel() for score in scores.values()])
        return {name: part.view(scores[name].shape) for name, part in zip(scores, parts, strict=True)}
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


def _find(name: str) -> Allocation:
    if name not in ALLOCATIONS.names():
        raise unknown_name("allocation", name, [GLOBAL, *ALLOCATIONS.names()])
    return ALLOCATIONS.get(name)


def _largest(scores: Tensor, count: int) -> Tensor:
    """Mark the ``count`` largest entries of a vector; of those equal to the least one kept, the first."""
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    threshold = scores.kthvalue(len(scores) - count + 1).values
    kept = scores > threshold
    tied = scores == threshold
    return kept | (tied & (tied.cumsum(0) <= count - kept.sum()))
