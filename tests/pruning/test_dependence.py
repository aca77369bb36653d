"""Paths through networks of any kind, against what their outputs really depend on."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.pruning import prunable_shapes, prunable_weights
from prunecheck.pruning.connectivity import Paths, effective_masks, reached_outputs
from prunecheck.pruning.layers import Masks


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def around(middle: nn.Module, given: int = 4, taken: int = 4) -> nn.Module:
    tail = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)]
    return nn.Sequential(nn.Conv2d(1, given, 3, padding=1), middle, nn.Conv2d(taken, 4, 3, padding=1), *tail)


def dense_masks(model: nn.Module) -> Masks:
    return {layer: torch.ones_like(weight, dtype=torch.bool) for layer, weight in prunable_weights(model).items()}


def written_into_parts(x: Tensor) -> Tensor:
    out = torch.zeros(x.shape[0], 8, *x.shape[2:], dtype=x.dtype)
    out[:, :4] = x
    out[:, 4:] = -x
    return out


def changed_in_place(x: Tensor) -> Tensor:
    x = x.clone()
    x[:, 0] += x[:, 1]
    x[:, :, ::2].mul_(2)
    return x


def written_beside(x: Tensor) -> Tensor:
    """What an operation writes into an argument, and does not return: here which numbers are negative."""
    slopes = torch.zeros_like(x)
    torch.ops.aten.rrelu_with_noise(x, slopes, 0.2, 0.2, True)
    return slopes


MIDDLES: dict[str, tuple[Callable[[], nn.Module], int, int]] = {
    "softmax": (lambda: nn.Softmax(1), 4, 4),
    "normalize": (lambda: Function(lambda x: functional.normalize(x, dim=1)), 4, 4),
    "written beside": (lambda: Function(written_beside), 4, 4),
    "negation": (lambda: Function(torch.neg), 4, 4),
    "subtraction": (lambda: Function(lambda x: functional.avg_pool2d(x, 3, 1, 1) - x), 4, 4),
    "layer-norm": (
        lambda: Function(lambda x: functional.layer_norm(x.permute(0, 2, 3, 1), (4,)).permute(0, 3, 1, 2)),
        4,
        4,
    ),
    "group-norm": (lambda: Function(lambda x: functional.group_norm(x, 2)), 4, 4),
    "instance-norm": (lambda: Function(functional.instance_norm), 4, 4),
    "rms": (lambda: Function(lambda x: x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + 1e-6)), 4, 4),
    "crelu": (lambda: Function(lambda x: torch.cat([x.relu(), (-x).relu()], 1)), 4, 8),
    "maximum": (lambda: Function(lambda x: x - x.amax((2, 3), keepdim=True)), 4, 4),
    "maxout": (lambda: Function(lambda x: torch.maximum(x[:, :4], x[:, 4:])), 8, 4),
    "glu": (lambda: nn.GLU(1), 8, 4),
    "depthwise": (lambda: nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4), 4, 4),
    "transposed": (lambda: nn.ConvTranspose2d(4, 4, 3, stride=2), 4, 4),
    "reflection": (lambda: nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), 4, 4),
    "same-padding": (lambda: nn.Conv2d(4, 4, 3, padding="same", dilation=2), 4, 4),
    "pixel-shuffle": (lambda: nn.PixelShuffle(2), 16, 4),
    "upsampling": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), 4, 4),
    "max-pooling": (lambda: nn.MaxPool2d(3, 2, ceil_mode=True), 4, 4),
    "adaptive-max": (lambda: nn.AdaptiveMaxPool2d(3), 4, 4),
    "topk": (lambda: Function(lambda x: x.topk(4, 1)[0]), 4, 4),
    "written-into-parts": (lambda: Function(written_into_parts), 4, 8),
    "changed-in-place": (lambda: Function(changed_in_place), 4, 4),
    "detached": (lambda: Function(lambda x: x.detach()), 4, 4),
    "unknown": (lambda: Function(lambda x: torch.fft.fft2(x).real), 4, 4),
}


@pytest.mark.parametrize("name", MIDDLES)
def test_with_all_weights_kept_all_outputs_are_reached_and_all_weights_effective(name: str) -> None:
    build, given, taken = MIDDLES[name]
    for model in (around(build(), given, taken), nn.Sequential(around(build(), given, taken), nn.LogSoftmax(1))):
        paths, masks = Paths(model, (1, 8, 8)), dense_masks(model)
        assert paths.not_known is None
        effective = paths.effective_masks(masks)
        assert effective is not None
        assert all(mask.all() for mask in effective.values())


@pytest.mark.parametrize("name", MIDDLES)
@given(seed=st.integers(0, 2**32), density=st.sampled_from([0.05, 0.15, 0.4]))
@settings(max_examples=4, deadline=None)
def test_no_dependence_is_overlooked(name: str, seed: int, density: float) -> None:
    """What moves an output when the image is changed, or a weight beside a changed image, is found."""
    build, given, taken = MIDDLES[name]
    generator = torch.Generator().manual_seed(seed)
    model = around(build(), given, taken).double().eval()
    masks = {layer: torch.rand(shape, generator=generator) < density for layer, shape in prunable_shapes(model).items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
            if parameter.dim() == 1:
                parameter.zero_()  # constants move what an activation does with what is on a path
        for layer, weight in prunable_weights(model).items():
            weight.mul_(masks[layer])
        images = torch.randn(6, 1, 8, 8, generator=generator, dtype=torch.float64)
        outputs = model(images)
    moved = (outputs - outputs[:1]).abs().amax(0) > 1e-9
    reached = reached_outputs(model, masks, (1, 8, 8))
    assert reached is not None
    assert not (moved & ~reached).any()
    effective = effective_masks(model, masks, (1, 8, 8))
    assert effective is not None
    with torch.no_grad():
        for layer, weight in prunable_weights(model).items():
            weight.mul_(effective[layer])
        again = model(images)
    torch.testing.assert_close(again - again[:1], outputs - outputs[:1], rtol=1e-9, atol=1e-9)


class ClassToken(nn.Module):
    """One block of attention with its query, key and value in one layer; a class token is read out."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, 4, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, 4))
        self.qkv = nn.Linear(4, 12)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], 1)
        q, k, v = self.qkv(tokens).reshape(len(x), -1, 3, 2, 2).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.head(mixed[:, 0])  # type: ignore[no-any-return]


