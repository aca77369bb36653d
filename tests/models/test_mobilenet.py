import torch
from torch import nn

from prunecheck.models import build_model
from prunecheck.models.mobilenet import InvertedResidual


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_it_is_as_large_as_published() -> None:
    assert count(build_model("mobilenetv2", 1000)) == 3_504_872  # as on ImageNet, where only strides differ
    assert count(build_model("mobilenetv2", 10)) == 3_504_872 - 990 * (1280 + 1)


def test_images_are_halved_three_times() -> None:
    model = build_model("mobilenetv2", 10, width=2).eval()
    sizes = []
    for block in model.get_submodule("blocks").children():
        block.register_forward_hook(lambda module, inputs, output: sizes.append(output.shape[-1]))
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
    assert sizes == [32] * 3 + [16] * 3 + [8] * 7 + [4] * 4


def test_depthwise_convolutions_have_one_filter_per_channel() -> None:
    model = build_model("mobilenetv2", 10, width=32)
    depthwise = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert len(depthwise) == 17
    assert all(m.weight.shape == (m.in_channels, 1, 3, 3) for m in depthwise)
    assert [m.in_channels for m in depthwise[:5]] == [32, 96, 144, 144, 192]
    assert [m.in_channels for m in depthwise[-3:]] == [960, 960, 960]


def test_a_shortcut_stands_where_shapes_agree() -> None:
    blocks = [m for m in build_model("mobilenetv2", 10, width=2).modules() if isinstance(m, InvertedResidual)]
    assert [block.has_shortcut for block in blocks] == [
        *(False, False, True, False, True, True, False, True, True, True),
        *(False, True, True, False, True, True, False),
    ]
    block = blocks[2]
    nn.init.zeros_(block.get_parameter("layers.7.weight"))  # the last batch norm
    x = torch.randn(2, block.get_parameter("layers.0.weight").shape[1], 4, 4)
    assert torch.equal(block.eval()(x), x)


def test_all_layers_are_as_wide_as_the_first_says() -> None:
    model = build_model("mobilenetv2", 10, width=16, input_channels=1)
    assert model.get_submodule("stem.0").weight.shape == (16, 1, 3, 3)
    assert model.get_submodule("last.0").weight.shape == (640, 160, 1, 1)
    assert abs(float(model.get_parameter("last.0.weight").std()) / (2 / 640) ** 0.5 - 1) < 0.02
