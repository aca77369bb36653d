"""What criteria that look at the loss share: a copy to score, the loss, and its gradient over all batches."""

import copy
from collections.abc import Iterable, Iterator
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.pruning.layers import prunable_weights


class BatchSource(Protocol):
    """Batches that can be gone through again and again: a list of them, or a training set.

    Each is ``(x, y)``: float32 images (N, channels, height, width), int64 labels (N,).
    """

    def __len__(self) -> int:
        """Return the number of batches."""

    def __iter__(self) -> Iterator[Batch]:
        """Begin anew; with a training set each pass is another epoch, shuffled and augmented."""


def require_batches(batches: BatchSource) -> None:
    """Raise :class:`InputError` if there is no batch."""
    if not len(batches):
        raise InputError("this criterion scores with data and was given none: name a data set.")


def copy_for_scoring(model: nn.Module, batches: BatchSource) -> tuple[nn.Module, dict[str, Tensor]]:
    """Return a copy in training mode and its prunable weights, which alone have gradients.

    Raises:
        InputError: no batch is given, or the model has nothing to prune.
    """
    require_batches(batches)
    scored = copy.deepcopy(model).train()
    return scored, only_weights_have_gradients(scored)


def only_weights_have_gradients(model: nn.Module) -> dict[str, Tensor]:
    """Return the prunable weights of ``model``, after switching off all other gradients in place."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    weights = prunable_weights(model)
    for weight in weights.values():
        weight.requires_grad_(True)
    return weights


def loss_of(model: nn.Module, batch: Batch, temperature: float = 1) -> Tensor:
    """Return the cross entropy of a batch, averaged over it, of logits divided by ``temperature``."""
    x, y = batch
    device = next(model.parameters()).device
    return functional.cross_entropy(model(x.to(device)) / temperature, y.to(device))


def summed_gradient(
    model: nn.Module, weights: dict[str, Tensor], batches: Iterable[Batch], temperature: float = 1
) -> list[Tensor]:
    """Return the gradient of the loss with respect to each weight, summed over the batches.

    A layer that the loss does not depend on has a gradient of 0.
    """
    total = [torch.zeros_like(weight) for weight in weights.values()]
    for batch in batches:
        loss = loss_of(model, batch, temperature)
        gradient = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
        torch._foreach_add_(total, list(gradient))
    return total


def halves_by_class(batch: Batch) -> list[Batch]:
    """Sort a batch by class and cut it in two; a batch of one image stays whole."""
    x, y = batch
    order = y.argsort(stable=True)
    x, y = x[order], y[order]
    middle = len(y) // 2
    return [part for part in ((x[:middle], y[:middle]), (x[middle:], y[middle:])) if len(part[1])]