def test_a_query_made_of_a_constant_has_a_part_in_what_its_keys_lead_to() -> None:
    model = ClassToken()
    masks = dense_masks(model)
    effective = effective_masks(model, masks, (1, 8, 8))
    assert effective is not None
    assert all(mask.all() for mask in effective.values())
    masks["qkv"][4:] = False  # neither keys nor values see the image
    assert not reached_outputs(model, masks, (1, 8, 8)).any()  # type: ignore[union-attr]


@pytest.mark.parametrize("depth", [1, 8])
def test_attention_of_torch_is_followed_however_deep(depth: int) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 4, 4),
        nn.Flatten(2),
        Function(lambda x: x.transpose(1, 2)),
        nn.TransformerEncoder(layer, depth, enable_nested_tensor=False),
        Function(lambda x: x.mean(1)),
        nn.Linear(8, 3),
    )
    masks = dense_masks(model)
    effective = effective_masks(model, masks, (1, 8, 8))
    assert effective is not None
    assert all(mask.all() for mask in effective.values())
    masks["0"].zero_()
    assert not reached_outputs(model, masks, (1, 8, 8)).any()  # type: ignore[union-attr]


def test_a_gate_lets_nothing_through_where_what_it_multiplies_is_pruned() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.value = nn.Linear(4, 2, bias=False), nn.Linear(4, 2, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.value(x.flatten(1)) * self.gate(x.flatten(1))  # type: ignore[no-any-return]

    masks = {"gate": torch.ones(2, 4, dtype=torch.bool), "value": torch.ones(2, 4, dtype=torch.bool)}
    masks["value"][0] = False
    reached = reached_outputs(Gated(), masks, (1, 2, 2))
    assert reached is not None
    assert reached.tolist() == [False, True]


def test_recording_draws_nothing_from_the_global_generator() -> None:
    model = around(Function(lambda x: functional.dropout(x, 0.5, True)))
    before = torch.random.get_rng_state()
    paths = Paths(model, (1, 8, 8))
    assert paths.not_known is None
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_weights_values_decide_nothing() -> None:
    model = around(nn.BatchNorm2d(4))
    for value in (0.0, math.nan, -1.0):
        for parameter in model.parameters():
            nn.init.constant_(parameter, value)
        assert Paths(model, (1, 8, 8)).not_known is None
