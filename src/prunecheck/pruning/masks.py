"""Masks: which weights are kept, given what each is worth and how many of each layer stay."""

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from prunecheck.errors import InputError
from prunecheck.pruning.allocations import ALLOCATIONS, Allocation, require_sparsity
from prunecheck.pruning.layers import Masks, Scores, Shapes, shapes_of
from prunecheck.randomness import generator as derived_generator
from prunecheck.registry import unknown_name

GLOBAL = "global"

GLOBAL_CONVOLUTIONS = "global-convolutions"
"""One threshold over all convolutions; the linear layers stay whole."""


def allocate(
    scores: Scores,
    sparsity: float,
    allocation: str | Mapping[str, float] = GLOBAL,
    generator: torch.Generator | None = None,
) -> Masks:
    """Keep the weights with the largest scores.

    Args:
        scores: one score per prunable weight, by layer name, of any real dtype; NaN counts as -inf.
        sparsity: share of all prunable weights to remove, in [0, 1).
        allocation: ``global`` (one threshold over all layers), ``global-convolutions`` (one over the
            convolutions, while linear layers stay whole), the name of an allocation by ratios, or
            the ratios themselves.
        generator: draws which are kept of those whose scores equal the threshold, where not all of
            them are; on the CPU. Without one, always the same are drawn, wherever they stand.

    Returns:
        Boolean masks, True = kept, that keep exactly ``round(N * (1 - sparsity))`` of all N weights
        (with one threshold) or ``round(n * ratio)`` of each layer.

    Raises:
        InputError: scores that have no order; an unknown allocation, a sparsity outside [0, 1) or
            one that it cannot reach, ratios of other layers or outside [0, 1].
    """
    require_sparsity(sparsity)
    drawing = generator or derived_generator(0, "equal scores")
    ordered = {name: orderable(name, score) for name, score in scores.items()}
    masks: Masks = {}
    for layers, count in thresholds(shapes_of(ordered), sparsity, allocation):
        masks |= keep_largest({name: ordered[name] for name in layers}, count, drawing)
    return {name: masks[name] for name in scores}


def keep_largest(scores: Scores, count: int, generator: torch.Generator | None = None) -> Masks:
    """Keep the ``count`` largest scores of all layers together.

    Args:
        scores: with an order; see :func:`orderable`.
        count: how many weights stay.
        generator: draws among equal scores; None for always the same draw.

    Returns:
        Boolean masks, True = kept.
    """
    drawing = generator or derived_generator(0, "equal scores")
    kept = _largest(torch.cat([score.flatten() for score in scores.values()]), count, drawing)
    parts = torch.split(kept, [score.numel() for score in scores.values()])
    return {name: part.view(scores[name].shape) for name, part in zip(scores, parts, strict=True)}


def orderable(name: str, score: Tensor) -> Tensor:
    """Return the scores of a layer in a dtype that has an order, NaN as -inf.

    Raises:
        InputError: complex numbers, or a tensor without values of its own, have no order.
    """
    if score.is_complex() or score.layout != torch.strided or score.is_meta or score.is_quantized:
        raise InputError(f"the scores of layer {name} have no order: give a dense tensor of real numbers.")
    if score.dtype == torch.uint64:
        is_small = bool((score.view(torch.int64) >= 0).all())
        return score.to(torch.int64 if is_small else torch.float64)
    if not score.is_floating_point():
        return score.to(torch.int64)
    exact = score if score.dtype in (torch.float32, torch.float64) else score.to(torch.float32)
    return exact.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)


