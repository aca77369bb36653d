"""Where computing with the kept weights only pays."""

from torch import Tensor, nn

from prunecheck.pruning.layers import Masks
from prunecheck.pruning.masks import sparsity_of
from prunecheck.training.sparse.feature_maps import FeatureMap
from prunecheck.training.sparse.kernels import GROUP
from prunecheck.training.sparse.weights import has_kernel


def pays(module: nn.Conv2d, mask: Tensor, source: FeatureMap) -> bool:
    """Say whether a convolution is faster with its kept weights only."""
    return has_kernel(module)


def group_of_rows(density: float) -> int:
    """Return how many rows of weights are best computed at once, if this share of them is kept.

    A group of rows loads what it reads once for all, but multiplies with the zeros of each at the others' places.
    """
    return GROUP if density > 0.6 else 1


def pays_for(masks: Masks, threads: int) -> bool:
    """Say whether a network with these masks trains faster with its kept weights only.

    Args:
        masks: by layer name, True = kept.
        threads: that torch would compute with; the kernels use one.
    """
    return threads == 1 and sparsity_of(masks) > 0.5
