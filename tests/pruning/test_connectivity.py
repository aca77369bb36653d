import copy
import itertools
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules import activation

from prunecheck.models import build_model
from prunecheck.pruning import allocate, prunable_shapes, prunable_weights, random_scores
from prunecheck.pruning.connectivity import LayerConnectivity, Paths, layer_connectivity
from prunecheck.pruning.layers import Masks

Draw = Callable[[nn.Module, int], nn.Module]

ACTIVATIONS = [
    getattr(activation, name)
    for name in activation.__all__
    if name not in ("GLU", "MultiheadAttention", "Softmax", "Softmax2d", "Softmin", "LogSoftmax")
]
"""What treats each number by itself, and so neither makes nor breaks a path."""


def dense_masks(model: nn.Module) -> Masks:
    return {layer: torch.ones_like(weight, dtype=torch.bool) for layer, weight in prunable_weights(model).items()}


def effective_masks(model: nn.Module, masks: Masks, image_shape: tuple[int, int, int]) -> Masks:
    found = Paths(model, image_shape).effective_masks(masks)
    assert found is not None
    return found


def reached_outputs(model: nn.Module, masks: Masks, image_shape: tuple[int, int, int]) -> Tensor:
    found = Paths(model, image_shape).reached_outputs(masks)
    assert found is not None
    return found


def random_masks(model: nn.Module, sparsity: float, seed: int = 0) -> Masks:
    return allocate(random_scores(model, generator=torch.Generator().manual_seed(seed)), sparsity)


def only(shape: tuple[int, ...], *kept: tuple[int, ...]) -> Tensor:
    mask = torch.zeros(shape, dtype=torch.bool)
    for index in kept:
        mask[index] = True
    return mask


def kept(masks: Masks) -> dict[str, set[tuple[int, ...]]]:
    return {layer: {tuple(index) for index in mask.nonzero().tolist()} for layer, mask in masks.items()}


def test_a_chain_with_a_cut_loses_what_leads_to_it_and_what_comes_from_it() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
    masks = {
        # Unit 0 leads on to unit 0 and out; unit 1 leads nowhere; into unit 2 nothing comes.
        "1": only((3, 3), (0, 0), (1, 0), (1, 2)),
        "3": only((3, 3), (0, 0), (1, 2), (2, 0)),
        "5": only((2, 3), (1, 0), (1, 1)),
    }
    assert kept(effective_masks(model, masks, (3, 1, 1))) == {"1": {(0, 0)}, "3": {(0, 0)}, "5": {(1, 0)}}
    found = layer_connectivity(model, masks, (3, 1, 1))
    assert found["1"] == LayerConnectivity(
        total=9,
        kept=3,
        effective=1,
        inputs=3,
        outputs=3,
        empty_inputs=1,
        empty_outputs=1,
        dead_inputs=2,
        dead_outputs=2,
    )
    assert found["3"] == LayerConnectivity(
        total=9,
        kept=3,
        effective=1,
        inputs=3,
        outputs=3,
        empty_inputs=1,
        empty_outputs=0,
        dead_inputs=2,
        dead_outputs=2,
    )
    assert found["5"] == LayerConnectivity(
        total=6,
        kept=2,
        effective=1,
        inputs=3,
        outputs=2,
        empty_inputs=1,
        empty_outputs=1,
        dead_inputs=2,
        dead_outputs=1,
    )
    assert reached_outputs(model, masks, (3, 1, 1)).tolist() == [False, True]


def test_nothing_is_effective_where_no_path_leads_through() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2), nn.Linear(2, 2))
    masks = {"1": only((2, 2), (0, 0), (0, 1)), "2": only((2, 2), (0, 1), (1, 1))}
    assert kept(effective_masks(model, masks, (2, 1, 1))) == {"1": set(), "2": set()}
    assert not reached_outputs(model, masks, (2, 1, 1)).any()


