"""What a function that prunes returned: scores, masks, or weights and masks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.pruning.layers import Masks, Scores, prunable_weights, weight_name
from prunecheck.pruning.tickets import Ticket, Weights, copy_weights

MOST_OFF = 0.01
"""By which share of the weights that are to be kept a method's own masks may keep more or fewer."""


UNSIGNED = (torch.uint16, torch.uint32)
"""What torch can hardly compute with, and int64 holds."""

UNKNOWN_TO_TORCH = (numpy.dtype(numpy.longdouble), numpy.dtype(numpy.uint64))


@dataclass(frozen=True)
class OwnMasks:
    """Masks that a method chose itself, without an allocation.

    Attributes:
        masks: boolean, of the weights' shapes, one for every prunable layer.
        weights: the whole state dict that training starts from; None for the weights that the method names.
    """

    masks: Masks
    weights: Weights | None = None


def read_returned(name: str, model: nn.Module, returned: Any) -> Scores | OwnMasks:
    """Return what a method returned, as tensors of the weights' shapes in the order of the network's layers.

    Arrays of numpy are taken for tensors, half precision is widened to float32, ``LAYER.weight``
    is taken for ``LAYER``, and what is returned of other parameters and modules of the network is left out.

    Args:
        name: the method's, for the sentence.
        model: the network that it pruned.
        returned: a mapping of layers to tensors, all boolean for masks; a :class:`Ticket`; or ``(weights, masks)``.

    Raises:
        InputError: it is something else, lacks a layer, has one that the network does not have, mixes masks and
            scores, or a tensor has another shape than the weight.
    """
    if isinstance(returned, Ticket):
        return _ticket(name, model, returned.weights, returned.masks)
    if isinstance(returned, tuple) and len(returned) == 2:
        return _ticket(name, model, *returned)
    found = _by_layer(name, model, returned)
    are_masks = [tensor.dtype == torch.bool for tensor in found.values()]
    if all(are_masks):
        return OwnMasks(found)
    if any(are_masks):
        mask, score = (list(found)[are_masks.index(kind)] for kind in (True, False))
        raise InputError(
            f"{name} returned a mask for layer {mask} and scores for layer {score}: have it return one or the other."
        )
    if all(bool(((tensor == 0) | (tensor == 1)).all()) for tensor in found.values()) and _differ(found):
        raise InputError(
            f"{name} returned only zeros and ones, and not as booleans, so that it is not clear whether they are masks "
            "or scores: return masks as booleans (mask == 1), or scores that order the weights."
        )
    return found


def _differ(scores: Scores) -> bool:
    """Say whether not all scores are the same; those say nothing, which is found when the mask is made."""
    return len({float(value) for score in scores.values() for value in (score.min(), score.max())}) > 1


def require_kept(name: str, masks: Masks, sparsity: float) -> None:
    """Raise :class:`InputError` if a method's own masks have another sparsity than they were asked for.

    Args:
        name: the method's.
        masks: what it returned.
        sparsity: what it was asked for.
    """
    total = sum(mask.numel() for mask in masks.values())
    kept, asked = sum(int(mask.sum()) for mask in masks.values()), round((1 - sparsity) * total)
    if abs(kept - asked) > max(MOST_OFF * asked, len(masks)):
        raise InputError(
            f"{name} keeps {kept:,} of {total:,} weights, a sparsity of {1 - kept / total:.4g}, and sparsity "
            f"{sparsity:g} is to keep {asked:,}: take sparsity as a parameter, or ask for the sparsity that it has."
        )


def _ticket(name: str, model: nn.Module, weights: Any, returned: Any) -> OwnMasks:
    if not isinstance(weights, Mapping) or not isinstance(returned, Mapping):
        raise InputError(
            f"{name} returned a pair of {type(weights).__name__} and {type(returned).__name__}: a ticket is "
            "(weights, masks), a state dict and a dict of masks by layer."
        )
    values = [*weights.values()]
    if values and all(isinstance(value, Tensor) and value.dtype == torch.bool for value in values):
        raise InputError(f"{name} returned masks before weights: a ticket is (weights, masks), turn them round.")
    masks = _by_layer(name, model, returned)
    if wrong := [layer for layer, mask in masks.items() if mask.dtype != torch.bool]:
        raise InputError(f"{name} returned a ticket whose mask of layer {wrong[0]} is not boolean: compare it with 0.")
    return OwnMasks(masks, _state(name, model, weights))


def _state(name: str, model: nn.Module, weights: Mapping[Any, Any]) -> Weights:
    """Return a whole state dict; what a method did not return of it is the network's own."""
    state = copy_weights(model)
    for key, value in weights.items():
        if key not in state:
            raise InputError(f"{name} returned a ticket with weights for {key}, which the network does not have.")
        tensor = _tensor(value)
        if tensor is None or tensor.shape != state[key].shape:
            raise InputError(
                f"{name} returned a ticket whose {key} is not a tensor of shape {tuple(state[key].shape)}: return the "
                "network's own state dict, changed."
            )
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise InputError(f"{name} returned a ticket whose {key} is not finite: correct it first.")
        state[key] = tensor.detach().clone().to(state[key])
    return state


def _by_layer(name: str, model: nn.Module, returned: Any) -> dict[str, Tensor]:
    """Return one tensor for each prunable layer, in order."""
    weights = prunable_weights(model)
    expected = f"{name} must return a dict with one tensor for each of {', '.join(list(weights)[:3])}, ..."
    if not isinstance(returned, Mapping):
        raise InputError(f"{expected}; it returned {type(returned).__name__}.")
    layers = {weight_name(layer): layer for layer in weights}
    found: dict[str, Tensor] = {}
    others = {other for other, _ in (*model.named_modules(), *model.named_parameters(), *model.named_buffers())}
    for key, value in returned.items():
        layer = key if key in weights else layers.get(key)
        if layer is None and key not in others:
            raise InputError(f"{expected}; it returned one for {key}, which is not a prunable layer.")
        if layer is not None and layer in found:
            raise InputError(f"{expected}; it returned two for layer {layer}, under both of its names.")
        if layer is not None:
            found[layer] = _of_layer(name, expected, layer, value, weights[layer])
    if missing := [layer for layer in weights if layer not in found]:
        raise InputError(f"{expected}; it returned none for layer {missing[0]}.")
    return {layer: found[layer] for layer in weights}


def _of_layer(name: str, expected: str, layer: str, value: Any, weight: Tensor) -> Tensor:
    tensor = _tensor(value)
    if tensor is None or tensor.is_complex() or tensor.dtype == torch.uint64:
        raise InputError(f"{expected}; for layer {layer} it returned no tensor of numbers.")
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        raise InputError(f"{expected}; for layer {layer} it returned a sparse tensor, or one without values.")
    if tensor.shape != weight.shape:
        raise InputError(
            f"{name} returned a tensor of shape {tuple(tensor.shape)} for layer {layer}: its weights have shape "
            f"{tuple(weight.shape)}."
        )
    if tensor.is_floating_point() and tensor.dtype.itemsize < torch.float32.itemsize:
        tensor = tensor.float()
    if tensor.dtype in UNSIGNED:
        tensor = tensor.to(torch.int64)
    return tensor.detach().to(weight.device)


def _tensor(value: Any) -> Tensor | None:
    """Return numbers as a tensor; None if they are not numbers."""
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, numpy.ndarray) or value.dtype.kind not in "biuf" or value.dtype in UNKNOWN_TO_TORCH:
        return None
    return torch.from_numpy(numpy.array(value, dtype=value.dtype.newbyteorder("=")))
