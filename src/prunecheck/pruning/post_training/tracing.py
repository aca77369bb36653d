"""One run of a language model with hooks: which modules run, in which order, on what."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.pruning.logits import nothing_cast
from prunecheck.user_code.failures import SHORT_OF_MEMORY, failure_named


class Stop(BaseException):
    """Ends a run of a network whose rest is not wanted; no forward's ``except Exception`` catches it."""


@dataclass(frozen=True)
class Call:
    """One call of a module.

    Attributes:
        module: what was called.
        args: its positional arguments.
        kwargs: its other arguments.
        version: of its hidden state when it was called, which a change in place raises; None without one.
        returned: its first tensor that was returned; None if there was none.
        returned_version: likewise, when it was returned.
    """

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    version: int | None
    returned: Tensor | None
    returned_version: int | None

    @property
    def hidden(self) -> Tensor | None:
        """The first tensor of floating-point numbers among its arguments: the hidden states of the tokens."""
        return next((value for _, value in _named(self.args, self.kwargs) if _is_hidden(value)), None)


@dataclass(frozen=True)
class Trace:
    """What one run of a network called.

    Attributes:
        calls: of the modules that were watched, in the order in which they ended.
        vocabulary: V, of the logits (N, T, V).
    """

    calls: tuple[Call, ...]
    vocabulary: int

    @property
    def order(self) -> list[nn.Module]:
        """The modules in the order of their first call."""
        return list({id(call.module): call.module for call in self.calls}.values())


def trace(network: nn.Module, tokens: Tensor, modules: Sequence[nn.Module]) -> Trace:
    """Run a network in evaluation mode and keep what modules of it were called with.

    Args:
        network: maps tokens to logits.
        tokens: int64 (N, T), on any device.
        modules: which of its modules are watched.

    Raises:
        InputError: it fails, or returns no logits.
    """
    calls: list[Call] = []
    versions: dict[int, int | None] = {}

    def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        versions[id(module)] = _version(Call(module, args, kwargs, None, None, None).hidden)

    def leave(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], returned: Any) -> None:
        first = first_tensor(returned)
        calls.append(Call(module, args, kwargs, versions[id(module)], first, _version(first)))

    with contextlib.ExitStack() as hooks, evaluated(network):
        for module in modules:
            hooks.enter_context(hooked(module.register_forward_pre_hook(enter, with_kwargs=True)))
            hooks.enter_context(hooked(module.register_forward_hook(leave, with_kwargs=True)))
        logits = logits_of_tokens(network, tokens)
    return Trace(tuple(calls), logits.shape[-1])


@contextlib.contextmanager
def hooked(handle: torch.utils.hooks.RemovableHandle) -> Iterator[None]:
    """Remove a hook at the end."""
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def evaluated(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, without gradients, and its modules back into theirs at the end.

    Whatever the caller has switched on, nothing is cast (``torch.autocast``), and tensors count their changes.
    """
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with nothing_cast(), torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training


def logits_of_tokens(network: nn.Module, tokens: Tensor) -> Tensor:
    """Return what a network makes of tokens.

    Args:
        network: maps tokens to logits.
        tokens: int64 (N, T), on any device.

    Returns:
        Logits, floating (N, T, V).

    Raises:
        InputError: it fails, or returns something else.
    """
    shape = tuple(tokens.shape)
    with failure_named(f"this network fails on tokens of shape {shape}", beside=(*SHORT_OF_MEMORY, Stop)):
        logits = network(tokens.to(device_of(network)))
    if not isinstance(logits, Tensor) or logits.dim() != 3 or logits.shape[:2] != tokens.shape:
        returned = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(
            f"this network returned {returned} for tokens of shape {shape}: have it return logits of shape "
            f"({shape[0]}, {shape[1]}, vocabulary)."
        )
    return logits


def device_of(network: nn.Module) -> torch.device:
    """Return where a network takes its tokens: the device of its first parameter."""
    return next((parameter.device for parameter in network.parameters()), torch.device("cpu"))


def first_tensor(returned: object) -> Tensor | None:
    """Return a tensor that was returned, or the first one of several."""
    if isinstance(returned, tuple | list) and returned:
        returned = returned[0]
    return returned if isinstance(returned, Tensor) else None


def with_hidden(args: tuple[Any, ...], kwargs: Mapping[str, Any], hidden: Tensor) -> tuple[list[Any], dict[str, Any]]:
    """Return arguments with other hidden states in them."""
    place = next(place for place, value in _named(args, kwargs) if _is_hidden(value))
    others: dict[Any, Any] = dict(_named(args, kwargs)) | {place: hidden}
    return [others[index] for index in range(len(args))], {name: others[name] for name in kwargs}


def _named(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[tuple[int | str, Any]]:
    yield from enumerate(args)
    yield from kwargs.items()


def _is_hidden(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and value.dim() > 1


def _version(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor._version
