from collections.abc import Callable

import pytest
import torch
from torch import nn

from prunecheck.models import build_model
from prunecheck.pruning import choose_prunable, networks_alike
from prunecheck.pruning.collapse import collapse_of_masks
from prunecheck.pruning.connectivity import Paths, paths_of
from prunecheck.pruning.layers import prunable_weights
from prunecheck.pruning.networks_alike import KEPT, found_once


@pytest.fixture(autouse=True)
def nothing_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks_alike, "_found", {})


def small(seed: int = 0, width: int = 4) -> nn.Module:
    return build_model("resnet8", 10, seed, width=width, input_channels=1)


def looks_at(*networks: nn.Module, what: str = "what") -> int:
    """Return at how many of the networks it is looked."""
    looks: list[nn.Module] = []
    for network in networks:

        def look(network: nn.Module = network) -> nn.Module:
            looks.append(network)
            return network

        found_once(network, what, look)
    return len(looks)


def test_one_of_networks_that_differ_in_their_weights_alone_is_looked_at() -> None:
    first, second = small(0), small(1)
    assert not torch.equal(first.get_parameter("conv1.weight"), second.get_parameter("conv1.weight"))
    assert looks_at(first, second) == 1
    assert looks_at(second, what="something else") == 1


class Own(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) if float(self.weight.sum()) > 0 else x


def with_hook(network: nn.Module) -> None:
    network.get_submodule("conv1").register_forward_hook(lambda *_: None)


def with_own_layer(network: nn.Module) -> None:
    network.layer1 = Own(4, 4, 3, padding=1)


def with_shared_weight(network: nn.Module) -> None:
    first, second = (network.get_submodule(f"layer1.0.conv{number}") for number in (1, 2))
    first.weight = second.weight


def with_shared_layer(network: nn.Module) -> None:
    block = network.get_submodule("layer1.0")
    block.conv1 = block.conv2


def with_own_forward(network: nn.Module) -> None:
    network.forward = lambda x: x.flatten(1)[:, :10]


def with_other_stride(network: nn.Module) -> None:
    network.get_submodule("conv1").stride = (2, 2)  # type: ignore[assignment]


def with_fixed_weight(network: nn.Module) -> None:
    network.get_parameter("conv1.weight").requires_grad_(False)


CHANGES: list[Callable[[nn.Module], object]] = [
    with_hook,
    with_own_layer,
    with_shared_weight,
    with_shared_layer,
    with_own_forward,
    with_other_stride,
    with_fixed_weight,
    lambda network: network.eval(),
    lambda network: network.get_submodule("bn1").eval(),
    lambda network: network.double(),
    lambda network: choose_prunable(network, keep_dense=["first"]),
    lambda network: network.get_submodule("conv1").register_buffer("note", torch.zeros(1)),
]


@pytest.mark.parametrize("change", CHANGES)
def test_networks_that_are_built_otherwise_are_looked_at(change: Callable[[nn.Module], object]) -> None:
    changed = small(1)
    change(changed)
    assert looks_at(small(0), changed) == 2


def test_whatever_cannot_be_compared_is_looked_at_each_time() -> None:
    for change in (with_hook, with_own_layer, with_own_forward):
        networks = small(0), small(0)
        for network in networks:
            change(network)
        assert looks_at(*networks, *networks) == 4
    large = build_model("resnet8", 10, width=64)
    assert looks_at(large, large) == 2


def test_what_is_raised_is_not_kept_and_neither_is_what_was_long_not_asked_for() -> None:
    network = small()

    def fail() -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        found_once(network, "what", fail)
    assert looks_at(network, network) == 1
    for number in range(KEPT):
        looks_at(network, what=str(number))
    assert looks_at(network) == 1
    assert looks_at(network) == 0
    assert len(networks_alike._found) == KEPT


def test_a_network_is_followed_once_and_each_mask_is_judged_by_itself() -> None:
    whole = {layer: torch.ones_like(weight, dtype=torch.bool) for layer, weight in prunable_weights(small()).items()}
    for seed, layer in enumerate(["conv1", "fc"]):
        network = small(seed)
        assert collapse_of_masks(network, whole, (1, 8, 8)) is None
        collapse = collapse_of_masks(network, whole | {layer: torch.zeros_like(whole[layer])}, (1, 8, 8))
        assert collapse is not None
        assert collapse.layer == layer
    assert len(networks_alike._found) == 1
    narrow = {layer: torch.ones_like(weight) > 0 for layer, weight in prunable_weights(small(width=2)).items()}
    assert collapse_of_masks(small(width=2), narrow | {"fc": ~narrow["fc"]}, (1, 8, 8)) is not None


@pytest.mark.parametrize("name", ["resnet8", "vgg11_bn", "vgg11", "mobilenetv2", "wrn10", "resnet18", "tiny_vgg11_bn"])
def test_paths_of_a_network_are_those_that_were_found_in_another_of_its_kind(name: str) -> None:
    first, second = (build_model(name, 10, seed, width=4, image_size=(32, 32)) for seed in (0, 1))
    source = torch.Generator().manual_seed(0)
    masks = {
        layer: torch.rand(weight.shape, generator=source) < 0.1 for layer, weight in prunable_weights(second).items()
    }
    paths_of(first, (3, 32, 32))
    found, alone = (
        paths.effective_masks(masks) for paths in (paths_of(second, (3, 32, 32)), Paths(second, (3, 32, 32)))
    )
    assert len(networks_alike._found) == 1
    assert found is not None
    assert alone is not None
    assert all(torch.equal(found[layer], alone[layer]) for layer in masks)
    assert any(not torch.equal(found[layer], masks[layer]) for layer in masks)
