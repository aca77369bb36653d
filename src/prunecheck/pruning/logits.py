"""What a network must return: logits of shape (batch, classes), whatever numbers it computes with."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from prunecheck.data.inputs import TokenShape, in_words, random_inputs
from prunecheck.errors import InputError
from prunecheck.pruning.copying import copy_network
from prunecheck.pruning.layers import prunable_weights
from prunecheck.pruning.networks_alike import found_once
from prunecheck.randomness import generator, seeded_global_generator
from prunecheck.user_code.failures import SHORT_OF_MEMORY, failure_named

AUTOCAST_DEVICES = ("cpu", "cuda", "mps", "xpu")


@contextlib.contextmanager
def nothing_cast() -> Iterator[None]:
    """Have tensors count their changes and keep their types, whatever the caller has switched on."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        for device in AUTOCAST_DEVICES:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


@contextlib.contextmanager
def plain_computation() -> Iterator[None]:
    """Compute as in a fresh interpreter, whatever the caller has switched on or off.

    Gradients are recorded, nothing is cast (``torch.autocast``) or compiled, and attention is computed
    by the kernel that can be differentiated twice.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(nothing_cast())
        stack.enter_context(torch.enable_grad())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if "torch._dynamo" in sys.modules:  # else nothing is compiled, and its import takes long
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


def input_dtype(model: nn.Module) -> torch.dtype:
    """Return the dtype of the images that a network takes: that of its first floating-point parameter."""
    floating = (parameter.dtype for parameter in model.parameters() if parameter.is_floating_point())
    return next(floating, torch.float32)


def logits_of(model: nn.Module, x: Tensor, name: str = "the network") -> Tensor:
    """Return what a network says of images.

    Args:
        model: in the mode that it is asked in.
        x: floating-point images (N, channels, height, width), which are moved to the network's device
            and cast to its :func:`input_dtype`; or tokens, int64 (N, T).
        name: of the network, for errors.

    Returns:
        Logits (N, classes) in the network's own dtype; of tokens (N * T, vocabulary), sequence after sequence.

    Raises:
        InputError: it fails, or returns anything but a floating-point tensor (N, classes), or of tokens one of shape
            (N, T, vocabulary).
    """
    are_tokens = not x.is_floating_point()
    images = x.to(device=next(model.parameters()).device, dtype=x.dtype if are_tokens else input_dtype(model))
    mode = "training" if model.training else "evaluation"
    given = in_words(len(x), TokenShape(x.shape[1], 0) if are_tokens else tuple(x.shape[1:]))
    with failure_named(f"{name} fails on {given} in {mode} mode", beside=SHORT_OF_MEMORY):
        output = model(images)
    if are_tokens:
        return _logits_of_tokens(output, (x.shape[0], x.shape[1]), name, mode)
    if wrong := _what_is_wrong(output, len(x)):
        raise InputError(
            f"{name} returned {wrong[0]} in {mode} mode, and a network must return logits, one floating-point tensor "
            f"of shape (batch, classes): {wrong[1]}."
        )
    logits: Tensor = output
    return logits


def flat_logits(output: Tensor) -> Tensor:
    """Return logits (N, T, vocabulary) of tokens as (N * T, vocabulary), and those of images as they are."""
    return output.flatten(0, 1) if output.dim() == 3 else output


def _logits_of_tokens(output: object, shape: tuple[int, int], name: str, mode: str) -> Tensor:
    expected = "a network of tokens must return logits, one floating-point tensor of shape (N, T, vocabulary)"
    if not isinstance(output, Tensor) or not output.is_floating_point() or output.layout != torch.strided:
        kind = (
            f"a tensor of {output.dtype}"
            if isinstance(output, Tensor)
            else f"an object of type {type(output).__name__}"
        )
        raise InputError(
            f"{name} returned {kind} in {mode} mode, and {expected}: return output.logits, if it has them."
        )
    if output.dim() != 3 or tuple(output.shape[:2]) != shape:
        raise InputError(
            f"{name} returned a tensor of shape {tuple(output.shape)} for {shape[0]} sequences of {shape[1]} tokens in "
            f"{mode} mode, and {expected}: for each token, the logits of the one after it."
        )
    return flat_logits(output)


def _what_is_wrong(output: object, count: int) -> tuple[str, str] | None:
    """Return what was returned instead of logits of so many images, and what to do about it."""
    if not isinstance(output, Tensor):
        return _other_than_a_tensor(output)
    if not output.is_floating_point():
        return f"a tensor of {output.dtype}", "return the logits themselves, neither classes nor complex numbers"
    if output.layout != torch.strided or output.is_nested:
        return "a sparse or nested tensor", "return a dense one"
    shape = tuple(output.shape)
    returned = f"a tensor of shape {shape} for {count} images"
    if len(shape) > 2 and shape[0] == count and set(shape[2:]) == {1}:
        return returned, "flatten it with .flatten(1)"
    return None if len(shape) == 2 and shape[0] == count else (returned, "images come first, then one logit per class")


def _other_than_a_tensor(output: object) -> tuple[str, str]:
    if isinstance(output, Mapping):
        keys = [str(key) for key in output]
        logits = next((key for key in ("logits", "out", "output") if key in keys), None)
        hint = f"have it return output[{logits!r}]" if logits else "have it return the logits alone"
        return f"a {type(output).__name__} with the keys {', '.join(keys) or '(none)'}", hint
    if isinstance(output, tuple | list):
        parts = ", ".join(type(part).__name__ for part in output)
        hint = "have it return output[0], if that is the logits" if len(output) else "have it return the logits"
        return f"a {type(output).__name__} ({parts})", hint
    kind = type(output).__name__
    hint = "have it return output.logits" if hasattr(output, "logits") else "have it return the logits"
    return ("nothing (None)" if output is None else f"an object of type {kind}"), hint


def require_logits(
    model: nn.Module,
    image_shape: tuple[int, ...],
    num_classes: int | None = None,
    name: str = "the network",
    make_copy: Callable[[nn.Module], nn.Module] = copy_network,
) -> None:
    """See by a forward pass in each mode, and a backward pass, that a network can be pruned and trained.

    A copy is run on a few random images; the network and torch's global generator are left as they were. Of networks
    that are built alike one is run.

    Args:
        model: the network.
        image_shape: channels, height and width of an image.
        num_classes: how many logits it must return for each image, and of tokens at least; None: any number.
        name: of the network, for errors.
        make_copy: makes what is run of it, such as a copy in another dtype.

    Raises:
        InputError: it cannot be copied; fails; returns anything but logits (batch, classes); computes
            with the weights of the network that it is a copy of; or returns logits that autograd
            cannot lead back to any prunable weight.
    """
    asked = ("logits", type(image_shape), image_shape, num_classes, make_copy)
    found_once(model, asked, lambda: _require_logits(model, image_shape, num_classes, name, make_copy))


def _require_logits(
    model: nn.Module,
    image_shape: tuple[int, ...],
    num_classes: int | None,
    name: str,
    make_copy: Callable[[nn.Module], nn.Module],
) -> None:
    copied = make_copy(model)
    weights = list(prunable_weights(copied).values())
    for weight in weights:
        weight.requires_grad_(True)
    device = weights[0].device
    count = 2 if num_classes != 2 else 3  # so that no mistake has the shape of (batch, classes)
    source = generator(0, "images to require logits of")
    images = random_inputs(count, image_shape, source).to(device)
    with plain_computation(), seeded_global_generator(0, "network to require logits of", device=device):
        for training in (False, True):
            copied.train(training)
            with _OwnTensorsOnly(model, name):
                logits = logits_of(copied, images, name)
            may_have_more = isinstance(image_shape, TokenShape) and logits.shape[1] > (num_classes or 0)
            if num_classes is not None and logits.shape[1] != num_classes and not may_have_more:
                one = "token" if isinstance(image_shape, TokenShape) else "image"
                raise InputError(
                    f"{name} returned {logits.shape[1]} logits for each {one}, and there are {num_classes} "
                    "classes: have it return one logit for each class."
                )
        _require_gradient(logits, weights, name)


def _require_gradient(logits: Tensor, weights: list[Tensor], name: str) -> None:
    found: Iterable[Tensor | None] = ()
    if logits.requires_grad:
        loss = functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))
        with failure_named(f"{name} fails in the backward pass", beside=SHORT_OF_MEMORY):
            found = torch.autograd.grad(loss, weights, allow_unused=True)
    if all(gradient is None for gradient in found):
        raise InputError(
            f"{name} returned logits in training mode that autograd leads back to none of its prunable weights: leave "
            "detach, no_grad and argmax out of its forward."
        )


class _OwnTensorsOnly(TorchFunctionMode):
    """Refuses that a copy computes with parameters and buffers of the network that it was copied from.

    A function that closes over a module, such as a lambda, is not copied with it.
    """

    def __init__(self, original: nn.Module, name: str) -> None:
        super().__init__()
        named = [*original.named_parameters(), *original.named_buffers()]
        self._original = {id(tensor): tensor_name for tensor_name, tensor in named}
        self._name = name

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        options = kwargs or {}
        for value in _flattened((*args, *options.values())):
            if id(value) in self._original:
                raise InputError(
                    f"a copy of {self._name} still computes with {self._original[id(value)]} of the network that it "
                    "was copied from, through a lambda or another function that refers to it: make that a method or a "
                    "module."
                )
        return function(*args, **options)


def _flattened(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, tuple | list):
            yield from _flattened(value)
        else:
            yield value
