"""Stochastic gradient descent on a masked network, a few calls for all parameters together."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from prunecheck.pruning.layers import Masks, prunable_weights
from prunecheck.training.recipe import Recipe


class MaskedSGD:
    """SGD with momentum and weight decay that leaves pruned weights at exactly 0.

    The update is that of ``torch.optim.SGD``. A pruned weight is set to 0 once and gets no gradient,
    so that neither momentum nor weight decay can move it; a kept weight that passes through 0 stays
    kept.

    Args:
        model: trained in place; its pruned weights are set to 0.
        masks: by layer name, True = kept; empty for a dense network.
        recipe: momentum and weight decay.
    """

    def __init__(self, model: nn.Module, masks: Masks, recipe: Recipe) -> None:
        self._recipe = recipe
        named = dict(model.named_parameters())
        self._names = list(named)
        self._parameters: list[Tensor] = list(named.values())
        self._momentum = [torch.zeros_like(parameter) for parameter in self._parameters]
        weights = prunable_weights(model)
        self._pruned = [weights[layer] for layer in masks]
        # Of the memory format of the weights, which is that of the gradients.
        self._kept = [
            torch.empty_like(weight).copy_(mask) for weight, mask in zip(self._pruned, masks.values(), strict=True)
        ]
        with torch.no_grad():
            for weight, kept in zip(self._pruned, self._kept, strict=True):
                weight.masked_fill_(kept == 0, 0)

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Update the parameters that have a gradient, and drop the gradients."""
        _, gradients, kept = _with_gradient(self._pruned, self._kept)
        if kept:
            torch._foreach_mul_(gradients, kept)
        parameters, gradients, momentum = _with_gradient(self._parameters, self._momentum)
        torch._foreach_add_(gradients, parameters, alpha=self._recipe.weight_decay)
        torch._foreach_mul_(momentum, self._recipe.momentum)
        torch._foreach_add_(momentum, gradients)
        torch._foreach_add_(parameters, momentum, alpha=-learning_rate)
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def set_masks(self, masks: Masks) -> None:
        """Take over other masks of the same layers, in place: a captured step goes on with them.

        Weights and momentum of removed weights become 0, so that a grown weight starts with a momentum of 0; a weight
        that stays keeps its own.
        """
        of_parameter = {id(parameter): index for index, parameter in enumerate(self._parameters)}
        for weight, kept, mask in zip(self._pruned, self._kept, masks.values(), strict=True):
            kept.copy_(mask)
            for tensor in (weight, self._momentum[of_parameter[id(weight)]]):
                tensor.masked_fill_(kept == 0, 0)

    def momentum(self) -> dict[str, Tensor]:
        """Return a copy of the momentum buffers, by parameter name."""
        return {name: buffer.clone() for name, buffer in zip(self._names, self._momentum, strict=True)}

    def set_momentum(self, momentum: Mapping[str, Tensor]) -> None:
        """Take over the buffers that :meth:`momentum` returned."""
        for name, buffer in zip(self._names, self._momentum, strict=True):
            buffer.copy_(momentum[name])


def _with_gradient(tensors: list[Tensor], companions: list[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Return the tensors that have a gradient, their gradients and their companions."""
    found = [(tensor, tensor.grad, other) for tensor, other in zip(tensors, companions, strict=True)]
    trained = [(tensor, gradient, other) for tensor, gradient, other in found if gradient is not None]
    return [t for t, _, _ in trained], [g for _, g, _ in trained], [c for _, _, c in trained]
