"""The list of a convolution's kept weights."""

import pytest
import torch
from torch import nn

from prunecheck.training.sparse.convolutions import SparseConvolution
from prunecheck.training.sparse.crossover import pays, pays_for
from prunecheck.training.sparse.feature_maps import FeatureMap
from prunecheck.training.sparse.weights import has_kernel

pytestmark = pytest.mark.usefixtures("kernels")


@pytest.mark.parametrize("kernel", range(1, 8))
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_convolution_has_a_kernel_if_the_kernels_say_so(kernel: int, stride: int) -> None:
    module = nn.Conv2d(2, 3, kernel, stride)
    mask = torch.ones_like(module.weight, dtype=torch.bool)
    expected = kernel in (1, 3, 5) and stride in (1, 2)
    assert has_kernel(module) is expected
    assert not pays(module, mask) or expected
    if expected:
        assert SparseConvolution(module, FeatureMap(2, 9, 9), mask).scratch() > len(module.weight)
    else:
        with pytest.raises(ValueError, match="there is no kernel for this convolution"):
            SparseConvolution(module, FeatureMap(2, 9, 9), mask).scratch()


def test_the_kept_weights_are_the_modules_parameter_and_come_back_in_their_places() -> None:
    module = nn.Conv2d(2, 3, 3)
    before, mask = module.weight.detach().clone(), torch.rand(3, 2, 3, 3) < 0.5
    kept = SparseConvolution(module, FeatureMap(2, 5, 5), mask).kept
    assert next(iter(module.parameters())) is kept.values
    assert kept.values.shape == (int(mask.sum()),)
    torch.testing.assert_close(kept.dense(kept.values.detach()), before * mask, rtol=0, atol=0)
    assert torch.equal(kept.dense(kept.values.detach())[mask], before[mask])


def test_a_network_gains_by_it_only_if_it_is_sparse_and_has_one_thread() -> None:
    sparse, dense = ({"conv": torch.arange(100) < kept} for kept in (2, 100))
    assert pays_for(sparse, 1)
    assert not pays_for(sparse, 2)
    assert not pays_for(dense, 1)
