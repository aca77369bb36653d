"""A network's copy, which is what is scored, pruned and trained: the caller's own stays as it was."""

import copy
from collections.abc import Iterable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.pruning.layers import prunable_weights
from prunecheck.pruning.networks_alike import CONTAINERS, is_plain


def copy_network(model: nn.Module) -> nn.Module:
    """Return a deep copy with values, modes and hooks, and without gradients.

    What was made under ``torch.inference_mode`` is copied into ordinary tensors.

    Raises:
        InputError: it has nothing to prune, weights that are computed from others, or something that
            cannot be copied; the sentence names the layer and the attribute.
    """
    prunable_weights(model)
    with torch.inference_mode(False):
        plain = is_plain(model) and not _share_memory(model.buffers())
        try:
            copied = _copy_of_plain(model, {}) if plain else copy.deepcopy(model)
        except Exception as error:
            raise InputError(_why_it_cannot_be_copied(model, error)) from error
    if plain:
        return copied
    own = {id(tensor) for _, tensor in _named_tensors(model)}
    if shared := [name for name, tensor in _named_tensors(copied) if id(tensor) in own]:
        raise InputError(
            f"a copy of this network shares {shared[0]} with it, so that neither can be changed alone: leave "
            "__deepcopy__ out of its modules."
        )
    return copied


def _copy_of_plain(module: nn.Module, memo: dict[int, Any]) -> nn.Module:
    """Return what ``copy.deepcopy`` returns of a module that holds plain values, in a tenth of its time.

    Args:
        module: is copied, with the modules in it, which are plain as well.
        memo: by identity what has been copied already, as ``copy.deepcopy`` keeps it.
    """
    if id(module) in memo:
        return cast(nn.Module, memo[id(module)])
    memo[id(module)] = copied = type(module).__new__(type(module))
    held: dict[str, Any] = {
        name: value.copy() if type(value) in CONTAINERS else value for name, value in vars(module).items()
    }
    for tensors in (held["_parameters"], held["_buffers"]):
        tensors.update({name: _copied_tensor(tensor, memo) for name, tensor in tensors.items()})
    modules = held["_modules"]
    modules.update({name: None if child is None else _copy_of_plain(child, memo) for name, child in modules.items()})
    vars(copied).update(held)
    return copied


def _copied_tensor(tensor: Tensor | None, memo: dict[int, Any]) -> Tensor | None:
    if tensor is None or id(tensor) in memo or not _owns_its_memory(tensor):
        return copy.deepcopy(tensor, memo)
    memo[id(tensor)] = copied = tensor.clone()
    return copied


def _owns_its_memory(tensor: Tensor) -> bool:
    """Say whether a tensor is no parameter and no view of more, so that its clone is what a deep copy is."""
    if type(tensor) is not Tensor or vars(tensor) or tensor.requires_grad or tensor.layout != torch.strided:
        return False
    return tensor.untyped_storage().nbytes() == tensor.nbytes


def _share_memory(tensors: Iterable[Tensor]) -> bool:
    """Say whether any two tensors are views of the same, as copies that are made together are of one copy."""
    places = [tensor.untyped_storage().data_ptr() for tensor in tensors if tensor.layout == torch.strided]
    return len(places) != len(set(places))


def _named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _why_it_cannot_be_copied(model: nn.Module, error: Exception) -> str:
    for name, module in model.named_modules():
        for attribute, value in _attributes(module):
            where = f"{_called(name)} ({type(module).__name__}) holds in its attribute {attribute}"
            if isinstance(value, Tensor) and not value.is_leaf:
                return (
                    f"{where} a tensor that is computed from others, as a parametrisation or a forward pass leaves it, "
                    "and such a network cannot be copied: remove the parametrisation, or keep the tensor detached."
                )
            if reason := _failure_of_copying(value, model):
                return (
                    f"{where} a {type(value).__name__}, which cannot be copied ({reason}), and pruning works on a copy "
                    "of the network: make it where it is used, or leave it out."
                )
    return f"this network cannot be copied ({_described(error)}), and pruning works on a copy of it: correct it first."


def _attributes(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield what a module holds, but for the modules in it."""
    for name, value in vars(module).items():
        if name in ("_parameters", "_buffers"):
            yield from value.items()
        elif name != "_modules":
            yield name, value


def _failure_of_copying(value: object, model: nn.Module) -> str | None:
    """Return why a value cannot be copied by itself; modules that it refers to are not looked into."""
    memo: dict[int, Any] = {id(module): module for module in model.modules()}
    try:
        with torch.inference_mode(False):
            copy.deepcopy(value, memo)
    except Exception as error:
        return _described(error)
    return None


def _called(name: str) -> str:
    return f"layer {name}" if name else "the network itself"


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
