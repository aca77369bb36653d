"""Parameters in one vector are the same parameters, and leave what lies between them at 0."""

import pytest
import torch
from torch import nn

from prunecheck.training import Recipe
from prunecheck.training.optimizer import masked_optimizer
from prunecheck.training.packing import ALIGNMENT, PackedParameters


def make() -> nn.Module:
    made = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Conv2d(5, 2, 1, bias=False), nn.Linear(7, 3))
    return made.double()


@pytest.fixture
def model() -> nn.Module:
    made = make()
    made.get_submodule("0").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return made


def test_they_keep_shapes_formats_and_values_and_may_be_loaded_in_place(model: nn.Module) -> None:
    before = {name: (parameter, parameter.detach().clone()) for name, parameter in model.named_parameters()}
    pack = PackedParameters({name: parameter for name, (parameter, _) in before.items()})
    for name, (parameter, value) in before.items():
        assert model.get_parameter(name) is parameter
        assert torch.equal(parameter, value) and parameter.stride() == value.stride()
        assert parameter.data_ptr() % ALIGNMENT == 0
    model.load_state_dict({name: value + 1 for name, value in model.state_dict().items()})
    for name, view in pack.views(pack.vector).items():
        assert torch.equal(view, before[name][1] + 1)


def test_gradients_are_accumulated_into_the_vectors_own(model: nn.Module) -> None:
    pack = PackedParameters(dict(model.named_parameters()))
    sum((place + 1) * parameter.sum() for place, parameter in enumerate(model.parameters())).backward()  # type: ignore[union-attr]
    assert pack.vector.grad is not None
    for place, gradient in enumerate(pack.views(pack.vector.grad).values()):
        assert (gradient == place + 1).all()
    numbers = sum((place + 1) * parameter.numel() for place, parameter in enumerate(model.parameters()))
    assert pack.vector.grad.sum() == numbers  # nothing lies between


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("decayed", ["all", "weights"])
def test_steps_leave_0_between_and_states_are_exchanged_with_parameters_that_lie_alone(
    model: nn.Module, optimizer: str, decayed: str
) -> None:
    recipe = Recipe(optimizer=optimizer, decayed=decayed, weight_decay=0.1)
    twin = make()
    twin.load_state_dict(model.state_dict())
    masks = {"0": torch.rand(5, 3, 3, 3, generator=torch.Generator().manual_seed(0)) < 0.5}
    packed = masked_optimizer(model, masks, recipe, packed=[name for name, _ in model.named_parameters()])
    alone = masked_optimizer(twin, masks, recipe)
    for step in range(3):
        if step == 2:  # with other masks and each other's state
            masks = {"0": ~masks["0"]}
            states = packed.state(), alone.state()
            assert list(states[0]) == list(states[1])
            packed.set_state(states[1])
            alone.set_state(states[0])
            packed.set_masks(masks)
            alone.set_masks(masks)
        for name, parameter in twin.named_parameters():
            gradient = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(step)).double()
            parameter.grad = gradient
            model.get_parameter(name).grad.copy_(gradient)  # type: ignore[union-attr]
        packed.step(0.1)
        alone.step(0.1)
    assert all(torch.equal(value, twin.state_dict()[name]) for name, value in model.state_dict().items())
    used = {parameter.untyped_storage().data_ptr(): parameter for parameter in model.parameters()}
    assert len(used) == (1 if decayed == "all" else 2)
    for parameter in used.values():
        vector = torch.empty(0, dtype=torch.float64).set_(parameter.untyped_storage())
        inside = [p for p in model.parameters() if p.untyped_storage().data_ptr() == vector.data_ptr()]
        assert vector.abs().sum() == pytest.approx(sum(float(p.detach().abs().sum()) for p in inside))
