"""Where computing with the kept weights only pays, as ``python -m benchmarks sparse-convolution`` measured it."""

from torch import Tensor, nn

from prunecheck.pruning.layers import Masks
from prunecheck.pruning.masks import sparsity_of
from prunecheck.training.sparse.weights import has_kernel

DENSE_FROM_DENSITY = 0.4
"""From here on a convolution is faster with all weights, for it then needs no list of them."""

FEW_CHANNELS = 8
"""Of the input: with no more, torch's convolution leaves most of the processor idle and is slower at any density."""

LEAST_SPARSITY = 0.5
"""Of a network that is trained with sparse convolutions."""


def pays(module: nn.Conv2d, mask: Tensor) -> bool:
    """Say whether a convolution is faster with its kept weights only.

    Args:
        module: the convolution.
        mask: of its weight, True = kept.
    """
    few = module.in_channels <= FEW_CHANNELS
    return has_kernel(module) and (few or float(mask.float().mean()) < DENSE_FROM_DENSITY)


def pays_for(masks: Masks, threads: int) -> bool:
    """Say whether a network with these masks trains faster with its kept weights only.

    Args:
        masks: by layer name, True = kept.
        threads: that torch would compute with; the kernels use one.
    """
    return threads == 1 and sparsity_of(masks) > LEAST_SPARSITY
