"""Criteria: what each prunable weight is worth. Larger means keep.

A criterion is a function ``(model, batches) -> {layer name: score}`` with scores of the weights'
shapes; one that takes ``generator`` too is given the run's generator for mask placement.
``batches`` is a list of ``(x, y)``: float32 images (N, channels, height, width), int64 labels (N,).
"""

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.pruning.layers import Scores, prunable_weights
from prunecheck.registry import Registry, first_line

GRASP_TEMPERATURE = 200
"""The logits are divided by it, as in the code published with GraSP."""


@dataclass(frozen=True)
class Criterion:
    """A scoring function and what it is given.

    Attributes:
        sees_data: whether it looks at the batches; one that does not cannot be changed by a
            corruption of the data.
    """

    name: str
    function: Callable[..., Scores]
    sees_data: bool

    def __call__(self, model: nn.Module, batches: Sequence[Batch], generator: torch.Generator) -> Scores:
        """Score the model's weights."""
        if "generator" in inspect.signature(self.function).parameters:
            return self.function(model, batches, generator=generator)
        return self.function(model, batches)


CRITERIA: Registry[Criterion] = Registry("criterion", "prunecheck.criteria")


def register_criterion(name: str, sees_data: bool = True) -> Callable[[Callable[..., Scores]], Callable[..., Scores]]:
    """Register a scoring function under ``name``."""

    def decorate(function: Callable[..., Scores]) -> Callable[..., Scores]:
        CRITERIA.add(name, Criterion(name, function, sees_data), first_line(function))
        return function

    return decorate


@register_criterion("magnitude", sees_data=False)
def magnitude(model: nn.Module, batches: Sequence[Batch] = ()) -> Scores:
    """Absolute value of the weight."""
    return {name: weight.detach().abs() for name, weight in prunable_weights(model).items()}


@register_criterion("random", sees_data=False)
def random_scores(model: nn.Module, batches: Sequence[Batch] = (), *, generator: torch.Generator) -> Scores:
    """A uniform random number, drawn on the CPU."""
    return {
        name: torch.rand(weight.shape, generator=generator, dtype=torch.float64).to(weight.device)
        for name, weight in prunable_weights(model).items()
    }


@register_criterion("snip")
def snip(model: nn.Module, batches: Sequence[Batch]) -> Scores:
    """Connection sensitivity: absolute value of weight times gradient of the loss.

    SNIP (Lee et al., ICLR 2019, arXiv:1810.02340, equation 4, up to normalisation). Gradients are
    summed over the batches, in training mode, on a copy: the model is left as it was.

    Raises:
        InputError: no batch is given.
    """
    scored, weights = _copy_for_scoring(model, batches)
    gradient = _summed_gradient(scored, weights, batches, temperature=1)
    return {name: (weight.detach() * g).abs() for (name, weight), g in zip(weights.items(), gradient, strict=True)}


@register_criterion("grasp")
def grasp(model: nn.Module, batches: Sequence[Batch]) -> Scores:
    """Gradient flow: weight times Hessian-gradient product of the loss.

    GraSP (Wang et al., ICLR 2020, arXiv:2002.07376, equation 8, with the sign turned so that larger
    means keep). As in the published code each batch is sorted by class and fed as two halves, the
    logits are divided by 200, the gradient is summed over all halves first, and the
    Hessian-gradient products are summed after; in training mode, on a copy. Unlike there the linear
    layer keeps its weights for the scoring.

    Raises:
        InputError: no batch is given.
    """
    scored, weights = _copy_for_scoring(model, batches)
    parts = [part for batch in batches for part in _halves_by_class(batch)]
    gradient = _summed_gradient(scored, weights, parts, GRASP_TEMPERATURE)
    products = [torch.zeros_like(weight) for weight in weights.values()]
    for part in parts:
        loss = _loss(scored, part, GRASP_TEMPERATURE)
        first = torch.autograd.grad(loss, list(weights.values()), create_graph=True, materialize_grads=True)
        flow = torch.stack([(g * f).sum() for g, f in zip(gradient, first, strict=True)]).sum()
        # A layer that the loss does not depend on, or only linearly, has derivatives of 0.
        second = torch.autograd.grad(flow, list(weights.values()), materialize_grads=True)
        torch._foreach_add_(products, list(second))
    return {name: weight.detach() * h for (name, weight), h in zip(weights.items(), products, strict=True)}


def _copy_for_scoring(model: nn.Module, batches: Sequence[Batch]) -> tuple[nn.Module, dict[str, Tensor]]:
    if not batches:
        raise InputError("this criterion scores with data and was given none: name a data set.")
    scored = copy.deepcopy(model).train()
    for parameter in scored.parameters():
        parameter.requires_grad_(False)
    weights = prunable_weights(scored)
    for weight in weights.values():
        weight.requires_grad_(True)
    return scored, weights


def _loss(model: nn.Module, batch: Batch, temperature: float) -> Tensor:
    x, y = batch
    device = next(model.parameters()).device
    return functional.cross_entropy(model(x.to(device)) / temperature, y.to(device))


def _summed_gradient(
    model: nn.Module, weights: dict[str, Tensor], batches: Sequence[Batch], temperature: float
) -> list[Tensor]:
    total = [torch.zeros_like(weight) for weight in weights.values()]
    for batch in batches:
        gradient = torch.autograd.grad(_loss(model, batch, temperature), list(weights.values()), materialize_grads=True)
        torch._foreach_add_(total, list(gradient))
    return total


def _halves_by_class(batch: Batch) -> list[Batch]:
    x, y = batch
    order = y.argsort(stable=True)
    x, y = x[order], y[order]
    middle = len(y) // 2
    return [part for part in ((x[:middle], y[:middle]), (x[middle:], y[middle:])) if len(part[1])]
