"""Where computing with the kept weights only pays."""

from torch import Tensor, nn

from prunecheck.pruning.layers import Masks
from prunecheck.pruning.masks import sparsity_of
from prunecheck.training.sparse.feature_maps import FeatureMap
from prunecheck.training.sparse.weights import has_kernel


def pays(module: nn.Conv2d, mask: Tensor, source: FeatureMap) -> bool:
    """Say whether a convolution is faster with its kept weights only."""
    return has_kernel(module)


def pays_for(masks: Masks, threads: int) -> bool:
    """Say whether a network with these masks trains faster with its kept weights only.

    Args:
        masks: by layer name, True = kept.
        threads: that torch would compute with; the kernels use one.
    """
    return threads == 1 and sparsity_of(masks) > 0.5