def drawn_by_lot(scores: Scores, masks: Masks, allocation: str | Mapping[str, float] = GLOBAL) -> Masks:
    """Return which of the kept weights were drawn by lot, for others with the same score were removed.

    Args:
        scores: what was allocated.
        masks: what :func:`allocate` returned for them.
        allocation: by which.

    Returns:
        Boolean masks, each a part of the given one.
    """
    found = {}
    for layers in layers_together(shapes_of(scores), allocation):
        ordered = {name: orderable(name, scores[name]) for name in layers}
        of_layers = [_largest_removed(score, masks[name]) for name, score in ordered.items() if not masks[name].all()]
        largest = torch.cat(of_layers).max() if of_layers else None
        for name, score in ordered.items():
            found[name] = torch.zeros_like(masks[name]) if largest is None else masks[name] & (score == largest)
    return {name: found[name] for name in scores}


def _largest_removed(score: Tensor, mask: Tensor) -> Tensor:
    """Return the largest score that a mask removes, (1,)."""
    least = -torch.inf if score.is_floating_point() else torch.iinfo(score.dtype).min
    return score.masked_fill(mask, least).max().reshape(1)


def sparsity_of(masks: Masks) -> float:
    """Return the share of weights that the masks remove."""
    total = sum(mask.numel() for mask in masks.values())
    return 1 - sum(int(mask.sum()) for mask in masks.values()) / total


def thresholds(
    shapes: Shapes, sparsity: float, allocation: str | Mapping[str, float]
) -> Iterator[tuple[list[str], int]]:
    """Yield the layers that have one threshold together, and how many of their weights stay.

    With ``global-convolutions`` the lottery tickets of arXiv:2009.11094 are pruned; the published code keeps
    up to two weights less than asked for, ``N - int(N * sparsity) - 1`` of all N.

    Args:
        shapes: of the prunable weights by layer.
        sparsity: share of all weights to remove, in [0, 1).
        allocation: see :func:`allocate`.

    Raises:
        InputError: see there.
    """
    together = layers_together(shapes, allocation)
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    if allocation == GLOBAL:
        yield together[0], round(sum(sizes.values()) * (1 - sparsity))
    elif allocation == GLOBAL_CONVOLUTIONS:
        count = kept_of_convolutions(shapes, sparsity)
        for layers in together:
            yield layers, count if len(shapes[layers[0]]) == 4 else sizes[layers[0]]
    else:
        for name, ratio in ratios_by_layer(shapes, sparsity, allocation).items():
            yield [name], round(sizes[name] * ratio)


def ratios_by_layer(shapes: Shapes, sparsity: float, allocation: str | Mapping[str, float]) -> dict[str, float]:
    """Return the keep ratios of an allocation by ratios, for each layer in order.

    Raises:
        InputError: an unknown allocation, or ratios of other layers or outside [0, 1].
    """
    ratios = _find(allocation)(shapes, sparsity) if isinstance(allocation, str) else allocation
    if set(ratios) != set(shapes):
        raise InputError("the keep ratios name other layers than the scores: give one ratio for each scored layer.")
    for name in shapes:
        if not 0 <= ratios[name] <= 1:
            raise InputError(f"the keep ratio of layer {name} is {ratios[name]:g}: it must be in [0, 1].")
    return {name: ratios[name] for name in shapes}


def layers_together(shapes: Shapes, allocation: str | Mapping[str, float]) -> list[list[str]]:
    """Return the layers whose scores are compared with each other's."""
    if allocation == GLOBAL:
        return [list(shapes)]
    if allocation == GLOBAL_CONVOLUTIONS:
        convolutions = [name for name, shape in shapes.items() if len(shape) == 4]
        return [convolutions, *([name] for name in shapes if name not in convolutions)]
    return [[name] for name in shapes]


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


def _largest(scores: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Mark the ``count`` largest entries of a vector; which of those equal to the least one kept is drawn."""
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    threshold = scores.kthvalue(len(scores) - count + 1).values
    kept = scores > threshold
    tied = (scores == threshold).nonzero().flatten()
    missing = count - int(kept.sum())
    if missing < len(tied):
        tied = tied[torch.randperm(len(tied), generator=generator)[:missing].to(tied.device)]
    kept[tied] = True
    return kept
