"""Allocations by ratios: how much of each layer is kept, whatever its weights are.

An allocation is a function ``(shapes, sparsity) -> {layer name: keep ratio}``. The allocation
``global`` is not among them: its one threshold depends on the scores (see :mod:`.masks`).

Ratios are computed in float32 and counts are cut off, as in the code published with
arXiv:2009.11094, so that every layer keeps as many weights as there.
"""

import bisect
import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TypeVar

from numpy import float32
from torch import nn

from prunecheck.constraints import Number
from prunecheck.errors import InputError
from prunecheck.pruning.layers import Shapes, prunable_shapes
from prunecheck.registry import Registry

Ratios = dict[str, float]
Allocation = Callable[[Shapes, float], Ratios]

ALLOCATIONS: Registry[Allocation] = Registry("allocation", "prunecheck.allocations")

AllocatingFunction = TypeVar("AllocatingFunction", bound=Allocation)

SPARSITY = Number(at_least=0, below=1, what="the share of weights to remove")
"""What a sparsity may be."""

LINEAR_KEEP_RATIO = 0.3
"""What the paper keeps of the linear layer at every sparsity."""


def register_allocation(name: str) -> Callable[[AllocatingFunction], AllocatingFunction]:
    """Register a function ``(shapes, sparsity) -> {layer name: keep ratio}`` under ``name``.

    Args:
        name: what the command line shows; every criterion joins it, as ``CRITERION-NAME``.
    """
    return ALLOCATIONS.register(name)


def keep_ratios(allocation: str, model: nn.Module, sparsity: float) -> Ratios:
    """Return the share that an allocation keeps of each prunable layer.

    Args:
        allocation: ``smart``, ``uniform``, ``erk``, or another registered name.
        model: whose layers are meant.
        sparsity: share of all prunable weights to remove, in [0, 1).

    Raises:
        InputError: an unknown name, or a sparsity that the allocation cannot reach.
    """
    return ALLOCATIONS.get(allocation)(prunable_shapes(model), require_sparsity(sparsity))


def require_sparsity(sparsity: float) -> float:
    """Return ``sparsity`` if it is in [0, 1); raise :class:`InputError` otherwise."""
    return SPARSITY.require("sparsity", sparsity)


@register_allocation("smart")
def smart(shapes: Shapes, sparsity: float) -> Ratios:
    """Quadratic ratios that fall with depth; the linear layer keeps 0.3.

    arXiv:2009.11094, section 4.1: layer l of L is given (L-l+1)^2 + (L-l+1), in a plain chain of
    convolutions (VGG) also divided by l^2; all are scaled to meet the sparsity, and what exceeds 1
    overflows into the layers after it.
    """
    return _scaled(shapes, sparsity, lambda position, depth: _pronic(depth - position + 1))


@register_allocation("smart-linear")
def smart_linear(shapes: Shapes, sparsity: float) -> Ratios:
    """Ratios that fall linearly with depth; the linear layer keeps 0.3.

    A variant in the code published with arXiv:2009.11094: as :func:`smart`, with L-l+1 for layer l of L.
    """
    return _scaled(shapes, sparsity, lambda position, depth: depth - position + 1)


@register_allocation("smart-cubic")
def smart_cubic(shapes: Shapes, sparsity: float) -> Ratios:
    """Cubic ratios that fall with depth; the linear layer keeps 0.3.

    A variant in the code published with arXiv:2009.11094: as :func:`smart`, with (L-l+1)^3 for layer l of L.
    """
    return _scaled(shapes, sparsity, lambda position, depth: (depth - position + 1) ** 3)


@register_allocation("smart-ascend")
def smart_ascend(shapes: Shapes, sparsity: float) -> Ratios:
    """Quadratic ratios that rise with depth; the linear layer keeps 0.3.

    A variant in the code published with arXiv:2009.11094: as :func:`smart`, with l^2 + l for layer
    l. As there the first layers of a ResNet may be left empty, which is reported as a collapse. What
    exceeds 1 in the last layers has no layer to overflow into: the published code then keeps less
    than asked for, and this refuses.
    """
    return _scaled(shapes, sparsity, lambda position, depth: _pronic(position))


def _pronic(number: int) -> int:
    return number**2 + number


def _scaled(shapes: Shapes, sparsity: float, share_of: Callable[[int, int], int]) -> Ratios:
    """Scale shares, given a layer's position from 1 and the number of layers, to meet the sparsity.

    In a plain chain of convolutions shares are divided by the square of the position.
    """
    convolutions = _convolutions(shapes)
    goal = _goal(shapes, sparsity)
    sizes = [math.prod(shapes[name]) for name in convolutions]
    plain = _is_plain_chain([shapes[name] for name in convolutions])
    positions = {layer: position for position, layer in enumerate(shapes, 1)}
    shares = [float32(share_of(positions[name], len(shapes))) for name in convolutions]
    divisors = [float32(positions[name] ** 2 if plain else 1) for name in convolutions]
    parts = list(zip(shares, divisors, strict=True))
    unscaled = sum(int(float32(size) * share / by) for size, (share, by) in zip(sizes, parts, strict=True))

    def fill(goal: int) -> tuple[list[int], int]:
        scale = float32(goal / max(unscaled, 1))
        return _overflow([share * scale / by for share, by in parts], sizes)

    counts, surplus = fill(goal)
    if _is_too_much(surplus, goal, sizes):
        lowest = _lowest_sparsity(shapes, lambda kept: not _is_too_much(fill(kept)[1], kept, sizes), goal)
        raise InputError(
            f"sparsity {sparsity:g} cannot be reached with ratios that rise with depth, for the last layers are full "
            f"before: choose at least {lowest:g}."
        )
    return _as_ratios(shapes, dict(zip(convolutions, counts, strict=True)))


