import math

import pytest
import torch
from scipy.stats import kstest
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.errors import InputError
from prunecheck.models import build_model

BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def prunable(model: nn.Module) -> dict[str, Tensor]:
    return {
        f"{name}.weight": module.weight
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }


def published_state_names(blocks: int) -> list[str]:
    def convolution(conv: str, norm: str) -> list[str]:
        return [f"{conv}.weight", *(f"{norm}.{part}" for part in BATCH_NORM)]

    names = convolution("conv1", "bn1")
    for stage in (1, 2, 3):
        for block in range(blocks):
            inside = f"layer{stage}.{block}"
            names += convolution(f"{inside}.conv1", f"{inside}.bn1") + convolution(f"{inside}.conv2", f"{inside}.bn2")
            if stage > 1 and block == 0:
                names += convolution(f"{inside}.downsample.0", f"{inside}.downsample.1")
    return [*names, "fc.weight", "fc.bias"]


def published_shapes(blocks: int, width: int, classes: int, input_channels: int) -> list[tuple[int, ...]]:
    """Return the shapes of the prunable weights, in order."""
    shapes: list[tuple[int, ...]] = [(width, input_channels, 3, 3)]
    shapes += [(width, width, 3, 3)] * (2 * blocks)
    for outputs in (2 * width, 4 * width):
        shapes += [(outputs, outputs // 2, 3, 3), (outputs, outputs, 3, 3), (outputs, outputs // 2, 1, 1)]
        shapes += [(outputs, outputs, 3, 3)] * (2 * blocks - 2)
    return [*shapes, (classes, 4 * width)]


@pytest.mark.parametrize(("name", "blocks"), [("resnet20", 3), ("resnet32", 5)])
def test_weights_have_the_published_names_in_the_published_order(name: str, blocks: int) -> None:
    assert list(build_model(name, 10).state_dict()) == published_state_names(blocks)


def test_resnet32_for_ten_classes_has_as_many_prunable_weights_as_published() -> None:
    assert sum(weight.numel() for weight in prunable(build_model("resnet32", 10)).values()) == 1_855_584


@pytest.mark.parametrize(
    ("options", "width", "input_channels"),
    [({}, 32, 3), ({"width": 5}, 5, 3), ({"width": 16, "input_channels": 1}, 16, 1)],
)
def test_width_and_input_channels_set_the_shapes(options: dict[str, int], width: int, input_channels: int) -> None:
    model = build_model("resnet14", 7, **options)
    shapes = [tuple(weight.shape) for weight in prunable(model).values()]
    assert shapes == published_shapes(2, width, 7, input_channels)


def randomise(model: nn.Module) -> None:
    """Give every weight and statistic a value of its own, so that none can be left out unseen."""
    source = torch.Generator().manual_seed(0)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.randn(value.shape, generator=source) / math.sqrt(max(1, value[0].numel())))
            if "running_var" in name:
                value.abs_().add_(0.5)


def published_forward(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """Compute the published network's answer from its weights by their names, with stored batch statistics."""

    def convolve(x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        weight = state[f"{conv}.weight"]
        x = functional.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2)
        mean, var, scale, shift = (
            state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(x, mean, var, scale, shift)

    x = functional.relu(convolve(x, "conv1", "bn1"))
    blocks = dict.fromkeys(tuple(name.split(".")[:2]) for name in state if name.startswith("layer"))
    for stage, block in blocks:
        inside = f"{stage}.{block}"
        stride = 2 if block == "0" and stage != "layer1" else 1
        shortcut = x
        if f"{inside}.downsample.0.weight" in state:
            shortcut = convolve(x, f"{inside}.downsample.0", f"{inside}.downsample.1", stride)
        depth = 3 if f"{inside}.conv3.weight" in state else 2
        for number in range(1, depth + 1):
            strided = stride if number == depth - 1 else 1  # the 3x3 convolution: first of two, or middle of three
            x = convolve(x, f"{inside}.conv{number}", f"{inside}.bn{number}", strided)
            x = functional.relu(x) if number < depth else functional.relu(x + shortcut)
    x = functional.avg_pool2d(x, x.shape[2:]).flatten(1)
    return functional.linear(x, state["fc.weight"], state["fc.bias"])


@pytest.mark.parametrize(("name", "width"), [("resnet14", 4), ("resnet56", 2)])
def test_answer_is_the_published_networks(name: str, width: int) -> None:
    model = build_model(name, 5, width=width).double().eval()
    randomise(model)
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    untouched = x.clone()
    with torch.no_grad():
        answer = model(x)
        expected = published_forward(model.state_dict(), x)
    assert answer.std() > 1e-3
    torch.testing.assert_close(answer, expected, rtol=1e-9, atol=1e-9)
    assert torch.equal(x, untouched)


def test_every_weight_gets_a_gradient() -> None:
    model = build_model("resnet8", 3, width=4)
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    loss = functional.cross_entropy(model(x), torch.tensor([0, 1, 2, 0]))
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    assert all(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (32, 32), (64, 64), (9, 30)])
def test_images_of_any_size_are_answered(size: tuple[int, int]) -> None:
    model = build_model("resnet8", 10, width=8, input_channels=1).eval()
    assert model(torch.zeros(2, 1, *size)).shape == (2, 10)


def assert_normal(weight: Tensor, deviation: float) -> None:
    """Assert that the weights are a sample of N(0, deviation): moments within 5 standard errors."""
    values = weight.detach().double().flatten()
    count = len(values)
    assert abs(values.mean()) < 5 * deviation / math.sqrt(count)
    assert abs(values.std() / deviation - 1) < 5 / math.sqrt(2 * count)
    assert kstest(values[:5000].numpy() / deviation, "norm").pvalue > 1e-4


def test_initial_weights_are_kaiming_normal_by_fan_out_and_small_for_the_linear_layer() -> None:
    model = build_model("resnet20", 100)
    weights = prunable(model)
    assert_normal(weights.pop("fc.weight"), 0.01)
    for weight in weights.values():
        outputs, _, height, width = weight.shape
        assert_normal(weight, math.sqrt(2 / (outputs * height * width)))


def test_initial_biases_are_0_and_batch_norm_does_nothing() -> None:
    model = build_model("resnet20", 10)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()


@pytest.mark.parametrize(
    ("depth", "nearest"), [(9, 8), (2, 8), (7, 8), (12, 14), (33, 32), (34, 32), (49, 50), (101, 98)]
)
def test_depth_that_is_not_6n_plus_2_is_refused_with_the_nearest(depth: int, nearest: int) -> None:
    with pytest.raises(InputError) as raised:
        build_model(f"resnet{depth}", 10)
    message = str(raised.value)
    assert f"resnet{depth} does not exist" in message
    suggested = int(message.rsplit("resnet", 1)[1].rstrip("."))
    assert suggested >= 8
    assert suggested % 6 == 2
    assert abs(suggested - depth) == abs(nearest - depth)


@pytest.mark.parametrize("depth", [8, 14, 26, 50])
def test_depth_counts_the_layers_of_the_longest_way(depth: int) -> None:
    model = build_model(f"resnet{depth}", 10, width=1)
    assert len([name for name in prunable(model) if "downsample" not in name]) == depth


def test_resnet56_is_built_of_bottlenecks() -> None:
    model = build_model("resnet56", 10, width=8)
    shapes = {name: tuple(weight.shape) for name, weight in prunable(model).items()}
    assert shapes["layer1.0.conv1.weight"] == (8, 8, 1, 1)
    assert shapes["layer1.0.downsample.0.weight"] == (32, 8, 1, 1)
    assert shapes["layer2.0.conv1.weight"] == (16, 32, 1, 1)
    assert shapes["layer2.0.conv2.weight"] == (16, 16, 3, 3)
    assert shapes["layer3.8.conv3.weight"] == (128, 32, 1, 1)
    assert shapes["fc.weight"] == (10, 128)
    assert "layer3.9.conv1.weight" not in shapes


def test_resnet50_is_not_built_of_bottlenecks() -> None:
    assert not [name for name in prunable(build_model("resnet50", 10, width=1)) if "conv3" in name]
