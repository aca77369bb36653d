import pytest
import torch

from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import prunable_shapes


def test_wrn_22_2_has_the_layers_of_the_published_network() -> None:
    network = build_model("wrn22", 10)
    shapes = prunable_shapes(network)
    assert len(shapes) == 1 + 3 * 3 * 2 + 3 + 1  # stem, two convolutions a block, three shortcuts, the linear layer
    # 16-32-64-128 channels: the stem, per stage the first block, its shortcut and two more blocks, the linear layer.
    expected = 16 * 3 * 9 + 128 * 10
    for inputs, channels in ((16, 32), (32, 64), (64, 128)):
        expected += 9 * inputs * channels + 9 * channels**2 + inputs * channels + 4 * 9 * channels**2
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == expected == 1_076_912
    assert network.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_a_depth_that_does_not_exist_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="the nearest is wrn22"):
        build_model("wrn20", 10)
