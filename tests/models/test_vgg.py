import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.errors import InputError
from prunecheck.models import MODELS, build_model, require_input

CHANNELS = {
    11: [64, 128, 256, 256, 512, 512, 512, 512],
    13: [64, 64, 128, 128, 256, 256, 512, 512, 512, 512],
    16: [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512],
    19: [64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512, 512, 512, 512],
}
VGG11_CONVOLUTIONS = [0, 3, 6, 8, 11, 13, 16, 18]
VGG19_BN_CONVOLUTIONS = [0, 3, 7, 10, 14, 17, 20, 23, 27, 30, 33, 36, 40, 43, 46, 49]
"""Where they stand in ``features``, as in torchvision's networks of these names."""


def weights(model: nn.Module, kind: type[nn.Module]) -> dict[str, Tensor]:
    kinds = {name: module for name, module in model.named_modules() if isinstance(module, kind)}
    return {name: module.get_parameter("weight") for name, module in kinds.items()}


@pytest.fixture(scope="module")
def vgg19_bn() -> nn.Module:
    return build_model("vgg19_bn", 10)


def test_vgg11_has_the_published_names() -> None:
    names = [f"features.{place}.{part}" for place in VGG11_CONVOLUTIONS for part in ("weight", "bias")]
    assert list(build_model("vgg11", 10, width=2).state_dict()) == [*names, "classifier.weight", "classifier.bias"]


def test_vgg19_bn_has_the_published_names(vgg19_bn: nn.Module) -> None:
    names: list[str] = []
    for place in VGG19_BN_CONVOLUTIONS:
        names += [f"features.{place}.weight", f"features.{place}.bias"]
        parts = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        names += [f"features.{place + 1}.{part}" for part in parts]
    assert list(vgg19_bn.state_dict()) == [*names, "classifier.weight", "classifier.bias"]


def test_vgg19_for_ten_classes_has_as_many_prunable_weights_as_published(vgg19_bn: nn.Module) -> None:
    sizes = [weight.numel() for kind in (nn.Conv2d, nn.Linear) for weight in weights(vgg19_bn, kind).values()]
    assert sum(sizes) == 20_024_000


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
@pytest.mark.parametrize("suffix", ["", "_bn"])
def test_width_and_input_channels_set_the_shapes(depth: int, suffix: str) -> None:
    model = build_model(f"vgg{depth}{suffix}", 7, width=4, input_channels=2)
    channels = [published // 16 for published in CHANNELS[depth]]
    shapes = [tuple(weight.shape) for weight in weights(model, nn.Conv2d).values()]
    assert shapes == [(out, into, 3, 3) for into, out in zip([2, *channels], channels, strict=False)]
    assert [tuple(weight.shape) for weight in weights(model, nn.Linear).values()] == [(7, 32)]
    assert len(weights(model, nn.BatchNorm2d)) == (len(channels) if suffix else 0)


def test_published_width_is_64_to_512(vgg19_bn: nn.Module) -> None:
    assert [len(weight) for weight in weights(vgg19_bn, nn.Conv2d).values()] == CHANNELS[19]


def published_forward(state: dict[str, Tensor], places: list[int], x: Tensor, pooling: int) -> Tensor:
    """Compute the published network's answer from its weights by their names; a gap in the places is a pooling."""
    step = 3 if f"features.{places[0] + 1}.weight" in state else 2
    for place, following in zip(places, [*places[1:], None], strict=True):
        x = functional.conv2d(x, state[f"features.{place}.weight"], state[f"features.{place}.bias"], padding=1)
        if step == 3:
            parts = ("running_mean", "running_var", "weight", "bias")
            mean, var, scale, shift = (state[f"features.{place + 1}.{part}"] for part in parts)
            x = functional.batch_norm(x, mean, var, scale, shift)
        x = functional.relu(x)
        if following is not None and following - place > step:
            x = functional.max_pool2d(x, 2)
    x = functional.avg_pool2d(x, pooling).flatten(1)
    return functional.linear(x, state["classifier.weight"], state["classifier.bias"])


@pytest.mark.parametrize(("name", "places"), [("vgg11", VGG11_CONVOLUTIONS), ("vgg19_bn", VGG19_BN_CONVOLUTIONS)])
@pytest.mark.parametrize(("size", "pooling"), [(32, 2), (64, 4)])
def test_answer_is_the_published_networks(name: str, places: list[int], size: int, pooling: int) -> None:
    model = build_model(name, 5, width=2).double().eval()
    source = torch.Generator().manual_seed(0)
    for key, value in model.state_dict().items():
        if not key.endswith(("num_batches_tracked", "running_var")):
            value.copy_(torch.randn(value.shape, generator=source) / math.sqrt(max(1, value[0].numel() / 2)))
    x = torch.randn(2, 3, size, size, generator=source, dtype=torch.float64)
    untouched = x.clone()
    with torch.no_grad():
        answer, expected = model(x), published_forward(model.state_dict(), places, x, pooling)
    assert (answer[0] - answer[1]).abs().max() > 1e-3, "the answer hardly depends on the images"
    torch.testing.assert_close(answer, expected, rtol=1e-9, atol=1e-9)
    assert torch.equal(x, untouched)


@pytest.mark.parametrize("size", [(16, 16), (28, 28), (32, 32), (64, 64), (16, 40)])
def test_images_of_16_pixels_and_more_are_answered(size: tuple[int, int]) -> None:
    model = build_model("vgg11_bn", 10, width=2, input_channels=1).eval()
    require_input("vgg11_bn", model, *size)
    assert model(torch.zeros(2, 1, *size)).shape == (2, 10)


@pytest.mark.parametrize("size", [(8, 8), (15, 15), (32, 15), (15, 32)])
def test_images_too_small_to_be_halved_four_times_are_refused_beforehand(size: tuple[int, int]) -> None:
    model = build_model("vgg11", 10, width=2).eval()
    with pytest.raises(InputError, match=rf"vgg11 needs images of at least 16x16 pixels.*{size[0]}x{size[1]}"):
        require_input("vgg11", model, *size)
    with pytest.raises(RuntimeError):
        model(torch.zeros(1, 3, *size))


def test_initial_weights_are_normal_by_fan_in_and_small_for_the_linear_layer(vgg19_bn: nn.Module) -> None:
    expected = {name: math.sqrt(2 / weight[0].numel()) for name, weight in weights(vgg19_bn, nn.Conv2d).items()}
    expected["classifier"] = 0.01
    state = vgg19_bn.state_dict()
    for name, deviation in expected.items():
        values = state[f"{name}.weight"].flatten()[:200_000].double()
        count = len(values)
        assert abs(values.mean()) < 5 * deviation / math.sqrt(count), name
        assert abs(values.std() / deviation - 1) < 5 / math.sqrt(2 * count), name


def test_initial_biases_are_0_and_batch_norm_does_nothing(vgg19_bn: nn.Module) -> None:
    biases = [parameter for name, parameter in vgg19_bn.named_parameters() if name.endswith("bias")]
    assert len(biases) == 33
    assert not any(bias.any() for bias in biases)
    norms = weights(vgg19_bn, nn.BatchNorm2d)
    assert len(norms) == 16
    assert all((weight == 1).all() for weight in norms.values())


def test_only_the_published_depths_exist() -> None:
    assert {name for name in MODELS.names() if name.startswith("vgg")} == {
        f"vgg{depth}{suffix}" for depth in CHANNELS for suffix in ("", "_bn")
    }
    with pytest.raises(InputError, match=r"no model named 'vgg12'.*vgg1"):
        build_model("vgg12", 10)
