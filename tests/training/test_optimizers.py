"""Every optimizer and what goes with it, held against torch's own; of SGD as published, see test_optimizer."""

import functools
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel

from prunecheck.models import build_model
from prunecheck.pruning import Ticket, dense_ticket, prunable_weights
from prunecheck.pruning.tickets import copy_weights
from prunecheck.randomness import derive_seed
from prunecheck.training import Recipe
from prunecheck.training.loss import mixing_shares, training_loss
from prunecheck.training.network import DenseNetwork, TrainableNetwork
from prunecheck.training.optimizer import masked_optimizer, vectors
from prunecheck.training.sparse.network import SparseNetwork
from tests.training.test_optimizer import RATES, backward, half_masks, model, only_kept, twin

__all__ = ["model"]

Optimizer = Callable[[Any], torch.optim.Optimizer]

OF_TORCH: dict[str, tuple[Recipe, Optimizer]] = {
    "nesterov": (
        Recipe(momentum=0.8, weight_decay=0.05, nesterov=True),
        functools.partial(torch.optim.SGD, momentum=0.8, weight_decay=0.05, nesterov=True),
    ),
    "adam": (
        Recipe(optimizer="adam", momentum=0.85, beta2=0.99, epsilon=1e-6, weight_decay=0.05),
        functools.partial(torch.optim.Adam, betas=(0.85, 0.99), eps=1e-6, weight_decay=0.05),
    ),
    "adamw": (
        Recipe(optimizer="adamw", weight_decay=0.05),
        functools.partial(torch.optim.AdamW, weight_decay=0.05),
    ),
    "clipped": (
        Recipe(weight_decay=0.05, clip_norm=0.3),
        functools.partial(torch.optim.SGD, momentum=0.9, weight_decay=0.05),
    ),
    "on weights": (
        Recipe(optimizer="adamw", weight_decay=0.05, decayed="weights"),
        functools.partial(torch.optim.AdamW, weight_decay=0.05),
    ),
    "sgd on weights": (
        Recipe(weight_decay=0.05, decayed="weights"),
        functools.partial(torch.optim.SGD, momentum=0.9, weight_decay=0.05),
    ),
}


def groups(network: nn.Module, recipe: Recipe) -> Any:
    """Return the parameters as users of torch write it: no decay of what has one dimension."""
    if recipe.decayed == "all":
        return network.parameters()
    parameters = list(network.parameters())
    return [
        {"params": [one for one in parameters if one.ndim > 1]},
        {"params": [one for one in parameters if one.ndim == 1], "weight_decay": 0.0},
    ]


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("is_masked", [False, True])
@pytest.mark.parametrize("is_rate_recorded", [False, True])
@pytest.mark.parametrize("name", OF_TORCH)
def test_steps_are_those_of_torch(
    model: nn.Module, name: str, is_rate_recorded: bool, is_masked: bool, is_packed: bool
) -> None:
    recipe, make = OF_TORCH[name]
    packed = {of for of, _ in model.named_parameters() if is_packed and not of.startswith("fc")}
    reference, masks = twin(model), half_masks(model) if is_masked else {}
    for layer, mask in masks.items():
        weight = prunable_weights(reference)[layer]
        weight.data.mul_(mask)
        weight.register_hook(only_kept(mask))  # type: ignore[no-untyped-call]
    theirs, ours = make(groups(reference, recipe)), masked_optimizer(model, masks, recipe, packed=packed)
    for step, rate in enumerate(RATES):
        for parameter in packed:
            model.get_parameter(parameter).grad.zero_()  # type: ignore[union-attr]
        backward(model, step)
        ours.step(torch.tensor(rate, dtype=torch.float64) if is_rate_recorded else rate)
        backward(reference, step)
        if recipe.clip_norm:
            assert clip_grad_norm_(reference.parameters(), recipe.clip_norm) > recipe.clip_norm
        for group in theirs.param_groups:
            group["lr"] = rate
        theirs.step()
        theirs.zero_grad()
        torch.testing.assert_close(model.state_dict(), reference.state_dict(), rtol=1e-9, atol=1e-10)


RECIPES = {
    "nesterov": Recipe(nesterov=True, weight_decay=0.1, momentum=0.99),
    "adam": Recipe(optimizer="adam", weight_decay=0.1),
    "adamw": Recipe(optimizer="adamw", weight_decay=0.1, decayed="weights", clip_norm=0.1, weight_average=0.9),
}


@pytest.mark.parametrize("name", RECIPES)
def test_pruned_weights_and_all_of_their_state_are_0_after_every_step(model: nn.Module, name: str) -> None:
    masks, recipe = half_masks(model), RECIPES[name]
    network = DenseNetwork(Ticket(copy_weights(model), masks), model, recipe, "cpu", torch.contiguous_format)
    for step in range(4):
        network.train()
        backward(network.model, step)
        network.step(0.5)
        network.train(False)
        for layer, mask in masks.items():
            kept = [network.weights()[f"{layer}.weight"]]
            kept += [value for key, value in network.momentum().items() if key.split("/")[-1] == f"{layer}.weight"]
            assert len(kept) == {"nesterov": 2, "adam": 3, "adamw": 4}[name]
            for value in kept:
                assert not value[~mask].any()
                assert value[mask].any()