@pytest.mark.parametrize("normalisation", [nn.BatchNorm2d, nn.InstanceNorm2d, lambda n: nn.GroupNorm(n, n)])
def test_the_bias_of_a_dead_channel_carries_nothing(draw: Draw, normalisation: Callable[[int], nn.Module]) -> None:
    layers = [nn.Conv2d(1, 2, 1), normalisation(2), nn.ReLU(), nn.Conv2d(2, 2, 1), nn.Flatten(), nn.Linear(8, 2)]
    model = draw(nn.Sequential(*layers), 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()
    masks = dense_masks(model) | {"0": only((2, 1, 1, 1), (0, 0, 0, 0))}
    assert kept(effective_masks(model, masks, (1, 2, 2)))["3"] == {(0, 0, 0, 0), (1, 0, 0, 0)}
    assert layer_connectivity(model, masks, (1, 2, 2))["3"].dead_inputs == 1


class WithConstants(nn.Module):
    """Adds a parameter that is no bias by name, and gates: what they are does not depend on the image."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.ones(2, 1, 1))
        self.first = nn.Conv2d(1, 2, 1)
        self.last = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.sigmoid(self.first(x)) + self.position
        x = x.mean(dim=(2, 3)) + 1
        return self.last(x)  # type: ignore[no-any-return]


def test_no_constant_carries_the_input() -> None:
    model = WithConstants()
    masks = dense_masks(model) | {"first": only((2, 1, 1, 1), (1, 0, 0, 0))}
    assert kept(effective_masks(model, masks, (1, 2, 2)))["last"] == {(0, 1), (1, 1)}
    masks["last"] = only((2, 2), (0, 0), (1, 0))
    assert not reached_outputs(model, masks, (1, 2, 2)).any()


def test_a_shortcut_keeps_a_path_alive_and_not_the_weights_of_its_block() -> None:
    model = build_model("resnet8", num_classes=3, width=2)
    masks = dense_masks(model)
    masks["layer1.0.conv1"] = only((2, 2, 3, 3), (0, 0, 1, 1))
    masks["layer1.0.conv2"] = only((2, 2, 3, 3), (0, 1, 1, 1))
    effective = effective_masks(model, masks, (3, 8, 8))
    assert not effective["layer1.0.conv1"].any()
    assert not effective["layer1.0.conv2"].any()
    for layer in masks.keys() - {"layer1.0.conv1", "layer1.0.conv2"}:
        assert torch.equal(effective[layer], masks[layer]), layer


def test_a_pruned_shortcut_convolution_leaves_the_block_alone() -> None:
    model = build_model("resnet8", num_classes=3, width=2)
    masks = dense_masks(model)
    masks["layer2.0.downsample.0"][0] = False
    masks["layer2.0.conv2"][0] = False  # now nothing reaches channel 0 of the sum, but what the next block adds
    masks["layer3.0.conv1"][:, 1:] = False
    masks["layer3.0.downsample.0"][:, 1:] = False
    effective = effective_masks(model, masks, (3, 8, 8))
    assert not any(mask.any() for mask in effective.values())
    masks["layer2.0.downsample.0"][0, 1] = True
    effective = effective_masks(model, masks, (3, 8, 8))
    assert kept(effective)["layer2.0.downsample.0"] == {(0, 1, 0, 0)}
    assert not effective["layer2.0.conv1"].any()
    assert torch.equal(effective["layer3.0.conv1"], masks["layer3.0.conv1"])
    assert torch.equal(effective["conv1"], masks["conv1"])


def test_a_depthwise_convolution_joins_each_channel_with_itself_alone() -> None:
    depthwise = nn.Conv2d(3, 3, 1, groups=3)
    model = nn.Sequential(nn.Conv2d(1, 3, 1), depthwise, nn.Flatten(), nn.Linear(3, 2))
    masks = dense_masks(model)
    masks["0"] = only((3, 1, 1, 1), (0, 0), (1, 0))
    masks["1"] = only((3, 1, 1, 1), (1, 0), (2, 0))
    assert kept(effective_masks(model, masks, (1, 1, 1))) == {
        "0": {(1, 0, 0, 0)},
        "1": {(1, 0, 0, 0)},
        "3": {(0, 1), (1, 1)},
    }
    found = layer_connectivity(model, masks, (1, 1, 1))["1"]
    assert (found.inputs, found.outputs) == (3, 3)
    assert (found.empty_inputs, found.empty_outputs, found.dead_inputs, found.dead_outputs) == (1, 1, 2, 2)


def test_the_channels_of_a_group_are_counted_in_their_own_group() -> None:
    grouped = nn.Conv2d(4, 6, 1, groups=2)
    model = nn.Sequential(grouped, nn.Flatten(), nn.Linear(6, 2))
    masks = dense_masks(model)
    masks["0"] = only((6, 2, 1, 1), (3, 0), (4, 0), (5, 0))  # all three from channel 2
    found = layer_connectivity(model, masks, (4, 1, 1))
    assert (found["0"].inputs, found["0"].dead_inputs, found["0"].dead_outputs) == (4, 3, 3)
    assert found["2"].dead_inputs == 3


class FunctionalPooling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 1, 3, padding=1)
        self.linear = nn.Linear(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(self.convolution(x), 2)
        return self.linear(functional.adaptive_max_pool2d(x, 1).flatten(1))  # type: ignore[no-any-return]


def test_a_pooling_hides_no_path_behind_the_pixel_that_it_takes() -> None:
    # In each pixel of 2x2, 4 of the 9 positions of the kernel meet the image; every position is met by one of them.
    masks = {"convolution": torch.ones(1, 1, 3, 3, dtype=torch.bool), "linear": torch.ones(2, 1, dtype=torch.bool)}
    assert effective_masks(FunctionalPooling(), masks, (1, 2, 2))["convolution"].all()
    pooled = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1, 2))
    assert effective_masks(pooled, {"0": masks["convolution"], "3": masks["linear"]}, (1, 2, 2))["0"].all()
    dilated = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.MaxPool2d(2, dilation=2), nn.Flatten(), nn.Linear(1, 2))
    assert reached_outputs(dilated, {"0": masks["convolution"], "3": masks["linear"]}, (1, 3, 3)).all()


@pytest.mark.parametrize("kind", ACTIVATIONS, ids=lambda kind: str(kind.__name__))
def test_no_activation_makes_or_breaks_a_path(kind: type[nn.Module]) -> None:
    arguments = (0.5, 9.0) if kind is nn.Threshold else ()
    layers = [nn.Conv2d(1, 2, 1), kind(*arguments), nn.Conv2d(2, 2, 1), nn.Flatten(), nn.Linear(2, 2)]
    model = nn.Sequential(*layers)
    masks = dense_masks(model)
    assert all(mask.all() for mask in effective_masks(model, masks, (1, 1, 1)).values())
    masks["0"] = only((2, 1, 1, 1), (0, 0))
    assert not effective_masks(model, masks, (1, 1, 1))["2"][:, 1].any()


class PreActivation(nn.Module):
    """Blocks whose in-place activations come before the convolutions, many enough for large counts."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.shortcut = nn.Conv2d(4, 4, 1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(blocks))
        self.blocks = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(blocks))
        self.linear = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for number, (norm, block) in enumerate(zip(self.norms, self.blocks, strict=True)):
            shortcut = self.shortcut(x) if number == 0 else x
            x = shortcut + block(torch.relu_(norm(x)))
        return self.linear(torch.tanh(functional.relu6(x)).amax(dim=(2, 3)))  # type: ignore[no-any-return]


