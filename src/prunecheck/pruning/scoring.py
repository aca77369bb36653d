"""What criteria that look at the loss share: checked batches, a copy to score, the loss, and its gradient."""

import contextlib
import copy
import re
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.data.batches import Batch
from prunecheck.data.inputs import TokenShape
from prunecheck.errors import InputError
from prunecheck.pruning.copying import copy_network
from prunecheck.pruning.layers import prunable_weights
from prunecheck.pruning.logits import logits_of, require_logits
from prunecheck.randomness import seeded_global_generator

WHAT_BATCHES_ARE = "batches must be a list of (x, y), images (N, channels, height, width) and labels (N,)"


class BatchSource(Protocol):
    """Batches that can be gone through again and again: a list of them, or a training set.

    Each is ``(x, y)``: floating-point images (N, channels, height, width), which are cast to what the
    network computes with, and integer labels (N,) from 0 to the number of classes less 1.
    """

    def __len__(self) -> int:
        """Return the number of batches."""

    def __iter__(self) -> Iterator[Batch]:
        """Begin anew; with a training set each pass is another epoch, shuffled and augmented."""


def require_batches(batches: BatchSource) -> None:
    """Raise :class:`InputError` if there is no batch, or what is given is a single one or has no length."""
    pair: Any = batches
    if isinstance(pair, Tensor) or (isinstance(pair, tuple) and any(isinstance(part, Tensor) for part in pair)):
        raise InputError(f"{WHAT_BATCHES_ARE}, and this is a single one: give [(x, y)].")
    try:
        count = len(batches)
    except TypeError as error:
        raise InputError(
            f"{WHAT_BATCHES_ARE}, which is gone through several times, and this is a {type(batches).__name__} of no "
            "length: give list(batches)."
        ) from error
    if not count:
        raise InputError("this criterion scores with data and was given none: name a data set.")


def checked_batch(batch: Batch) -> Batch:
    """Return a batch that a loss can be computed of: images without a graph, int64 labels.

    Raises:
        InputError: it is not a pair of tensors (N, ...) and (N,) with N at least 1, the images are not
            real floating-point numbers, or the labels not integers of at least 0.
    """
    parts: Any = batch
    if not isinstance(parts, tuple | list) or len(parts) != 2 or not all(isinstance(part, Tensor) for part in parts):
        raise InputError(f"{WHAT_BATCHES_ARE}, and one of them is not a pair of two tensors: {type(parts).__name__}.")
    x, y = batch
    if x.dtype == torch.int64 and x.dim() == 2:
        if tuple(y.shape) != (x.numel(),) or y.dtype != torch.int64 or not len(y):
            raise InputError(
                f"a batch of tokens (N, T) has N * T labels, the tokens after them, int64, and not {y.dtype} of shape "
                f"{tuple(y.shape)} for {tuple(x.shape)}."
            )
        return x, y
    if not x.is_floating_point():
        raise InputError(
            f"images must be floating-point numbers, not {x.dtype}: normalise them before they are scored."
        )
    if y.dtype == torch.bool or y.is_floating_point() or y.is_complex():
        raise InputError(f"labels must be integers, the numbers of the classes, not {y.dtype}: convert them first.")
    if x.dim() < 2 or y.dim() != 1 or len(x) != len(y) or not len(y):
        raise InputError(f"{WHAT_BATCHES_ARE} with N at least 1, not of shapes {tuple(x.shape)} and {tuple(y.shape)}.")
    if int(y.min()) < 0:
        raise InputError(f"labels must be at least 0, and one of them is {int(y.min())}: number the classes from 0.")
    # What was made under inference mode cannot take part in a graph.
    x, y = (part.clone() if part.is_inference() else part.detach() for part in (x, y))
    return x, y.to(torch.int64)


def image_shape_of(batches: BatchSource) -> tuple[int, ...]:
    """Return the shape of the images, without taking a batch away or drawing from torch's generator."""
    with seeded_global_generator(0, "a look at the batches"):
        first = next(iter(copy.copy(batches)))
    x, y = checked_batch(first)
    if not x.is_floating_point():
        return TokenShape(x.shape[1], 1 + int(max(x.max(), y.max())))
    return tuple(x.shape[1:])


