"""How a convolution is computed fastest, as ``python -m benchmarks sparse-convolution`` measured it.

A rule and not a stopwatch, so that a resumed run computes as before.
"""

import math

from torch import Tensor, nn

from prunecheck.training.sparse.convolutions import has_winograd
from prunecheck.training.sparse.weights import has_kernel

AGAINST_WINOGRAD = 0.02, 2.0
"""The density up to which the kept weights alone are faster than Winograd's filtering: the first, and the second
divided by the root of the channels. Transforms cost as much as products where channels are few."""

AGAINST_TORCH = 0.4, 12.0
"""The same where there is no such filtering: the first, and the second divided by the channels, with few of which torch
is slow."""

FEW_PRODUCTS = 200_000
"""So many for a sample, and fewer, take less time than torch does to begin: where there is no such filtering, the
kernels then compute with all weights, too."""


def pays(module: nn.Conv2d, mask: Tensor, positions: int) -> bool:
    """Say whether a convolution is faster with its kept weights only.

    Args:
        module: the convolution, without groups and dilation.
        mask: of its weight, True = kept.
        positions: of its output.
    """
    if not has_kernel(module):
        return False
    channels = min(module.in_channels, module.out_channels)
    if has_winograd(module):
        crossover = AGAINST_WINOGRAD[0] + AGAINST_WINOGRAD[1] / math.sqrt(channels)
    elif mask.numel() * positions <= FEW_PRODUCTS:
        return True
    else:
        crossover = AGAINST_TORCH[0] + AGAINST_TORCH[1] / channels
    return float(mask.float().mean()) < crossover
