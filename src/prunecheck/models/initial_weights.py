"""What a network that was built still lacks: the shapes of lazy layers, weights that it draws itself."""

import copy
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from prunecheck.data.inputs import blank_inputs, in_words
from prunecheck.errors import InputError
from prunecheck.randomness import generator
from prunecheck.user_code.failures import failure_named

DRAW_WEIGHTS = "draw_weights"
"""The method ``(generator: torch.Generator) -> None`` of a network that draws its initial weights itself."""


def ready_made(given: object) -> nn.Module | None:
    """Return the module that stands where a function that builds one was expected; None if none does."""
    item = inspect.unwrap(given) if callable(given) else given
    return item if isinstance(item, nn.Module) else None


def copies_of(network: nn.Module) -> Callable[[], nn.Module]:
    """Return a function that builds a ready-made network: a copy, which then draws weights of its own.

    Raises:
        InputError: it has no method ``draw_weights``, so that every seed would have the same initial weights.
    """
    if not draws_weights(network):
        raise InputError(
            f"this {type(network).__name__} is built already, and each seed draws initial weights of its own: give the "
            f"function or class that builds it, or give it a method {DRAW_WEIGHTS}(generator) that draws them."
        )

    def copied() -> nn.Module:
        return copy.deepcopy(network)

    return copied


def draws_weights(network: nn.Module) -> bool:
    """Say whether a network draws its initial weights itself."""
    return callable(getattr(network, DRAW_WEIGHTS, None))


def complete_network(network: nn.Module, name: str, seed: int, image_shape: tuple[int, ...] | None) -> None:
    """Give lazy layers their shapes, by a blank batch, and have a network draw its weights if it does that itself.

    Called while torch's generator is seeded, from which lazy layers draw.

    Args:
        network: as its constructor left it; changed in place.
        name: of the network, for errors.
        seed: of the generator that ``draw_weights`` is given.
        image_shape: channels, height and width; None if that is not known, which leaves lazy layers as they are.

    Raises:
        InputError: parameters or buffers are on another device than the CPU, or cannot be given a shape.
    """
    _require_on_cpu(network, name)
    if image_shape is not None and any(is_lazy(tensor) for tensor in _tensors(network)):
        _materialise(network, name, image_shape)
    draw: Any = getattr(network, DRAW_WEIGHTS, None)
    if callable(draw):
        with torch.no_grad():
            draw(generator(seed, "initial weights", DRAW_WEIGHTS))
        _require_on_cpu(network, name)


def _materialise(network: nn.Module, name: str, image_shape: tuple[int, ...]) -> None:
    modes = {module: module.training for module in network.modules()}
    network.eval()  # so that no statistics are taken of the blank batch
    blank = in_words(2, image_shape).removeprefix("2 ")
    what = f"{name} fails on two blank {blank}, which give its lazy layers their shapes"
    with failure_named(what), torch.no_grad():
        network(blank_inputs(2, image_shape))
    for module, training in modes.items():
        module.training = training
    lazy = [key for key, parameter in network.named_parameters() if is_lazy(parameter)]
    if lazy:
        raise InputError(
            f"{lazy[0]} of {name} is lazy, and has no shape after a batch has gone through: leave out the layer, which "
            "the network does not use."
        )


def _require_on_cpu(network: nn.Module, name: str) -> None:
    for key, tensor in (*network.named_parameters(), *network.named_buffers()):
        if tensor.device.type != "cpu":
            raise InputError(
                f"{key} of {name} is on the device {tensor.device}: have the network built on the CPU, from where it "
                "is moved to the device of the run."
            )


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    return [*network.parameters(), *network.buffers()]