@pytest.mark.parametrize("name", RECIPES)
def test_what_goes_on_from_a_state_ends_the_same_bit_for_bit(model: nn.Module, name: str) -> None:
    ticket = Ticket(copy_weights(model), half_masks(model))

    def learn(network: DenseNetwork, steps: range) -> None:
        network.train()
        for step in steps:
            backward(network.model, step)
            network.step(RATES[step])
        network.train(False)

    whole, first, second = (
        DenseNetwork(ticket, model, RECIPES[name], "cpu", torch.contiguous_format) for _ in range(3)
    )
    learn(whole, range(3))
    learn(whole, range(3, 6))
    learn(first, range(3))
    second.load(first.weights(), first.momentum())
    learn(second, range(3, 6))
    for found, meant in ((second.weights(), whole.weights()), (second.momentum(), whole.momentum())):
        torch.testing.assert_close(found, meant, rtol=0, atol=0)


def test_normalisations_and_biases_are_told_from_weights(model: nn.Module) -> None:
    spared = vectors(model)
    assert {"bn1.weight", "bn1.bias", "fc.bias"} <= spared
    assert not spared & {f"{layer}.weight" for layer in prunable_weights(model)}


@pytest.mark.parametrize("name", RECIPES)
def test_kept_weights_alone_are_trained_as_all_weights_are(name: str) -> None:
    network = build_model("resnet8", 10, seed=1, width=4, input_channels=1)
    ticket = Ticket(copy_weights(network), half_masks(network))
    recipe = replace(RECIPES[name], epsilon=1e-3) if name != "nesterov" else RECIPES[name]
    dense: TrainableNetwork = DenseNetwork(ticket, network, recipe, "cpu", torch.contiguous_format)
    sparse: TrainableNetwork = SparseNetwork(ticket, network, recipe, (1, 8, 8), lambda module, mask, positions: True)
    source = torch.Generator().manual_seed(3)
    for _ in range(3):
        x, y = torch.randn(8, 1, 8, 8, generator=source), torch.randint(10, (8,), generator=source)
        for one in (dense, sparse):
            one.train()
            functional.cross_entropy(one(x), y).backward()  # type: ignore[no-untyped-call]
            one.step(0.01)
            one.train(False)
        torch.testing.assert_close(sparse.weights(), dense.weights(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(sparse.momentum(), dense.momentum(), rtol=1e-3, atol=1e-4)
    again: TrainableNetwork = SparseNetwork(ticket, network, recipe, (1, 8, 8), lambda module, mask, positions: True)
    again.load(sparse.weights(), sparse.momentum())
    torch.testing.assert_close(again.momentum(), sparse.momentum(), rtol=0, atol=0)


def test_the_average_is_that_of_torch_and_is_what_is_tested_and_kept(model: nn.Module) -> None:
    recipe = Recipe(weight_average=0.3)
    network = DenseNetwork(dense_ticket(model), model, recipe, "cpu", torch.contiguous_format)
    counts = itertools.count(1)

    def decayed(average: Tensor, own: Tensor, _: Any) -> Tensor:
        if not average.is_floating_point():
            return own
        decay = min(0.3, next(step) / (next(later) + 9))
        return average * decay + own * (1 - decay)

    theirs = AveragedModel(network.model, avg_fn=decayed, use_buffers=True)
    theirs.n_averaged += 1  # else the first weights would replace the average, and not be taken into it
    for number in range(5):
        count = next(counts)
        step, later = itertools.repeat(count), itertools.repeat(count)
        network.train()
        backward(network.model, number)
        network.step(0.1)
        own = copy_weights(network.model)
        theirs.update_parameters(network.model)
        network.train(False)
        averaged = {name: value for name, value in theirs.module.state_dict().items() if value.is_floating_point()}
        found = network.weights()
        torch.testing.assert_close({name: found[name] for name in averaged}, averaged, rtol=1e-12, atol=1e-12)
        assert any(not torch.equal(found[name], own[name]) for name in averaged)
        network.train()
        torch.testing.assert_close(copy_weights(network.model), own, rtol=0, atol=0)


def test_loss_is_torchs_and_mixes_images_as_it_mixes_labels() -> None:
    source = torch.Generator().manual_seed(0)
    x, y = torch.randn(6, 5, generator=source), torch.randint(4, (6,), generator=source)
    network = nn.Linear(5, 4)
    loss, logits = training_loss(network, x, y, 0.2)
    assert torch.equal(logits, network(x))
    assert torch.equal(loss, nn.CrossEntropyLoss(label_smoothing=0.2)(logits, y))
    loss, logits = training_loss(network, x, y, 0.0, 0.7)
    torch.testing.assert_close(logits, network(0.7 * x + 0.3 * x[[5, 4, 3, 2, 1, 0]]))
    shares = 0.7 * functional.one_hot(y, 4) + 0.3 * functional.one_hot(y[[5, 4, 3, 2, 1, 0]], 4)
    torch.testing.assert_close(loss, functional.cross_entropy(logits, shares))


def test_shares_of_mixtures_are_drawn_for_each_epoch_of_each_seed() -> None:
    drawn = mixing_shares(0.3, 1, 2, 1000)
    assert drawn == mixing_shares(0.3, 1, 2, 1000)
    assert drawn != mixing_shares(0.3, 1, 3, 1000)
    assert drawn != mixing_shares(0.3, 2, 2, 1000)
    assert all(0 <= share <= 1 for share in drawn)
    # Var of Beta(a, a) is 1 / (4 (2 a + 1)).
    assert torch.tensor(drawn).var().item() == pytest.approx(1 / (4 * 1.6), rel=0.1)
    assert derive_seed(1, "mixup", 2) != derive_seed(1, "augmentation", 2)
