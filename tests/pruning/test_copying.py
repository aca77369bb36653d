import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning.copying import copy_network
from prunecheck.pruning.networks_alike import is_plain
from tests.pruning.zoo import PRUNABLE


def small() -> nn.Module:
    network = build_model("resnet8", 10, width=4, input_channels=1)
    network.get_submodule("layer2").eval()
    network.get_parameter("fc.bias").requires_grad_(False)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def sequence(change: Callable[[nn.Sequential], object] = lambda _: None) -> nn.Sequential:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10))
    change(network)
    return network


def with_one_layer_twice(network: nn.Sequential) -> None:
    network.append(nn.Linear(10, 10)).append(network[-1])


def with_one_weight_twice(network: nn.Sequential) -> None:
    network.append(nn.Linear(10, 10)).append(nn.Linear(10, 10))
    network[-1].weight = network[-2].weight


def with_one_buffer_twice(network: nn.Sequential) -> None:
    numbers = torch.arange(6.0)
    network.register_buffer("numbers", numbers)
    network[0].register_buffer("numbers", numbers)


def with_views(network: nn.Sequential) -> None:
    numbers = torch.arange(6.0)
    network.register_buffer("first", numbers[:3])
    network.register_buffer("all", numbers)


def with_two_views_of_the_whole(network: nn.Sequential) -> None:
    numbers = torch.arange(6.0)
    network.register_buffer("row", numbers)
    network.register_buffer("table", numbers.view(2, 3))


def with_expanded(network: nn.Sequential) -> None:
    network.register_buffer("wide", torch.ones(1).expand(5))


def nothing_else(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
    return output


def with_nothing_in_it(network: nn.Sequential) -> None:
    network.append(nn.Sequential()).append(nn.ModuleList())
    network.register_module("none", None)


class Marked(nn.Parameter):
    """Is its own copy."""

    def __deepcopy__(self, memo: object) -> "Marked":
        return self


class Settings(dict[str, int]):
    """A container of a user's."""


def with_own_parameter(network: nn.Sequential) -> None:
    network[0].weight = Marked(torch.ones(4, 1, 3, 3))


def with_own_container(network: nn.Sequential) -> None:
    network.settings = Settings()  # type: ignore[assignment]


def with_containers_within(network: nn.Sequential) -> None:
    network.settings = ({}, [])  # type: ignore[assignment]


def with_remark_on_buffer(network: nn.Sequential) -> None:
    numbers = torch.arange(6.0)
    numbers.remark = ["mine"]  # type: ignore[attr-defined]
    network.register_buffer("numbers", numbers)


def with_hook(network: nn.Sequential) -> None:
    network.register_forward_hook(nothing_else)


CHANGES = (
    with_one_layer_twice,
    with_one_weight_twice,
    with_one_buffer_twice,
    with_views,
    with_two_views_of_the_whole,
    with_expanded,
    with_nothing_in_it,
    with_remark_on_buffer,
)

NOT_PLAIN = (with_hook, with_own_container, with_containers_within)

ALL = {"small": small} | {change.__name__: lambda change=change: sequence(change) for change in (*CHANGES, *NOT_PLAIN)}


def tensors_of(network: nn.Module) -> list[tuple[str, Tensor | None]]:
    """Return all tensors, those that are held twice as well, and None where a module might hold one."""
    return [
        (f"{name}/{key}", tensor)
        for name, module in network.named_modules(remove_duplicate=False)
        for key, tensor in (*module._parameters.items(), *module._buffers.items())
    ]


def attributes_of(network: nn.Module) -> list[tuple[str, type, dict[str, object]]]:
    left_out = ("_parameters", "_buffers", "_modules")
    return [
        (name, type(module), {key: value for key, value in vars(module).items() if key not in left_out})
        for name, module in network.named_modules(remove_duplicate=False)
    ]


def same_modules(network: nn.Module) -> list[list[int]]:
    """Return per module which others are the same object."""
    found = [module for _, module in network.named_modules(remove_duplicate=False)]
    return [[at for at, other in enumerate(found) if other is module] for module in found]


def shared(network: nn.Module) -> list[list[int]]:
    """Return per tensor which others are the same object, or lie in the same memory."""
    found = [tensor for _, tensor in tensors_of(network) if tensor is not None]
    places = [tensor.untyped_storage().data_ptr() for tensor in found]
    return [
        [at for at, other in enumerate(found) if other is tensor or places[at] == place]
        for tensor, place in zip(found, places, strict=True)
    ]


@pytest.mark.parametrize("name", ALL)
def test_a_copy_is_what_a_deep_copy_is(name: str) -> None:
    network = ALL[name]()
    copied, expected = copy_network(network), copy.deepcopy(network)
    if name != "with_hook":  # of which a copy is another object
        assert [type(value) for value in vars(copied).values()] == [type(value) for value in vars(network).values()]
        assert attributes_of(copied) == attributes_of(expected) == attributes_of(network)
    for (key, tensor), (other_key, other) in zip(tensors_of(copied), tensors_of(expected), strict=True):
        assert key == other_key
        assert type(tensor) is type(other)
        if tensor is not None and other is not None:
            assert torch.equal(tensor, other) and tensor.stride() == other.stride() and tensor.dtype == other.dtype
            assert tensor.requires_grad == other.requires_grad and tensor.grad is None
            assert vars(tensor) == vars(other)
    assert shared(copied) == shared(expected) == shared(network)
    assert same_modules(copied) == same_modules(expected) == same_modules(network)
    own = {id(module) for module in network.modules()}
    assert not own & {id(module) for module in copied.modules()}
    before = copy.deepcopy(network.state_dict())
    for _, tensor in tensors_of(copied):
        if tensor is not None and not (name == "with_expanded" and tensor.shape == (5,)):
            tensor.detach().zero_()
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)


def test_what_a_copy_holds_besides_is_its_own() -> None:
    network = small()
    copied = copy_network(network)
    copied.get_submodule("conv1").register_forward_hook(lambda *_: None)
    copied.train()
    copied.extra = nn.Linear(1, 1)
    assert not network.get_submodule("conv1")._forward_hooks
    assert not network.get_submodule("layer2").training
    assert not hasattr(network, "extra")


def test_networks_of_users_and_those_with_hooks_are_copied_as_they_say() -> None:
    plain = [name for name, build in ALL.items() if is_plain(build())]
    assert plain == [name for name in ALL if name not in {change.__name__ for change in NOT_PLAIN}]
    assert not is_plain(PRUNABLE["convolutional"]())


def test_a_parameter_that_is_its_own_copy_is_refused() -> None:
    with pytest.raises(InputError, match=r"shares 0\.weight with it"):
        copy_network(sequence(with_own_parameter))


def test_what_containers_within_a_tuple_hold_is_the_copys_own() -> None:
    network = sequence(with_containers_within)
    copied = copy_network(network)
    copied.settings[1].append(1)  # type: ignore[union-attr, index]
    assert network.settings == ({}, [])


def test_a_hook_on_all_modules_makes_no_network_plain() -> None:
    hook = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert not is_plain(small())
    finally:
        hook.remove()
    assert is_plain(small())


def test_a_copy_of_what_was_made_under_inference_mode_can_be_trained() -> None:
    with torch.inference_mode():
        network = sequence()
    copied = copy_network(network)
    assert not any(tensor.is_inference() for _, tensor in tensors_of(copied) if tensor is not None)
    loss = copied(torch.ones(2, 1, 8, 8)).sum()
    loss.backward()
    assert copied.get_parameter("0.weight").grad is not None
