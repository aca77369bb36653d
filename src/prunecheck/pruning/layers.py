"""Which weights can be pruned: the ``weight`` of every Conv2d and Linear, by layer name."""

from collections.abc import Mapping

from torch import Tensor, nn

from prunecheck.errors import InputError

Scores = dict[str, Tensor]
Masks = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]


def prunable_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the prunable weights in the order of the model's modules.

    A weight that several layers share stands once, under the name of the first of them.

    Raises:
        InputError: the model has none, or one that is computed from other parameters or has no
            shape yet.
    """
    weights: dict[str, Tensor] = {}
    known: set[int] = set()
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and id(_require_plain_weight(name, module)) not in known:
            known.add(id(module.weight))
            weights[name] = module.weight
    if not weights:
        raise InputError("this network has nothing to prune: it has no Conv2d and no Linear layer.")
    return weights


def _require_plain_weight(name: str, module: nn.Module) -> nn.Parameter:
    weight = module._parameters.get("weight")
    if weight is None:
        raise InputError(
            f"the weight of layer {name} is computed from other parameters (weight norm or another "
            "parametrisation): remove that from the network before it is pruned."
        )
    if isinstance(weight, nn.parameter.UninitializedParameter):
        raise InputError(f"layer {name} has no weights yet: run the network on a batch before it is pruned.")
    return weight


def prunable_shapes(model: nn.Module) -> Shapes:
    """Return the shapes of the prunable weights, in order."""
    return shapes_of(prunable_weights(model))


def shapes_of(tensors: Mapping[str, Tensor]) -> Shapes:
    """Return the shapes of a mapping of tensors."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def weight_name(layer: str) -> str:
    """Return the name under which a layer's weight stands in the state dict of its model."""
    return f"{layer}.weight" if layer else "weight"
