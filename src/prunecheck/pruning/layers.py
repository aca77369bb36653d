"""Which weights can be pruned: the ``weight`` of every Conv2d and Linear, or of chosen ones, by layer name."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.pruning.prunable_layers import CHOICE, PATTERNS, PrunableLayers, chosen_layers

Scores = dict[str, Tensor]
Masks = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]


def prunable_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the prunable weights in the order of the model's modules.

    They are those of every Conv2d and Linear, or of the layers that :func:`choose_prunable` chose. A weight that
    several layers share stands once, under the name of the first of them.

    Raises:
        InputError: the model is no module or TorchScript, or has none, or one that is computed from other
            parameters, has no shape or no values yet, or is not of real floating-point numbers.
    """
    layers = dict(_conv2d_and_linear(model))
    if not layers:
        raise InputError("this network has nothing to prune: it has no Conv2d and no Linear layer.")
    numbers = _numbers_of_weights(layers)
    chosen = chosen_layers(model).require_among(numbers)
    first_names = {number: name for name, number in reversed(numbers.items())}
    return {
        name: require_plain_weight(name, layers[name])
        for number, name in sorted(first_names.items())
        if number in chosen
    }


def choose_prunable(
    model: nn.Module, *, prunable: Sequence[str] | None = None, keep_dense: Sequence[str] | None = None
) -> nn.Module:
    """Choose which weights of a network may be pruned; criteria, masks and training then leave the others alone.

    Args:
        model: is told so in place, and whatever is copied from it.
        prunable: which layers may be pruned, by name, by the name of a module around them, by pattern
            (``"layer3.*"``), or as ``"first"`` or ``"last"``; None for every Conv2d and Linear.
        keep_dense: which of these are kept whole all the same, likewise.

    Returns:
        The model.

    Raises:
        InputError: a name is that of no layer, no weight is left, or see :func:`prunable_weights`.
    """
    chosen = PrunableLayers.of(PATTERNS.require("prunable", prunable), PATTERNS.require("keep_dense", keep_dense))
    chosen.require_among(_numbers_of_weights(dict(_conv2d_and_linear(model))))
    setattr(model, CHOICE, chosen)
    return model


def _conv2d_and_linear(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers whose weights can be pruned, in the order of the modules."""
    if not isinstance(model, nn.Module):
        raise InputError(f"a network must be a torch.nn.Module, not {type(model).__name__}: build it first.")
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise InputError(
                f"{f'layer {name}' if name else 'the network'} is TorchScript, whose layers cannot be told apart: give "
                "the module that it was made of."
            )
        if isinstance(module, nn.Conv2d | nn.Linear):
            yield name, module


def _numbers_of_weights(layers: Mapping[str, nn.Module]) -> dict[str, int]:
    """Return a number for the weight of each layer, counted in their order; layers that share one have one."""
    known: dict[int, int] = {}
    numbers = {}
    for name, module in layers.items():
        weight = module._parameters.get("weight")  # None where it is computed from others
        numbers[name] = known.setdefault(id(module if weight is None else weight), len(known))
    return numbers


def require_plain_weight(name: str, module: nn.Module) -> nn.Parameter:
    """Return the weight of a layer.

    Raises:
        InputError: it is computed from other parameters, has no shape or no values yet, or is not of real
            floating-point numbers.
    """
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


def whole_masks(tensors: Mapping[str, Tensor]) -> Masks:
    """Return masks of the tensors' shapes that keep everything."""
    return {name: torch.ones_like(tensor, dtype=torch.bool) for name, tensor in tensors.items()}


def weight_name(layer: str) -> str:
    """Return the name under which a layer's weight stands in the state dict of its model."""
    return f"{layer}.weight" if layer else "weight"