def test_depth_neither_overflows_nor_fades() -> None:
    for model in (PreActivation(60), build_model("resnet110", 3, width=2), build_model("vgg19", 3, width=2)):
        channels = 1 if isinstance(model, PreActivation) else 3
        masks = dense_masks(model)
        effective = effective_masks(model, masks, (channels, 32, 32))
        assert all(mask.all() for mask in effective.values())


class Small(nn.Module):
    """A strided convolution, a grouped one beside a shortcut, a pooling and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 2, (3, 2), stride=(1, 2), padding=(1, 0))
        self.norm = nn.BatchNorm2d(2)
        self.block = nn.Conv2d(2, 2, 3, padding=1, groups=2)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.linear = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu_(self.norm(self.first(x)))
        return self.linear(self.pool(x + self.block(x)).flatten(1))  # type: ignore[no-any-return]


Edge = tuple[str, tuple[int, ...]]


def paths(masks: Masks) -> Iterator[list[Edge]]:
    """Enumerate every path of ``Small`` from a pixel of a 3x4 image to an output, as the weights on it."""
    for row, column in itertools.product(range(3), range(4)):
        for channel, y, x, edge in _strided(masks["first"], row, column):
            for y2, x2, more in [(y, x, []), *_padded(masks["block"], channel, y, x)]:
                feature = channel * 2 + y2 // 2  # two pooled rows and one pooled column
                assert x2 // 2 == 0
                for output in range(2):
                    if masks["linear"][output, feature]:
                        yield [edge, *more, ("linear", (output, feature))]


def _strided(mask: Tensor, row: int, column: int) -> Iterator[tuple[int, int, int, Edge]]:
    for channel, i, j in itertools.product(range(2), range(3), range(2)):
        y, twice_x = row - i + 1, column - j
        if mask[channel, 0, i, j] and 0 <= y < 3 and twice_x in (0, 2):
            yield channel, y, twice_x // 2, ("first", (channel, 0, i, j))


def _padded(mask: Tensor, channel: int, y: int, x: int) -> Iterator[tuple[int, int, list[Edge]]]:
    for i, j in itertools.product(range(3), range(3)):
        y2, x2 = y - i + 1, x - j + 1
        if mask[channel, 0, i, j] and 0 <= y2 < 3 and 0 <= x2 < 2:
            yield y2, x2, [("block", (channel, 0, i, j))]


@given(seed=st.integers(0, 2**32), density=st.sampled_from([0.1, 0.2, 0.4, 0.7]))
@settings(max_examples=40, deadline=None)
def test_the_effective_weights_are_those_on_the_paths_that_enumeration_finds(seed: int, density: float) -> None:
    model = Small()
    generator = torch.Generator().manual_seed(seed)
    masks = {layer: torch.rand(shape, generator=generator) < density for layer, shape in prunable_shapes(model).items()}
    found: dict[str, set[tuple[int, ...]]] = {layer: set() for layer in masks}
    for path in paths(masks):
        for layer, index in path:
            found[layer].add(index)
    assert kept(effective_masks(model, masks, (1, 3, 4))) == found
    outputs = {index[0] for index in found["linear"]}
    assert reached_outputs(model, masks, (1, 3, 4)).tolist() == [output in outputs for output in range(2)]


@given(seed=st.integers(0, 2**32), sparsity=st.sampled_from([0.0, 0.5, 0.9, 0.97]))
@settings(max_examples=20, deadline=None)
def test_effective_masks_are_parts_of_the_masks_and_their_own_effective_masks(seed: int, sparsity: float) -> None:
    model = build_model("resnet8", num_classes=3, width=2)
    masks = random_masks(model, sparsity, seed)
    effective = effective_masks(model, masks, (3, 8, 8))
    assert all(not (effective[layer] & ~masks[layer]).any() for layer in masks)
    assert sum(int(m.sum()) for m in effective.values()) <= sum(int(m.sum()) for m in masks.values())
    again = effective_masks(model, effective, (3, 8, 8))
    assert all(torch.equal(again[layer], effective[layer]) for layer in masks)
    before, after = reached_outputs(model, masks, (3, 8, 8)), reached_outputs(model, effective, (3, 8, 8))
    assert torch.equal(before, after)


def test_the_output_is_the_same_without_the_weights_that_are_not_effective(draw: Draw) -> None:
    model = draw(build_model("resnet8", num_classes=3, width=3).double(), 2).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()  # what no pixel reaches is then 0
    masks = random_masks(model, 0.93)
    effective = effective_masks(model, masks, (3, 8, 8))
    assert any((masks[layer] & ~effective[layer]).any() for layer in masks)
    images = torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    outputs = []
    for chosen in (masks, effective):
        pruned = copy.deepcopy(model)
        with torch.no_grad():
            for layer, weight in prunable_weights(pruned).items():
                weight.mul_(chosen[layer])
            outputs.append(pruned(images))
    assert outputs[0].abs().max() > 0
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-10, atol=0)


def test_the_network_is_left_as_it_was() -> None:
    model = build_model("resnet8", num_classes=3, width=2).train()
    state = copy.deepcopy(model.state_dict())
    layer_connectivity(model, random_masks(model, 0.5), (3, 8, 8))
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert all(module.training and not module._forward_hooks for module in model.modules())
    assert all("forward" not in vars(module) for module in model.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


def test_no_gradient_is_needed_around_it() -> None:
    model = build_model("resnet8", num_classes=3, width=2)
    masks = random_masks(model, 0.9)
    expected = effective_masks(model, masks, (3, 8, 8))
    with torch.no_grad():
        found = effective_masks(model, masks, (3, 8, 8))
    assert all(torch.equal(found[layer], expected[layer]) for layer in masks)
