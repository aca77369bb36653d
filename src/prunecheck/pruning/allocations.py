"""Allocations by ratios: how much of each layer is kept, whatever its weights are.

An allocation is a function ``(shapes, sparsity) -> {layer name: keep ratio}``. The allocation
``global`` is not among them: its one threshold depends on the scores (see :mod:`.masks`).

Ratios are computed in float32 and counts are cut off, as in the code published with
arXiv:2009.11094, so that every layer keeps as many weights as there.
"""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise

from numpy import float32
from torch import nn

from prunecheck.errors import InputError
from prunecheck.pruning.layers import Shapes, prunable_shapes
from prunecheck.registry import Registry

Ratios = dict[str, float]
Allocation = Callable[[Shapes, float], Ratios]

ALLOCATIONS: Registry[Allocation] = Registry("allocation", "prunecheck.allocations")

LINEAR_KEEP_RATIO = 0.3
"""What the paper keeps of the linear layer at every sparsity."""


def keep_ratios(allocation: str, model: nn.Module, sparsity: float) -> Ratios:
    """Return the share that an allocation keeps of each prunable layer.

    Args:
        allocation: ``smart``, ``uniform``, or another registered name.
        model: whose layers are meant.
        sparsity: share of all prunable weights to remove, in [0, 1).

    Raises:
        InputError: an unknown name, or a sparsity that the allocation cannot reach.
    """
    return ALLOCATIONS.get(allocation)(prunable_shapes(model), require_sparsity(sparsity))


def require_sparsity(sparsity: float) -> float:
    """Return ``sparsity`` if it is in [0, 1); raise :class:`InputError` otherwise."""
    if not 0 <= sparsity < 1:
        raise InputError(f"sparsity is the share of weights to remove, at least 0 and less than 1, not {sparsity:g}.")
    return sparsity


@ALLOCATIONS.register("smart")
def smart(shapes: Shapes, sparsity: float) -> Ratios:
    """Quadratic ratios that fall with depth; the linear layer keeps 0.3.

    arXiv:2009.11094, section 4.1: layer l of L is given (L-l+1)^2 + (L-l+1), in a plain chain of
    convolutions (VGG) also divided by l^2; all are scaled to meet the sparsity, and what exceeds 1
    overflows into the layers after it.
    """
    convolutions = _convolutions(shapes)
    goal = _goal(shapes, sparsity)
    sizes = [math.prod(shapes[name]) for name in convolutions]
    plain = _is_plain_chain([shapes[name] for name in convolutions])
    layers = list(shapes)
    shares, divisors = [], []
    for name in convolutions:
        position = layers.index(name) + 1
        remaining = len(layers) - position + 1
        shares.append(float32(remaining**2 + remaining))
        divisors.append(position**2 if plain else 1)
    unscaled = sum(int(size * share / by) for size, share, by in zip(sizes, shares, divisors, strict=True))
    scale = goal / unscaled
    counts = _overflow([share * scale / by for share, by in zip(shares, divisors, strict=True)], sizes)
    return _as_ratios(shapes, dict(zip(convolutions, counts, strict=True)))


@ALLOCATIONS.register("uniform")
def uniform(shapes: Shapes, sparsity: float) -> Ratios:
    """The same ratio for every convolution; the linear layer keeps 0.3 (the paper's balanced ratios)."""
    convolutions = _convolutions(shapes)
    sizes = [math.prod(shapes[name]) for name in convolutions]
    ratio = float32(_goal(shapes, sparsity) / sum(sizes))
    counts = [int(size * ratio) for size in sizes]
    return _as_ratios(shapes, dict(zip(convolutions, counts, strict=True)))


def _overflow(ratios: list[float32], sizes: list[int]) -> list[int]:
    """Turn ratios into counts; what a layer cannot take goes to the layers after it."""
    counts, surplus = [], 0
    for ratio, size in zip(ratios, sizes, strict=True):
        if ratio >= 1:
            surplus += int((ratio - 1) * size)
            counts.append(size)
            continue
        free = int((1 - ratio) * size)
        taken = min(free, surplus)
        counts.append(size if surplus > free else int((ratio + float32(taken) / size) * size))
        surplus -= taken
    return counts


def _convolutions(shapes: Shapes) -> list[str]:
    return [name for name, shape in shapes.items() if len(shape) == 4]


def _goal(shapes: Shapes, sparsity: float) -> int:
    """Return how many weights the convolutions keep in all, as the published code counts them."""
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    convolutional = sum(sizes[name] for name in _convolutions(shapes))
    linear = sum(sizes.values()) - convolutional
    if not convolutional:
        raise InputError(
            "these keep ratios are those of convolutions and the network has no convolution: choose the allocation "
            "global, or a method that has it, such as snip."
        )
    kept_linear = math.floor(linear * LINEAR_KEEP_RATIO)
    goal = int(float32(sum(sizes.values())) * (1 - sparsity)) - kept_linear
    if not 0 < goal <= convolutional:
        total = convolutional + linear
        lowest = 1 - (convolutional + kept_linear) / total
        highest = 1 - (kept_linear + 1) / total
        # The last end is rounded down by a little more, for the rounding of the goal in float32.
        raise InputError(
            f"sparsity {sparsity:g} cannot be reached while the linear layers keep {LINEAR_KEEP_RATIO:g}: choose one "
            f"from {math.ceil(lowest * 1e4) / 1e4:g} to {math.floor(highest * 1e4 - 1e-3) / 1e4:g}."
        )
    return goal


def _is_plain_chain(shapes: list[tuple[int, ...]]) -> bool:
    """Say whether each convolution feeds just the next one, as far as the shapes can tell.

    A shortcut with a convolution of its own, as at the stages of a ResNet, breaks the chain.
    """
    return all(inner[1] == outer[0] for outer, inner in pairwise(shapes))


def _as_ratios(shapes: Shapes, counts: Mapping[str, int]) -> Ratios:
    ratios = {}
    for name, shape in shapes.items():
        size = math.prod(shape)
        count = counts[name] if name in counts else math.floor(LINEAR_KEEP_RATIO * size)
        ratios[name] = exact_ratio(count, size)
    return ratios


def exact_ratio(count: int, size: int) -> float:
    """Return count / size such that its product with size, rounded or cut off, is count again."""
    ratio = count / size
    while ratio * size < count:
        ratio = math.nextafter(ratio, 2)
    return ratio
