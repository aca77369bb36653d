"""Degenerate tickets: found when the mask is made, and carried along as a result."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from prunecheck.pruning.layers import Masks, Scores, prunable_weights

NORMALISATIONS = (_NormBase, nn.GroupNorm, nn.LayerNorm)
"""Where what comes in decides what goes out, whether or not they have parameters."""

NOT_FINITE = "scores that are not finite"


@dataclass(frozen=True)
class Collapse:
    """Why a ticket cannot be judged, and the layer where it shows."""

    layer: str
    reason: str

    def __str__(self) -> str:
        return f"{self.layer}: {self.reason}"


def collapse_of_scores(scores: Scores, masks: Masks) -> Collapse | None:
    """Return the first layer whose scores cannot choose: not finite, or cut though all equal.

    Args:
        scores: what the criterion returned.
        masks: what was kept by it.
    """
    for layer, score in scores.items():
        if not bool(score.isfinite().all()):
            return Collapse(layer, NOT_FINITE)
    for layer, score in scores.items():
        mask = masks[layer]
        is_cut = bool(mask.any()) and not bool(mask.all())
        if is_cut and bool((score == score.flatten()[0]).all()):
            return Collapse(layer, "scores that are all equal, so that the choice is arbitrary")
    return None


def collapse_of_masks(model: nn.Module, masks: Masks, image_shape: tuple[int, int, int]) -> Collapse | None:
    """Return the first layer with nothing left, or the last one if no kept path leads through the network.

    Args:
        model: whose weights the masks are for; it is left as it was.
        masks: True = kept.
        image_shape: channels, height and width of the input.
    """
    for layer, mask in masks.items():
        if not bool(mask.any()):
            return Collapse(layer, "no weight is left")
    if not bool(_reached_outputs(model, masks, image_shape).any()):
        return Collapse(list(masks)[-1], "no path of kept weights leads from the input to the output")
    return None


def _reached_outputs(model: nn.Module, masks: Masks, image_shape: tuple[int, int, int]) -> Tensor:
    """Return, per output, whether a path of kept weights leads to it from any pixel.

    The network counts its own paths: prunable weights are 0 or 1, all others 1, biases 0,
    normalisation passes on what it gets, and after each layer a count is cut down to reached or
    not, so that none overflows.
    """
    counting = copy.deepcopy(model).eval()
    device = next(counting.parameters()).device
    weights = prunable_weights(counting)
    with torch.no_grad():
        for name, parameter in counting.named_parameters():
            parameter.fill_(0 if name.rpartition(".")[2] == "bias" else 1)
        for layer, weight in weights.items():
            weight.copy_(masks[layer])
        for module in counting.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(_reached)
            elif isinstance(module, NORMALISATIONS):
                module.register_forward_hook(_passed_on)
        outputs: Tensor = counting(torch.ones(1, *image_shape, device=device))
    return outputs[0] > 0


def _passed_on(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return inputs[0]


def _reached(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
    return (output > 0).to(output.dtype)
