"""The list of a convolution's kept weights."""

import pytest
import torch
from torch import nn

from prunecheck.training.sparse.convolutions import SparseConvolution
from prunecheck.training.sparse.crossover import pays
from prunecheck.training.sparse.feature_maps import Batch, FeatureMap
from prunecheck.training.sparse.weights import has_kernel

pytestmark = pytest.mark.usefixtures("kernels")


@pytest.mark.parametrize("kernel", range(1, 8))
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_convolution_has_a_kernel_if_the_kernels_say_so(kernel: int, stride: int) -> None:
    module = nn.Conv2d(2, 3, kernel, stride)
    mask = torch.ones_like(module.weight, dtype=torch.bool)
    batch = Batch(1, torch.float32)
    expected = kernel in (1, 3, 5) and stride in (1, 2)
    assert has_kernel(module) is expected
    assert not pays(module, mask, 81) or expected
    if expected:
        assert SparseConvolution(module, FeatureMap(2, 9, 9), mask).scratch(batch) > len(module.weight)
    else:
        with pytest.raises(ValueError, match="there is no kernel for this convolution"):
            SparseConvolution(module, FeatureMap(2, 9, 9), mask).scratch(batch)


def test_the_kept_weights_are_the_modules_parameter_and_come_back_in_their_places() -> None:
    module = nn.Conv2d(2, 3, 3)
    before, mask = module.weight.detach().clone(), torch.rand(3, 2, 3, 3) < 0.5
    kept = SparseConvolution(module, FeatureMap(2, 5, 5), mask).kept
    assert next(iter(module.parameters())) is kept.values
    assert kept.values.shape == (int(mask.sum()),)
    torch.testing.assert_close(kept.dense(kept.values.detach()), before * mask, rtol=0, atol=0)
    assert torch.equal(kept.dense(kept.values.detach())[mask], before[mask])


@pytest.mark.parametrize("stride", [1, 2])
def test_more_channels_gain_by_zeros_only_where_fewer_weights_are_kept(stride: int) -> None:
    """Of two layers that keep the same share, the wider one is computed with all weights first."""
    last = 1.0
    for channels in (4, 16, 64, 256):
        module = nn.Conv2d(channels, channels, 3, stride)
        order = torch.randperm(module.weight.numel(), generator=torch.Generator().manual_seed(0)).view_as(module.weight)
        shares = [share / 20 for share in range(1, 21) if pays(module, order < share / 20 * order.numel(), 32 * 32)]
        assert shares and shares[-1] <= last
        last = shares[-1]
    assert last < 0.5


def test_torch_is_not_asked_for_what_takes_less_than_asking() -> None:
    module = nn.Conv2d(32, 64, 3, 2)
    mask = torch.ones_like(module.weight, dtype=torch.bool)
    assert pays(module, mask, 4) and not pays(module, mask, 64)
