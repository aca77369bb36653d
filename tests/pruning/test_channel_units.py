"""Which channels can only be removed together, against what removing them does to a network's outputs."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.audits.costs import costs_of
from prunecheck.data import ScoringData
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import choose_prunable, find_method, make_ticket, prunable_weights
from prunecheck.pruning.channels import find_channel_units
from prunecheck.pruning.channels.cutting import cut_channels

IMAGE = (2, 8, 8)


class Body(nn.Module):
    """A convolution, something, another convolution and a head."""

    def __init__(self, middle: Callable[..., Tensor], taken: int = 8, **modules: nn.Module) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.parts = nn.ModuleDict(modules)
        self.second = nn.Conv2d(taken, 6, 3, padding=1)
        self.head = nn.Linear(6, 3)
        self.middle = middle

    def forward(self, x: Tensor) -> Tensor:
        x = self.middle(torch.relu(self.norm(self.first(x))), **self.parts)
        return self.head(torch.relu(self.second(x)).mean((2, 3)))  # type: ignore[no-any-return]


def squeeze_and_excite(x: Tensor, down: nn.Module, up: nn.Module) -> Tensor:
    return x * torch.sigmoid(up(torch.relu(down(x.mean((2, 3))))))[:, :, None, None]


def shuffled(x: Tensor) -> Tensor:
    count, channels, *size = x.shape
    return x.view(count, 2, channels // 2, *size).transpose(1, 2).reshape(count, channels, *size)


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.rand(8, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Flat(nn.Module):
    """As VGG: positions and channels of the last map are inputs of a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 6, 3)
        self.hidden = nn.Linear(6 * 9, 10)
        self.head = nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(torch.relu(self.first(x)), 2)
        return self.head(functional.gelu(self.hidden(x.flatten(1))))  # type: ignore[no-any-return]


def conv(given: int, taken: int, groups: int = 1) -> nn.Module:
    return nn.Conv2d(given, taken, 3, padding=1, groups=groups)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], dict[str, int]]] = {
    "chain": (lambda: Body(lambda x: x), {"first": 8, "second": 6}),
    "residual": (lambda: Body(lambda x, a: x + a(x), a=conv(8, 8)), {"first+a": 8, "second": 6}),
    "pre-activation": (
        lambda: Body(lambda x, a, b: x + b(torch.relu(a(x))), a=conv(8, 4), b=conv(4, 8)),
        {"first+b": 8, "a": 4, "second": 6},
    ),
    "concatenation": (
        lambda: Body(lambda x, a: torch.cat([x, a(x)], 1), taken=12, a=conv(8, 4)),
        {"first": 8, "a": 4, "second": 6},
    ),
    "depthwise": (lambda: Body(lambda x, a: a(x), a=conv(8, 8, groups=8)), {"first+a": 8, "second": 6}),
    "depthwise, two for each": (
        lambda: Body(lambda x, a: a(x), taken=16, a=conv(8, 16, groups=8)),
        {"first+a": 8, "second": 6},
    ),
    "in groups": (lambda: Body(lambda x, a: a(x), a=conv(8, 8, groups=2)), {"first": 4, "a": 4, "second": 6}),
    "shuffle": (lambda: Body(shuffled), {"first": 4, "second": 6}),
    "chunks": (lambda: Body(lambda x: torch.mul(*x.chunk(2, 1)), taken=4), {"first": 4, "second": 6}),
    "gate": (
        lambda: Body(squeeze_and_excite, down=nn.Linear(8, 4), up=nn.Linear(4, 8)),
        {"first+up": 8, "down": 4, "second": 6},
    ),
    "scale of its own": (lambda: Body(lambda x, a: a(x), a=Scaled()), {"first": 8, "second": 6}),
    "padded channels": (
        lambda: Body(lambda x: functional.pad(x, (0, 0, 0, 0, 2, 2)), taken=12),
        {"first": 8, "second": 6},
    ),
    "flattened": (Flat, {"first": 6, "hidden": 10}),
    "norm over channels": (lambda: Body(lambda x: functional.normalize(x, dim=1)), {"second": 6}),
    "group norm": (lambda: Body(lambda x, a: a(x), a=nn.GroupNorm(2, 8)), {"second": 6}),
    "transposed convolution": (
        lambda: Body(lambda x, a: a(x), a=nn.ConvTranspose2d(8, 8, 3, padding=1)),
        {"second": 6},
    ),
    "written in place": (lambda: Body(lambda x: x.clone().mul_(2).add_(1)), {"first": 8, "second": 6}),
}  # fmt: skip


def short(name: str) -> str:
    return name.replace("parts.", "")


def built(kind: str) -> nn.Module:
    torch.manual_seed(0)
    network = NETWORKS[kind][0]().eval()
    with torch.no_grad():
        for name, tensor in (*network.named_parameters(), *network.named_buffers()):
            if tensor.dim() == 1 and tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape) + (0.5 if "var" in name else 0))
    return network


