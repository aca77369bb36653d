import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.errors import InputError
from prunecheck.models import build_model


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "classes", "options", "count"),
    [
        ("lottery_vgg11_bn", 10, {}, 9_231_114),
        ("lottery_vgg16_bn", 100, {}, 14_774_436),
        ("resnet18", 10, {}, 11_173_962),
        ("resnet18", 200, {"image_size": (64, 64)}, 11_271_432),
        ("tiny_vgg11_bn", 200, {"image_size": (64, 64)}, 12_578_760),
    ],
)
def test_networks_have_as_many_parameters_as_the_published_ones(
    name: str, classes: int, options: dict[str, Any], count: int
) -> None:
    assert parameters(build_model(name, classes, **options)) == count


def test_the_lottery_vgg_computes_what_the_other_one_does_from_a_wider_linear_layer() -> None:
    lottery, plain = (build_model(name, 100, seed=3, width=16) for name in ("lottery_vgg11_bn", "vgg11_bn"))
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    std = float(lottery.get_parameter("classifier.weight").detach().std())
    assert std == pytest.approx(math.sqrt(2 / 128), rel=0.05)
    assert float(plain.get_parameter("classifier.weight").detach().std()) == pytest.approx(0.01, rel=0.05)
    plain.load_state_dict(lottery.state_dict())
    assert torch.equal(lottery.eval()(images), plain.eval()(images))


def block(x: Tensor, weights: Mapping[str, Tensor], name: str, stride: int) -> Tensor:
    out = torch.relu(norm(functional.conv2d(x, weights[f"{name}.conv1.weight"], stride=stride, padding=1)))
    out = norm(functional.conv2d(out, weights[f"{name}.conv2.weight"], padding=1))
    shortcut = weights.get(f"{name}.downsample.0.weight")
    return torch.relu(out + (x if shortcut is None else norm(functional.conv2d(x, shortcut, stride=stride))))


def norm(x: Tensor) -> Tensor:
    mean, variance = x.mean(dim=(0, 2, 3), keepdim=True), x.var(dim=(0, 2, 3), keepdim=True, unbiased=False)
    return (x - mean) / torch.sqrt(variance + 1e-5)


def test_resnet18_computes_four_stages_of_two_blocks_behind_a_whole_image() -> None:
    model = build_model("resnet18", 7, width=4)
    weights = dict(model.named_parameters())
    images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    x = torch.relu(norm(functional.conv2d(images, weights["conv1.weight"], padding=1)))
    assert x.shape == (3, 4, 16, 16)
    for stage in (1, 2, 3, 4):
        x = block(x, weights, f"layer{stage}.0", 1 if stage == 1 else 2)
        x = block(x, weights, f"layer{stage}.1", 1)
    assert x.shape == (3, 32, 2, 2)
    expected = x.mean(dim=(2, 3)) @ weights["fc.weight"].T + weights["fc.bias"]
    assert torch.allclose(model(images), expected, atol=1e-4)


@pytest.mark.parametrize(("size", "positions"), [(32, 1), (64, 4)])
def test_the_linear_layers_of_the_tiny_vgg_take_what_the_images_leave(size: int, positions: int) -> None:
    model = build_model("tiny_vgg11_bn", 5, width=4, image_size=(size, size))
    linear = [tuple(module.weight.shape) for module in model.modules() if isinstance(module, nn.Linear)]
    inputs = 32 * positions
    assert linear == [(inputs // 2, inputs), (inputs // 2, inputs // 2), (5, inputs // 2)]
    assert model.eval()(torch.zeros(2, 3, size, size)).shape == (2, 5)


def test_the_tiny_vgg_drops_half_of_what_its_linear_layers_compute_in_training() -> None:
    model = build_model("tiny_vgg11_bn", 5, width=4, image_size=(32, 32))
    assert [module.p for module in model.modules() if isinstance(module, nn.Dropout)] == [0.5, 0.5]


@pytest.mark.parametrize("name", ["resnet18", "tiny_vgg11_bn"])
def test_convolutions_are_drawn_for_what_they_feed(name: str) -> None:
    options: dict[str, Any] = {"image_size": (64, 64)} if name.startswith("tiny") else {}
    model = build_model(name, 10, width=32, **options)
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 5_000:
            fan_out = module.out_channels * module.kernel_size[0] ** 2
            assert float(module.weight.detach().std()) == pytest.approx(math.sqrt(2 / fan_out), rel=0.05)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("lottery_vgg12_bn", {}, "lottery_vgg12_bn does not exist: choose one of lottery_vgg11_bn, lottery_vgg13_bn"),
        ("tiny_vgg12_bn", {"image_size": (64, 64)}, "tiny_vgg12_bn does not exist"),
        ("tiny_vgg11_bn", {"image_size": (16, 64)}, "tiny_vgg11_bn needs images of at least 32x32 pixels .* 16x64"),
    ],
)
def test_what_cannot_be_built_is_refused(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        build_model(name, 10, **options)
