from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.models import build_model
from prunecheck.pruning import prunable_weights
from prunecheck.pruning.layers import Masks
from prunecheck.training import Recipe
from prunecheck.training.optimizer import MaskedSGD

RATES = (0.1, 0.1, 0.02, 0.3, 0.3, 0.001)
"""Of the steps; they change, as those of a schedule do."""

RECIPE = Recipe(momentum=0.9, weight_decay=0.05)


@pytest.fixture
def model() -> nn.Module:
    """A network in double precision."""
    return build_model("resnet8", 10, seed=1, width=2, input_channels=1).double()


def half_masks(model: nn.Module) -> Masks:
    source = torch.Generator().manual_seed(5)
    return {
        layer: torch.rand(weight.shape, generator=source) < 0.5 for layer, weight in prunable_weights(model).items()
    }


def backward(model: nn.Module, step: int) -> None:
    source = torch.Generator().manual_seed(100 + step)
    x = torch.randn(8, 1, 8, 8, generator=source, dtype=torch.float64)
    y = torch.randint(10, (8,), generator=source)
    functional.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]


def twin(model: nn.Module) -> nn.Module:
    other = build_model("resnet8", 10, seed=2, width=2, input_channels=1).double()
    other.load_state_dict(model.state_dict())
    return other


def only_kept(mask: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda gradient: gradient * mask


def assert_steps_equal_those_of_torch(model: nn.Module, reference: nn.Module, masks: Masks) -> None:
    sgd = torch.optim.SGD(reference.parameters(), momentum=RECIPE.momentum, weight_decay=RECIPE.weight_decay)
    descent = MaskedSGD(model, masks, RECIPE)
    for step, rate in enumerate(RATES):
        backward(model, step)
        descent.step(rate)
        backward(reference, step)
        sgd.param_groups[0]["lr"] = rate
        sgd.step()
        sgd.zero_grad()
        torch.testing.assert_close(model.state_dict(), reference.state_dict(), rtol=0, atol=1e-12)
    expected = {name: sgd.state[parameter]["momentum_buffer"] for name, parameter in reference.named_parameters()}
    torch.testing.assert_close(descent.state(), expected, rtol=0, atol=1e-12)


def test_dense_steps_are_those_of_torch_sgd(model: nn.Module) -> None:
    assert_steps_equal_those_of_torch(model, twin(model), {})


def test_masked_steps_are_those_of_torch_sgd_on_masked_gradients(model: nn.Module) -> None:
    reference, masks = twin(model), half_masks(model)
    for layer, weight in prunable_weights(reference).items():
        weight.data.mul_(masks[layer])
        weight.register_hook(only_kept(masks[layer]))  # type: ignore[no-untyped-call]
    assert_steps_equal_those_of_torch(model, reference, masks)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_pruned_weights_are_0_after_every_step_and_kept_ones_move(
    model: nn.Module, memory_format: torch.memory_format
) -> None:
    model.to(memory_format=memory_format)  # type: ignore[call-overload]
    masks = half_masks(model)
    before = {layer: weight.detach().clone() for layer, weight in prunable_weights(model).items()}
    descent = MaskedSGD(model, masks, Recipe(momentum=0.999, weight_decay=0.1))
    for step in range(6):
        backward(model, step)
        descent.step(0.5)
        for layer, weight in prunable_weights(model).items():
            assert not weight[~masks[layer]].any()
    for layer, weight in prunable_weights(model).items():
        assert (weight != before[layer])[masks[layer]].all()


def test_pruned_weights_are_0_from_the_start(model: nn.Module) -> None:
    masks = half_masks(model)
    before = {layer: weight.detach().clone() for layer, weight in prunable_weights(model).items()}
    MaskedSGD(model, masks, RECIPE)
    for layer, weight in prunable_weights(model).items():
        assert torch.equal(weight, before[layer].where(masks[layer], torch.zeros(())))


def test_masks_may_name_some_layers_only(model: nn.Module) -> None:
    masks = {"fc": torch.zeros(10, 8, dtype=torch.bool)}
    descent = MaskedSGD(model, masks, RECIPE)
    backward(model, 0)
    descent.step(0.1)
    assert not prunable_weights(model)["fc"].any()
    assert prunable_weights(model)["conv1"].all()


def test_a_kept_weight_that_starts_at_exactly_0_is_trained(model: nn.Module) -> None:
    with torch.no_grad():
        for weight in prunable_weights(model).values():
            weight.flatten()[0] = 0
    masks = half_masks(model)
    for mask in masks.values():
        mask.flatten()[0] = True
    descent = MaskedSGD(model, masks, RECIPE)
    backward(model, 0)
    descent.step(0.1)
    assert all(weight.flatten()[0] != 0 for weight in prunable_weights(model).values())


def test_a_kept_weight_that_is_set_to_exactly_0_stays_trainable(model: nn.Module) -> None:
    masks = {layer: torch.ones_like(mask) for layer, mask in half_masks(model).items()}
    descent = MaskedSGD(model, masks, Recipe(momentum=0.0))  # nothing but its gradient can move it
    backward(model, 0)
    descent.step(0.1)
    with torch.no_grad():
        for weight in prunable_weights(model).values():
            weight.flatten()[0] = 0
    backward(model, 1)
    descent.step(0.1)
    assert all(weight.flatten()[0] != 0 for weight in prunable_weights(model).values())


def test_parameters_without_a_gradient_stay_as_with_torch_sgd() -> None:
    source = torch.Generator().manual_seed(0)
    models = [
        nn.ModuleDict({name: nn.Linear(3, 2, device="meta") for name in ("used", "unused")}).to_empty(device="cpu")
        for _ in range(2)
    ]
    start = {name: torch.randn(p.shape, generator=source).double() for name, p in models[0].named_parameters()}
    masks = {"used": torch.tensor([[True, False, True]] * 2), "unused": torch.tensor([[False, True, True]] * 2)}
    x = torch.randn(4, 3, generator=source, dtype=torch.float64)
    for model in models:
        model.double().load_state_dict(start)
        model["used"].bias.requires_grad_(False)
        for layer, mask in masks.items():
            prunable_weights(model)[layer].data.mul_(mask)
    prunable_weights(models[1])["used"].register_hook(only_kept(masks["used"]))  # type: ignore[no-untyped-call]
    descent = MaskedSGD(models[0], masks, RECIPE)
    sgd = torch.optim.SGD(models[1].parameters(), 0.1, momentum=0.9, weight_decay=0.05)
    for _ in range(3):
        for model in models:
            (model["used"](x) ** 2).sum().backward()
        descent.step(0.1)
        sgd.step()
        sgd.zero_grad()
    torch.testing.assert_close(models[0].state_dict(), models[1].state_dict(), rtol=0, atol=1e-12)


def test_gradients_are_dropped_with_the_step(model: nn.Module) -> None:
    descent = MaskedSGD(model, half_masks(model), RECIPE)
    backward(model, 0)
    descent.step(0.1)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_momentum_can_be_taken_out_and_handed_to_another(model: nn.Module) -> None:
    masks = half_masks(model)
    first = MaskedSGD(model, masks, RECIPE)
    backward(model, 0)
    first.step(0.1)
    taken, other = first.state(), twin(model)
    kept_aside = {name: buffer.clone() for name, buffer in taken.items()}
    second = MaskedSGD(other, masks, RECIPE)
    second.set_state(taken)
    for descent, network in ((first, model), (second, other)):
        backward(network, 1)
        descent.step(0.1)
    torch.testing.assert_close(model.state_dict(), other.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(taken, kept_aside, rtol=0, atol=0)