@pytest.mark.parametrize("kind", NETWORKS)
def test_channels_that_go_together_are_found(kind: str) -> None:
    units = find_channel_units(built(kind), IMAGE)
    assert {short(pool): len(members) for pool, members in units.pools.items()} == NETWORKS[kind][1]


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_without_the_channels_computes_what_the_masked_one_does(kind: str) -> None:
    network = built(kind)
    data = ScoringData(shape_only=[(torch.zeros(1, *IMAGE), torch.zeros(1, dtype=torch.int64))])
    sparsity = 0.5 if len(NETWORKS[kind][1]) > 1 else 0.3
    masks = make_ticket(
        find_method("random-er-channels"), network, data, sparsity, torch.Generator().manual_seed(0)
    ).masks
    images = torch.randn(5, *IMAGE)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    smaller = cut_channels(network, masks, IMAGE)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    weights = prunable_weights(network)
    with torch.no_grad():
        for layer, weight in weights.items():
            weight.mul_(masks[layer])
        torch.testing.assert_close(smaller(images), network(images), rtol=1e-4, atol=1e-5)
    for layer, weight in prunable_weights(smaller).items():
        assert weight.numel() == int(masks[layer].sum())
    assert sum(int((~mask).sum()) for mask in masks.values()) > 0
    kept = {layer: float(mask.sum()) for layer, mask in masks.items()}
    assert costs_of(smaller, IMAGE).multiply_adds == costs_of(network, IMAGE).kept(kept) or kind in OF_OTHER_PRODUCTS


OF_OTHER_PRODUCTS = ("transposed convolution",)
"""Whose own multiply-adds fall with what they take in, and no mask is of them."""


@pytest.mark.parametrize("model", ["resnet8", "vgg11_bn", "mobilenetv2", "vit2"])
def test_built_in_networks_can_be_cut(model: str) -> None:
    options = {} if model.startswith("vgg") else {"width": 8}
    shape = (3, 32, 32)
    network = build_model(model, num_classes=4, **options)
    data = ScoringData(shape_only=[(torch.zeros(1, *shape), torch.zeros(1, dtype=torch.int64))])
    masks = make_ticket(find_method("magnitude-channels"), network, data, 0.3, torch.Generator().manual_seed(0)).masks
    smaller = cut_channels(network, masks, shape)
    count = sum(weight.numel() for weight in prunable_weights(smaller).values())
    assert count == sum(int(mask.sum()) for mask in masks.values())


class WithSizes(Flat):
    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(torch.relu(self.first(x)), 2).reshape(-1, 54)
        return self.head(self.hidden(x))  # type: ignore[no-any-return]


class BranchesOnValues(Flat):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if float(x.mean()) > 0 else -x)


def masks_without(network: nn.Module, layer: str, taken_by: str) -> dict[str, Tensor]:
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in prunable_weights(network).items()}
    masks[layer][0] = False
    per = masks[taken_by].shape[1] // len(masks[layer])
    masks[taken_by][:, :per] = False
    return masks


def test_sizes_written_into_a_forward_are_named() -> None:
    network = WithSizes()
    with pytest.raises(InputError, match="does not work with fewer channels"):
        cut_channels(network, masks_without(network, "first", "hidden"), IMAGE)


def test_what_cannot_be_followed_or_cut_is_said() -> None:
    with pytest.raises(InputError, match="cannot be followed"):
        find_channel_units(BranchesOnValues(), IMAGE)
    single = nn.Sequential(nn.Flatten(), nn.Linear(128, 3))
    with pytest.raises(InputError, match="no channel of this network can be removed"):
        find_channel_units(single, IMAGE)
    network = Flat()
    whole = {layer: torch.ones_like(weight, dtype=torch.bool) for layer, weight in prunable_weights(network).items()}
    with pytest.raises(InputError, match="remove no whole channel"):
        cut_channels(network, whole, IMAGE)
    empty = whole | {"hidden": torch.zeros_like(whole["hidden"])}
    with pytest.raises(InputError, match="layer first keeps no channel"):
        cut_channels(network, empty, IMAGE)


def test_a_channel_that_a_layer_still_takes_in_stays_though_its_own_weights_are_pruned() -> None:
    """Its batch norm, or bias, still gives out a constant."""
    network = Flat()
    masks = masks_without(network, "first", "hidden")
    masks["hidden"][2, 3] = True
    with pytest.raises(InputError, match="remove no whole channel"):
        cut_channels(network, masks, IMAGE)


def test_layers_that_are_kept_dense_keep_their_channels_and_those_that_they_take_in() -> None:
    network = choose_prunable(built("chain"), keep_dense=["second"])
    with pytest.raises(InputError, match="no channel of this network can be removed"):
        find_channel_units(network, IMAGE)
