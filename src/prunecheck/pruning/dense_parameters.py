"""What of a network is left dense: parameters of two dimensions or more that are no prunable weights."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from prunecheck.pruning.layers import prunable_weights

MOST_NAMED = 4
"""So many are named, the largest."""


@dataclass(frozen=True)
class DenseParameter:
    """A parameter that no mask prunes, though it is a matrix or more.

    Attributes:
        name: in the state dict: ``attention.in_proj_weight``, ``conv1.weight``.
        kind: the class of the module that holds it: ``MultiheadAttention``, ``Conv1d``, ``Conv2d`` of a layer that is
            kept dense.
        count: of its numbers.
    """

    name: str
    kind: str
    count: int


def left_dense(model: nn.Module) -> tuple[DenseParameter, ...]:
    """Return the parameters of two dimensions or more that are not pruned, in the order of the modules.

    They are the weights of layers that were chosen to be kept dense; those of kinds that are not pruned, as Conv1d,
    Conv3d, transposed convolutions, embeddings, and the projection of ``nn.MultiheadAttention``; and what modules hold
    as parameters of their own.

    Raises:
        InputError: see :func:`prunecheck.pruning.prunable_weights`.
    """
    seen = {id(weight) for weight in prunable_weights(model).values()}
    found = []
    for module_name, module in model.named_modules():
        for name, parameter in module.named_parameters(prefix=module_name, recurse=False):
            if parameter.dim() >= 2 and id(parameter) not in seen:
                seen.add(id(parameter))
                found.append(DenseParameter(name, type(module).__name__, parameter.numel()))
    return tuple(found)


def dense_parameters_text(parameters: Sequence[DenseParameter]) -> str:
    """Return what is left dense in a line, the largest first; empty if nothing is."""
    largest = sorted(parameters, key=lambda parameter: -parameter.count)
    named = [f"{one.name} ({one.kind}, {one.count:,} weights)" for one in largest[:MOST_NAMED]]
    others = largest[MOST_NAMED:]
    if others:
        named.append(f"{len(others)} more ({sum(one.count for one in others):,} weights)")
    return ", ".join(named)
