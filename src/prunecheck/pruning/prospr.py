"""ProsPr: a criterion that looks at the loss after a few steps of training, and back through them at the weights."""

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.pruning.criteria import register_criterion
from prunecheck.pruning.given_parameters import WithParameters
from prunecheck.pruning.layers import Scores, weight_name
from prunecheck.pruning.scoring import BatchSource, copy_for_scoring, loss_of, second_gradient

LEARNING_RATE = 0.1
"""Of the steps of gradient descent that are looked through; they have no momentum, as published by default."""


@register_criterion("prospr", argument="steps", new_samples=True)
def prospr(model: nn.Module, batches: BatchSource, *, steps: int = 3) -> Scores:
    """Sensitivity of the loss after 3 steps of training: weight times gradient through all of them.

    ProsPr (Alizadeh et al., ICLR 2022, arXiv:2202.08132, algorithm 1): |mask x gradient| of the loss after the steps,
    with respect to a mask of ones on the initial weights, in full: the gradient goes through every step of gradient
    descent, at a rate of 0.1, of all parameters that are trained. Each step sees a batch of its own and the loss at
    the end the one after it, in training mode. Without any step it would be SNIP.

    Args:
        model: with its weights; it is left as it was.
        batches: of images and labels; once they have all been seen, another pass over them begins, which in the
            method draws other samples. One list of batches shows the same again.
        steps: at least 1.

    Raises:
        InputError: no batch, no step, or an operation of the network has no second derivative in torch.
    """
    if steps < 1:
        raise InputError(f"prospr needs at least 1 step, not {steps}.")
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    network, weights = copy_for_scoring(model, batches)
    parameters = {
        name: parameter.detach().requires_grad_(name in trained) for name, parameter in network.named_parameters()
    }
    initial = {layer: parameters[weight_name(layer)].requires_grad_() for layer in weights}
    *seen, last = itertools.islice(_again_and_again(batches), steps + 1)
    for batch in seen:
        parameters = _stepped(network, parameters, trained, batch)
    loss = loss_of(WithParameters(network, parameters), last)
    gradient = second_gradient(loss, initial, "prospr")
    return {layer: (weight.detach() * g).abs() for (layer, weight), g in zip(initial.items(), gradient, strict=True)}


def _again_and_again(batches: BatchSource) -> Iterator[Batch]:
    while True:
        yield from batches


def _stepped(network: nn.Module, parameters: dict[str, Tensor], trained: set[str], batch: Batch) -> dict[str, Tensor]:
    """Return the parameters after one step of gradient descent, which gradients lead back through."""
    moved = {name: value for name, value in parameters.items() if name in trained}
    if not moved:
        return parameters
    loss = loss_of(WithParameters(network, parameters), batch)
    gradient = torch.autograd.grad(loss, list(moved.values()), create_graph=True, materialize_grads=True)
    return parameters | {
        name: value - LEARNING_RATE * slope for (name, value), slope in zip(moved.items(), gradient, strict=True)
    }
