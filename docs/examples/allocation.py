"""An allocation: the first layer is kept whole, every other layer keeps the same share."""

import math
from collections.abc import Mapping

from prunecheck.errors import InputError
from prunecheck.pruning import register_allocation


@register_allocation("first-layer-whole")
def first_layer_whole(shapes: Mapping[str, tuple[int, ...]], sparsity: float) -> dict[str, float]:
    """The first layer whole, the same share of every other one.

    Args:
        shapes: of the prunable weights by layer, in the order of the network.
        sparsity: share of all prunable weights that is removed, in [0, 1).

    Returns:
        The share of each layer that is kept, in [0, 1].

    Raises:
        InputError: the first layer alone has more weights than are to be kept.
    """
    first, *others = (math.prod(shape) for shape in shapes.values())
    kept = (1 - sparsity) * (first + sum(others)) - first
    if kept < 0:
        raise InputError(
            f"the first layer has {first} weights, more than sparsity {sparsity:g} leaves: choose a lower sparsity."
        )
    share = kept / sum(others) if others else 0.0
    return {layer: 1.0 if index == 0 else share for index, layer in enumerate(shapes)}
