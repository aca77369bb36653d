"""Where computing with the kept weights only pays."""

from torch import Tensor, nn

from prunecheck.training.sparse.feature_maps import FeatureMap
from prunecheck.training.sparse.weights import has_kernel


def pays(module: nn.Conv2d, mask: Tensor, source: FeatureMap) -> bool:
    """Say whether a convolution is faster with its kept weights only."""
    return has_kernel(module)
