"""Which kept weights lie on a path from the input to the output, and which channels none leads through.

A weight on no such path is kept and yet pruned: the output does not depend on it (effective sparsity,
Vysogorets and Kempe, arXiv:2107.02306).
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.modules import activation
from torch.nn.modules.batchnorm import _NormBase
from torch.overrides import TorchFunctionMode

from prunecheck.pruning.layers import Masks, prunable_weights

NORMALISATIONS = (_NormBase, nn.GroupNorm, nn.LayerNorm)
"""Where what comes in decides what goes out, whether or not they have parameters."""

ACTIVATIONS = tuple(
    getattr(activation, name)
    for name in activation.__all__
    if name not in ("GLU", "MultiheadAttention", "Softmax", "Softmax2d", "Softmin", "LogSoftmax")
)
"""What treats each number by itself, and so neither makes nor breaks a path."""

SATURATING = frozenset(
    (
        *(functional.relu6, functional.hardtanh, functional.hardsigmoid, functional.softsign),
        *(torch.sigmoid, Tensor.sigmoid, torch.tanh, Tensor.tanh),
    )
)
"""Activations that networks call as functions and in which large counts would be lost."""


@dataclass(frozen=True)
class LayerConnectivity:
    """What is left of one layer.

    A channel (of a convolution; a unit, of a linear layer) is dead if no effective weight begins or
    ends there: none of its weights is kept, nothing reaches it, or it leads to nothing. It is empty
    if none of its weights is kept.

    Attributes:
        total: weights of the layer.
        kept: weights that the mask keeps.
        effective: weights that are kept and lie on a path from the input to the output.
        inputs: channels that the layer takes in.
        outputs: channels that it gives out.
    """

    total: int
    kept: int
    effective: int
    inputs: int
    outputs: int
    empty_inputs: int
    empty_outputs: int
    dead_inputs: int
    dead_outputs: int


def effective_masks(model: nn.Module, masks: Masks, image_shape: tuple[int, int, int]) -> Masks:
    """Return the masks without the weights that lie on no path of kept weights from the input to the output.

    Biases carry nothing of the input and make no path; normalisation and activations pass on what
    they get. A path leads from pixel to output: a kernel position that only ever meets the padding
    lies on none. These are the weights whose SynFlow saliency on an image of ones is not 0, by which
    Vysogorets and Kempe (arXiv:2107.02306, section 3) define effective sparsity.

    Args:
        model: whose weights the masks are for; it is left as it was.
        masks: True = kept, on the model's device.
        image_shape: channels, height and width of the input.

    Returns:
        Boolean masks of the same shapes, each a part of the given one.
    """
    counting = _counting_copy(model, masks)
    weights = prunable_weights(counting)
    for weight in weights.values():
        weight.requires_grad_(True)
    with torch.enable_grad():
        outputs = _count(counting, image_shape)
        if not outputs.requires_grad:
            return {layer: torch.zeros_like(mask) for layer, mask in masks.items()}
        gradients = torch.autograd.grad(outputs.sum(), list(weights.values()), materialize_grads=True)
    return {layer: masks[layer] & (gradient > 0) for layer, gradient in zip(weights, gradients, strict=True)}


def reached_outputs(model: nn.Module, masks: Masks, image_shape: tuple[int, int, int]) -> Tensor:
    """Return, per output of the network, whether a path of kept weights leads to it from any pixel."""
    with torch.no_grad():
        return _count(_counting_copy(model, masks), image_shape) > 0


def layer_connectivity(
    model: nn.Module, masks: Masks, image_shape: tuple[int, int, int]
) -> dict[str, LayerConnectivity]:
    """Return what is left of each layer, in order; see :func:`effective_masks` for the arguments."""
    modules = dict(model.named_modules())
    found = {}
    for layer, effective in effective_masks(model, masks, image_shape).items():
        groups = getattr(modules[layer], "groups", 1)
        used_inputs, used_outputs = _used_channels(masks[layer], groups)
        live_inputs, live_outputs = _used_channels(effective, groups)
        found[layer] = LayerConnectivity(
            total=effective.numel(),
            kept=int(masks[layer].sum()),
            effective=int(effective.sum()),
            inputs=len(live_inputs),
            outputs=len(live_outputs),
            empty_inputs=int((~used_inputs).sum()),
            empty_outputs=int((~used_outputs).sum()),
            dead_inputs=int((~live_inputs).sum()),
            dead_outputs=int((~live_outputs).sum()),
        )
    return found


def _used_channels(mask: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Return, per input and per output channel, whether a weight of the mask begins or ends there."""
    outputs, inputs_of_group = mask.shape[:2]
    by_group = mask.reshape(groups, outputs // groups, inputs_of_group, -1)
    return by_group.any(dim=3).any(dim=1).flatten(), mask.flatten(1).any(dim=1)


def _counting_copy(model: nn.Module, masks: Masks) -> nn.Module:
    """Return a copy that counts its own paths: prunable weights are 0 or 1, all others 1, biases 0.

    After each layer a count is cut down to reached or not, so that none overflows.
    """
    counting = copy.deepcopy(model).eval().requires_grad_(False)
    for name, parameter in counting.named_parameters():
        parameter.fill_(0 if name.rpartition(".")[2] == "bias" else 1)
    for layer, weight in prunable_weights(counting).items():
        weight.copy_(masks[layer])
    for module in counting.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(_reached)
        elif isinstance(module, NORMALISATIONS + ACTIVATIONS):
            module.forward = _pass_on
    return counting


def _count(counting: nn.Module, image_shape: tuple[int, int, int]) -> Tensor:
    """Return how much more each output gets from an image of ones than from one of zeros.

    What no pixel reaches is the same for both, whatever constants the network adds.
    """
    parameter = next(counting.parameters())
    image = torch.ones(1, *image_shape, device=parameter.device, dtype=parameter.dtype)
    with _NothingIsLost():
        outputs: Tensor = counting(torch.cat([image, torch.zeros_like(image)]))
    return outputs[0] - outputs[1]


def _reached(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
    cut: Tensor = _Cut.apply(output)  # type: ignore[no-untyped-call]
    return cut


def _pass_on(inputs: Tensor, *_: object, **__: object) -> Tensor:
    return inputs.clone()  # what follows may work in place, and the input be used elsewhere


class _Cut(torch.autograd.Function):
    """Cuts counts down to 0 and 1: forwards to reached or not, backwards to leading somewhere or not."""

    @staticmethod
    def forward(context: Any, counts: Tensor) -> Tensor:
        cut = torch.zeros_like(counts)
        cut[0] = counts[0] > counts[1]
        return cut

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> Tensor:
        leads_on = (gradient[0] > 0).to(gradient.dtype)
        return torch.stack([leads_on, -leads_on])


class _NothingIsLost(TorchFunctionMode):
    """Lets every pixel of a pooling window through, and counts of any size.

    Of equal pixels, the one that is taken would hide the others' paths. Dilated windows, which
    averages do not know, stay what they were.
    """

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        options = kwargs or {}
        if function in SATURATING:
            return _pass_on(*args)
        if function is functional.max_pool2d and options["dilation"] in (1, (1, 1)):
            pixels, size = args
            return functional.avg_pool2d(pixels, size, options["stride"], options["padding"], options["ceil_mode"])
        if function is functional.adaptive_max_pool2d:
            return functional.adaptive_avg_pool2d(*args)
        return function(*args, **options)
