"""What a network of a user's must keep to, beside returning logits, so that masks and seeds mean anything."""

import logging
import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from prunecheck.data.inputs import random_inputs
from prunecheck.errors import InputError, field_name
from prunecheck.pruning.copying import copy_network
from prunecheck.pruning.layers import prunable_weights
from prunecheck.pruning.logits import logits_of, plain_computation
from prunecheck.randomness import generator, seeded_global_generator

IMAGES = 3
"""So many random images are shown to it."""


def require_same_when_built_again(network: nn.Module, build: Callable[[], nn.Module], name: str) -> None:
    """See that a network has the same initial weights whenever it is built with the same seed.

    Args:
        network: as ``build`` made it.
        build: makes it again, with the same seed.
        name: of the network, for errors.

    Raises:
        InputError: it has not.
    """
    first, again = network.state_dict(), build().state_dict()
    if list(first) != list(again):
        raise InputError(
            f"{name} has other parameters when it is built with the same seed again: have it draw from torch's, "
            "numpy's or Python's own generator, which are seeded for it."
        )
    for key, value in first.items():
        if not _is_equal(value, again[key]):
            raise InputError(
                f"{key} of {name} is another when it is built with the same seed again: have it drawn by torch's, "
                "numpy's or Python's own generator, which are seeded for it, or by a method draw_weights(generator)."
            )


def warn_of_equal_seeds(network: nn.Module, other: nn.Module, name: str) -> None:
    """Say so if a network has the same initial weights whatever the seed: what is told of seeds is told of less.

    Args:
        network: as it was built.
        other: as it is built with another seed.
        name: of the network.
    """
    first, second = network.state_dict(), other.state_dict()
    if list(first) == list(second) and all(_is_equal(value, second[key]) for key, value in first.items()):
        logging.getLogger(__name__).warning(
            "%s has the same initial weights with every seed, so that runs of other seeds differ in the order of the "
            "data alone: let it draw them without seeding a generator itself, unless this is meant.",
            name,
        )


def require_masks_to_hold(network: nn.Module, image_shape: tuple[int, ...], name: str) -> None:
    """See that a network leaves its parameters alone when it runs, and that no prunable weight is without effect.

    Asked of a copy with other weights, so that nothing hides behind a factor that is 0 at first.

    Args:
        network: which returns logits; it is left as it was.
        image_shape: channels, height and width of an image.
        name: of the network, for errors.

    Raises:
        InputError: nothing of it is to be trained; its forward changes or replaces parameters; its output does not
            depend on a prunable weight.
    """
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise InputError(
            f"no parameter of {name} is to be trained, for all have requires_grad=False: leave that to those that are "
            "to stay as they are."
        )
    source = generator(0, "images to require of a network that masks hold")
    images = random_inputs(IMAGES, image_shape, source)
    copied = copy_network(network)
    with plain_computation():
        _draw_all(copied, source)
        before = {key: (parameter, parameter.detach().clone()) for key, parameter in copied.named_parameters()}
        for training in (True, False):  # what it does in its first forward alone it has done then
            _logits(copied.train(training), images, name)
        logits = _logits_in_each_mode(copied, images, name)
        _require_parameters_unchanged(copied, before, name)
        for layer, weight in _without_gradient(copied, logits):
            with torch.no_grad():
                kept = weight.clone()
                _draw(weight, source)
                again = _logits_in_each_mode(copied, images, name)
                weight.copy_(kept)
            if all(map(_is_equal, logits, again)):
                raise InputError(
                    f"the output of {name} does not depend on the weight of layer {layer}, so that no mask of it "
                    "changes anything, as where forward leaves the layer out or computes with a copy of its weight: "
                    f"compute with the weight itself, or name the layer in {field_name('keep_dense')}."
                )


def _logits_in_each_mode(network: nn.Module, images: Tensor, name: str) -> list[Tensor]:
    """Return the logits in evaluation and in training mode, with the same dropout each time; buffers are put back."""
    found = []
    buffers = {key: buffer.clone() for key, buffer in network.named_buffers()}
    for training in (False, True):
        found.append(_logits(network.train(training), images, name))
        for key, buffer in network.named_buffers():
            if key in buffers and buffer.shape == buffers[key].shape:
                buffer.data.copy_(buffers[key])
    return found


def _logits(network: nn.Module, images: Tensor, name: str) -> Tensor:
    with seeded_global_generator(0, "network whose masks are to hold"):
        return logits_of(network, images.clone(), name)


def _without_gradient(network: nn.Module, logits: Iterable[Tensor]) -> list[tuple[str, Tensor]]:
    """Return the prunable weights that have no gradient; what has one has an effect, and need not be tried."""
    weights = prunable_weights(network)
    has_gradient = dict.fromkeys(weights, False)
    for of_mode in logits:
        if of_mode.requires_grad:
            total = of_mode.flatten().softmax(0).square().sum()
            gradients = torch.autograd.grad(total, list(weights.values()), allow_unused=True)
            for layer, gradient in zip(weights, gradients, strict=True):
                has_gradient[layer] |= gradient is not None and bool(gradient.any())
    return [(layer, weight) for layer, weight in weights.items() if not has_gradient[layer]]


def _require_parameters_unchanged(
    network: nn.Module, before: dict[str, tuple[nn.Parameter, Tensor]], name: str
) -> None:
    after = dict(network.named_parameters())
    for key, (parameter, value) in before.items():
        if key not in after or after[key] is not parameter or not _is_equal(parameter, value):
            raise InputError(
                f"{name} changes its own parameter {key} in its forward, so that pruned weights need not stay 0: have "
                "it compute with a changed copy, or change it in no forward at all."
            )


@torch.no_grad()
def _draw_all(network: nn.Module, source: torch.Generator) -> None:
    for parameter in network.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
        _draw(parameter, source)


def _draw(parameter: Tensor, source: torch.Generator) -> None:
    """Draw weights of variance 1 / inputs, and biases and factors around 1, so that little is 0 behind them."""
    if parameter.is_floating_point():
        shape, dtype = parameter.shape, parameter.dtype
        if parameter.dim() > 1:
            drawn = torch.randn(shape, generator=source) / math.sqrt(max(1, parameter[0].numel()))
        else:
            drawn = 0.5 + torch.rand(shape, generator=source)
        parameter.copy_(drawn.to(dtype))


def _is_equal(first: Tensor, second: Tensor) -> bool:
    return (
        first.shape == second.shape
        and first.dtype == second.dtype
        and torch.allclose(first, second, rtol=0, atol=0, equal_nan=True)
    )