def copy_for_scoring(model: nn.Module, batches: BatchSource) -> tuple[nn.Module, dict[str, Tensor]]:
    """Return a copy in training mode and its prunable weights, which alone have gradients.

    Raises:
        InputError: no batch is given; the model has nothing to prune, cannot be copied, or does not
            return logits; see :func:`prunecheck.pruning.logits.require_logits`.
    """
    require_batches(batches)
    scored = _precise_copy(model, image_shape_of(batches)).train()
    return scored, only_weights_have_gradients(scored)


def _precise_copy(model: nn.Module, image_shape: tuple[int, ...]) -> nn.Module:
    """Return a copy that gradients do not vanish in.

    That of a network in half precision or bfloat16 is in float32, unless its forward asks for its own dtype.
    """
    if any(_is_imprecise(parameter) for parameter in model.parameters()):
        with contextlib.suppress(InputError):
            require_logits(model, image_shape, make_copy=_widened_copy)
            return _widened_copy(model)
    require_logits(model, image_shape)
    return copy_network(model)


def _widened_copy(model: nn.Module) -> nn.Module:
    copied = copy_network(model)
    for tensor in (*copied.parameters(), *copied.buffers()):
        if _is_imprecise(tensor):
            tensor.data = tensor.data.float()
    return copied


def _is_imprecise(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.dtype.itemsize < torch.float32.itemsize


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
    logits, labels = logits_and_labels(model, batch)
    return functional.cross_entropy(logits / temperature, labels)


def logits_and_labels(model: nn.Module, batch: Batch) -> Batch:
    """Return the logits of a batch, in float32 at least, and its labels, on the model's device.

    Raises:
        InputError: something is wrong with the batch, see :func:`checked_batch`, or with the network, see
            :func:`prunecheck.pruning.logits.logits_of`; or a label is that of no logit.
    """
    x, y = checked_batch(batch)
    logits = logits_of(model, x)
    if logits.shape[1] < 2:
        raise InputError("the network returns one logit for each image, whose loss is always 0: two classes are two.")
    if (largest := int(y.max())) >= logits.shape[1]:
        raise InputError(
            f"a label is {largest}, and the network returns logits for {logits.shape[1]} classes, 0 to "
            f"{logits.shape[1] - 1}: give labels below that, or a network of more classes."
        )
    return logits.to(torch.promote_types(logits.dtype, torch.float32)), y.to(logits.device)


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


def second_gradient(flow: Tensor, weights: dict[str, Tensor], criterion: str) -> tuple[Tensor, ...]:
    """Return the gradient of what was itself made of gradients; 0 for a layer that it does not depend on.

    Args:
        flow: what is differentiated, a scalar.
        weights: with respect to which.
        criterion: its name, for the error.

    Raises:
        InputError: an operation of the network has no second derivative in torch.
    """
    if _has_a_cut(flow):
        raise _without_second_derivative(criterion, "a function of this network is marked as once_differentiable and")
    try:
        return torch.autograd.grad(flow, list(weights.values()), materialize_grads=True)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        message = " ".join(str(error).split())
        operation = re.search(r"derivative for '?([\w:.]+)'? is not implemented", message)
        what = f"the operation {operation[1]}" if operation else f"an operation ({message})"
        raise _without_second_derivative(criterion, f"{what} of this network") from error


def _without_second_derivative(criterion: str, what: str) -> InputError:
    return InputError(f"{criterion} needs second derivatives, and {what} has none in torch: replace it, or use snip.")


def _has_a_cut(flow: Tensor) -> bool:
    """Return whether a graph ends where torch would silently take what depends on weights as a constant."""
    waiting, seen = [flow.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if node.name() == "torch::autograd::Error":
            return True
        seen.add(node)
        waiting += [earlier for earlier, _ in node.next_functions]
    return False


def halves_by_class(batch: Batch) -> list[Batch]:
    """Sort a batch by class and cut it in two; a batch of one image stays whole."""
    x, y = checked_batch(batch)
    if not x.is_floating_point():  # tokens have no classes to sort by
        middle, length = len(x) // 2, x.shape[1]
        cut = (x[:middle], y[: middle * length]), (x[middle:], y[middle * length :])
        return [part for part in cut if len(part[1])]
    order = y.argsort(stable=True)
    x, y = x[order], y[order]
    middle = len(y) // 2
    return [part for part in ((x[:middle], y[:middle]), (x[middle:], y[middle:])) if len(part[1])]
