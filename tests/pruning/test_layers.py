import pytest
from torch import nn

from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning.layers import prunable_shapes, prunable_weights, weight_name


def test_every_convolution_and_linear_layer_is_prunable_in_order_and_nothing_else() -> None:
    shapes = prunable_shapes(build_model("resnet8", num_classes=5, width=3, input_channels=2))
    assert list(shapes.items()) == [
        ("conv1", (3, 2, 3, 3)),
        ("layer1.0.conv1", (3, 3, 3, 3)),
        ("layer1.0.conv2", (3, 3, 3, 3)),
        ("layer2.0.conv1", (6, 3, 3, 3)),
        ("layer2.0.conv2", (6, 6, 3, 3)),
        ("layer2.0.downsample.0", (6, 3, 1, 1)),
        ("layer3.0.conv1", (12, 6, 3, 3)),
        ("layer3.0.conv2", (12, 12, 3, 3)),
        ("layer3.0.downsample.0", (12, 6, 1, 1)),
        ("fc", (5, 12)),
    ]


@pytest.mark.parametrize("model", [build_model("vgg11_bn", num_classes=2, width=1), nn.Linear(2, 2)])
def test_a_layer_has_its_weight_in_the_state_dict_under_the_name_that_is_given(model: nn.Module) -> None:
    state = model.state_dict()
    for layer, weight in prunable_weights(model).items():
        assert state[weight_name(layer)].data_ptr() == weight.data_ptr()


def test_a_network_without_prunable_layers_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to prune"):
        prunable_weights(nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()))
