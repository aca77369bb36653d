"""Which weights can be pruned: the ``weight`` of every Conv2d and Linear, by layer name."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from prunecheck.errors import InputError

Scores = dict[str, Tensor]
Masks = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]


def prunable_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the prunable weights in the order of the model's modules.

    A weight that several layers share stands once, under the name of the first of them.

    Raises:
        InputError: the model is no module or TorchScript, or has none, or one that is computed from other
            parameters, has no shape or no values yet, or is not of real floating-point numbers.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"a network must be a torch.nn.Module, not {type(model).__name__}: build it first.")
    weights: dict[str, Tensor] = {}
    known: set[int] = set()
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise InputError(
                f"{f'layer {name}' if name else 'the network'} is TorchScript, whose layers cannot be told apart: give "
                "the module that it was made of."
            )
        if isinstance(module, nn.Conv2d | nn.Linear) and id(_require_plain_weight(name, module)) not in known:
            known.add(id(module.weight))
            weights[name] = module.weight
    if not weights:
        raise InputError("this network has nothing to prune: it has no Conv2d and no Linear layer.")
    return weights


def _require_plain_weight(name: str, module: nn.Module) -> nn.Parameter:
    weight = module._parameters.get("weight")
    if weight is None:
        how, remedy = _how_computed(module)
        raise InputError(
            f"the weight of layer {name} is computed from other parameters ({how}): {remedy} before the network is "
            "pruned."
        )
    if isinstance(weight, nn.parameter.UninitializedParameter):
        raise InputError(f"layer {name} has no weights yet: run the network on a batch before it is pruned.")
    if not weight.is_floating_point():
        raise InputError(
            f"the weights of layer {name} are {weight.dtype}: only real floating-point weights can be pruned."
        )
    if weight.is_meta:
        raise InputError(
            f"the weights of layer {name} lie on the device meta and have no values: give it some with to_empty and an "
            "initialisation before the network is pruned."
        )
    return weight


def _how_computed(module: nn.Module) -> tuple[str, str]:
    """Return by what a layer's weight is computed, and how that is removed."""
    if "weight_orig" in module._parameters and "weight_mask" in module._buffers:
        return "a mask of torch.nn.utils.prune", "make it permanent with torch.nn.utils.prune.remove"
    if "weight_orig" in module._parameters:
        return "spectral norm", "remove it with torch.nn.utils.remove_spectral_norm"
    if "weight_g" in module._parameters:
        return "weight norm", "remove it with torch.nn.utils.remove_weight_norm"
    if nn.utils.parametrize.is_parametrized(module, "weight"):
        return (
            "a parametrisation, such as weight norm",
            "remove it with torch.nn.utils.parametrize.remove_parametrizations",
        )
    return "it is no parameter of its own", "make it a parameter"


def prunable_shapes(model: nn.Module) -> Shapes:
    """Return the shapes of the prunable weights, in order."""
    return shapes_of(prunable_weights(model))


def shapes_of(tensors: Mapping[str, Tensor]) -> Shapes:
    """Return the shapes of a mapping of tensors."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def weight_name(layer: str) -> str:
    """Return the name under which a layer's weight stands in the state dict of its model."""
    return f"{layer}.weight" if layer else "weight"
