"""Where computing with the kept weights only pays, as ``python -m benchmarks sparse-convolution`` measured it."""

from torch import Tensor, nn

from prunecheck.pruning.layers import Masks
from prunecheck.pruning.masks import sparsity_of
from prunecheck.training.sparse.weights import has_kernel

CROSSOVER = 0.4
"""The density from which on a wide convolution is faster with all weights, for it then needs no list of them."""

NARROW = 12.0
"""What fewer channels add to that, divided by their number: torch is slow with few, and does not gain by zeros."""

LEAST_SPARSITY = 0.5
"""Of a network that is trained with sparse convolutions."""


def pays(module: nn.Conv2d, mask: Tensor) -> bool:
    """Say whether a convolution is faster with its kept weights only.

    Args:
        module: the convolution.
        mask: of its weight, True = kept.
    """
    if not has_kernel(module):
        return False
    crossover = CROSSOVER + NARROW / min(module.in_channels, module.out_channels)
    return float(mask.float().mean()) < crossover


def pays_for(masks: Masks, threads: int) -> bool:
    """Say whether a network with these masks trains faster with its kept weights only.

    Args:
        masks: by layer name, True = kept.
        threads: that torch would compute with; the kernels use one.
    """
    return threads == 1 and sparsity_of(masks) > LEAST_SPARSITY
