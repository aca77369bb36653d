"""What pruning a language model takes: memory beside the network itself, and arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass

from prunecheck.pruning.post_training.linear_layers import LinearLayer
from prunecheck.pruning.post_training.methods import PostTrainingMethod
from prunecheck.pruning.post_training.stages import Stages

SUM, WORKING = 8, 4
"""Bytes of a number in what is remembered of inputs, and in computing with a single layer."""

COPIES = 3
"""As many matrices of a layer's size, and of its statistics', are worked with at once."""


@dataclass(frozen=True)
class Cost:
    """What pruning once takes.

    Attributes:
        memory: bytes beside the network: new weights and masks, the activations and statistics of one block, the
            matrices of one layer.
        operations: multiplications and additions of the linear layers that are pruned, of their statistics and of
            SparseGPT's factorisations.
    """

    memory: int
    operations: int


def cost_of(stages: Stages, method: PostTrainingMethod, sequences: int, length: int) -> Cost:
    """Return about what pruning a network takes.

    A network whose blocks do not hand their outputs on unchanged is run anew for each block, and holds no activations.

    Args:
        stages: see :func:`prunecheck.pruning.post_training.find_stages`.
        method: the method.
        sequences: how many are calibrated with.
        length: of each, in tokens.
    """
    results = sum(layer.weight.numel() * (layer.weight.element_size() + 1) for layer in stages.layers)
    working = max(WORKING * COPIES * layer.weight.numel() for layer in stages.layers)
    if method.inputs is None:
        return Cost(results + working, 0)
    first = stages.layers[0]
    held = sequences * length * first.inputs * first.weight.element_size()
    size = method.inputs.size
    statistics = max(sum(SUM * size(layer.inputs) for layer in stage.layers) for stage in stages.stages)
    factors = max(WORKING * COPIES * size(layer.inputs) for layer in stages.layers)
    return Cost(results + working + held + statistics + factors, _operations(stages.layers, method, sequences * length))


def _operations(layers: Sequence[LinearLayer], method: PostTrainingMethod, tokens: int) -> int:
    assert method.inputs is not None
    total = 0
    for layer in layers:
        passes = 2 * layer.weight.numel()  # whole, and pruned
        total += tokens * (passes + method.inputs.size(layer.inputs))
        if method.updates_weights:
            total += layer.inputs**3 + layer.inputs * layer.weight.numel()
    return 2 * total
