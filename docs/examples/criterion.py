"""A criterion: how steeply the loss falls with each weight, whatever the weight is."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from prunecheck.pruning import prunable_weights, register_criterion


@register_criterion("gradient")
def gradient(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Absolute value of the gradient of the loss.

    Args:
        model: with the weights that are scored; it is left as it was.
        batches: of images, float32 (N, channels, height, width), and labels, int64 (N,).

    Returns:
        A score for each prunable weight, of its shape, by layer; larger means keep.
    """
    model = copy.deepcopy(model)
    weights = prunable_weights(model)
    total = torch.stack([cross_entropy(model(x), y) for x, y in batches]).sum()
    gradients = torch.autograd.grad(total, list(weights.values()))
    return {layer: gradient.abs() for layer, gradient in zip(weights, gradients, strict=True)}