def _is_too_much(surplus: int, goal: int, sizes: list[int]) -> bool:
    """Say whether more is left over than what is cut off each layer, and rounded in float32."""
    return surplus > len(sizes) + goal * 1e-5


def _lowest_sparsity(shapes: Shapes, fits: Callable[[int], bool], goal: int) -> float:
    """Return the lowest sparsity, in ten-thousandths, at which what the convolutions keep in all ``fits``."""
    largest = bisect.bisect_left(range(goal), True, key=lambda kept: not fits(kept)) - 1
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    linear = sum(sizes.values()) - sum(sizes[name] for name in _convolutions(shapes))
    kept = largest + math.floor(linear * LINEAR_KEEP_RATIO)
    return math.ceil((1 - kept / sum(sizes.values())) * 1e4) / 1e4


@register_allocation("uniform")
def uniform(shapes: Shapes, sparsity: float) -> Ratios:
    """The same ratio for every convolution; the linear layer keeps 0.3 (the paper's balanced ratios)."""
    convolutions = _convolutions(shapes)
    sizes = [math.prod(shapes[name]) for name in convolutions]
    ratio = float32(_goal(shapes, sparsity) / sum(sizes))
    counts = [int(float32(size) * ratio) for size in sizes]
    return _as_ratios(shapes, dict(zip(convolutions, counts, strict=True)))


@register_allocation("uniform-first-dense")
def uniform_first_dense(shapes: Shapes, sparsity: float) -> Ratios:
    """The first layer whole, the same ratio for every other one, linear ones too (RigL's uniform).

    RigL (Evci et al., ICML 2020, arXiv:1911.11134, section 3) and its reproductions. There the sparsity is that of the
    other layers; here it is that of all weights, as everywhere, and met but for rounding.

    Raises:
        InputError: the first layer alone has more weights than are to be kept, or is the only one.
    """
    first, *others = (math.prod(shape) for shape in shapes.values())
    kept = (1 - sparsity) * (first + sum(others)) - first
    if kept < 0 or not others:
        highest = math.floor(1e4 * sum(others) / (first + sum(others))) / 1e4
        remedy = f"choose at most {highest:g}, or another allocation, such as erk" if others else "choose erk"
        raise InputError(
            f"the first layer, kept whole, has {first:,} weights, more than sparsity {sparsity:g} leaves: {remedy}."
        )
    return dict(zip(shapes, [1.0, *[kept / sum(others)] * len(others)], strict=True))


@register_allocation("er")
def erdos_renyi(shapes: Shapes, sparsity: float) -> Ratios:
    """Erdos-Renyi: ratios proportional to (inputs + outputs) / (inputs * outputs), in all layers.

    SET (Mocanu et al. 2018, arXiv:1707.04780). Inputs and outputs are the weights' own,
    so that those of a convolution in groups are counted per group. Where a layer would keep more
    than it has it stays whole and the others take the rest; the total is met but for rounding.
    """
    return _water_filled(shapes, sparsity, {name: sum(s[:2]) / math.prod(s[:2]) for name, s in shapes.items()})


@register_allocation("erk")
def erdos_renyi_kernel(shapes: Shapes, sparsity: float) -> Ratios:
    """Erdos-Renyi-Kernel: as er, with the height and width of kernels among the summands and factors.

    RigL (Evci et al., ICML 2020, arXiv:1911.11134, section 3): a layer's ratio is proportional to
    (inputs + outputs + height + width) / (inputs * outputs * height * width).
    """
    return _water_filled(shapes, sparsity, {name: sum(s) / math.prod(s) for name, s in shapes.items()})


def _water_filled(shapes: Shapes, sparsity: float, shares: Mapping[str, float]) -> Ratios:
    """Scale shares to meet the sparsity; layers that would exceed 1 stay whole."""
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    goal = sum(sizes.values()) * (1 - sparsity)
    ratios: Ratios = {}
    while len(ratios) < len(shapes):
        rest = [name for name in shapes if name not in ratios]
        free = max(0, goal - sum(sizes[name] for name in ratios))
        scale = free / sum(shares[name] * sizes[name] for name in rest)
        whole = [name for name in rest if shares[name] * scale >= 1]
        ratios |= dict.fromkeys(whole, 1.0) if whole else {name: shares[name] * scale for name in rest}
    return {name: ratios[name] for name in shapes}


def _overflow(ratios: list[float32], sizes: list[int]) -> tuple[list[int], int]:
    """Turn ratios into counts; what a layer cannot take goes to the layers after it, and what is left is returned."""
    counts, surplus = [], 0
    for ratio, size in zip(ratios, map(float32, sizes), strict=True):
        if ratio >= 1:
            surplus += int((ratio - float32(1)) * size)
            counts.append(int(size))
            continue
        free = int((float32(1) - ratio) * size)
        taken = min(free, surplus)
        counts.append(int(size) if surplus > free else int((ratio + float32(taken) / size) * size))
        surplus -= taken
    return counts, surplus


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
            f"from {math.ceil(lowest * 1e4) / 1e4:g} to {math.floor(highest * 1e4 - 1e-3) / 1e4:g}, or an allocation "
            "that prunes linear layers too, such as erk (random-erk for random tickets)."
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
