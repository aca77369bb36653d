"""Pruning a trained language model layer by layer."""

import contextlib
import logging
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.process_limits import require_memory
from prunecheck.pruning.allocations import require_sparsity
from prunecheck.pruning.masks import GLOBAL
from prunecheck.pruning.patterns import Structure
from prunecheck.pruning.post_training.activations import activations_of, calculation_dtype, observed
from prunecheck.pruning.post_training.choosing import Target, structure_of
from prunecheck.pruning.post_training.costs import cost_of
from prunecheck.pruning.post_training.input_statistics import InputStatistics
from prunecheck.pruning.post_training.linear_layers import LinearLayer
from prunecheck.pruning.post_training.methods import POST_TRAINING_METHODS, PostTrainingMethod
from prunecheck.pruning.post_training.stages import Stage, Stages, find_stages
from prunecheck.pruning.post_training.tracing import evaluated
from prunecheck.randomness import derived_generator

MOST_NAMED = 4
"""So many layers are named in a warning."""

Pruned = dict[str, tuple[Tensor, Tensor]]
"""A weight and its mask, by the name of the layer, in the shape and type of the layer's own."""


def prune_after_training(
    network: nn.Module,
    calibration: Tensor,
    *,
    method: str | PostTrainingMethod,
    sparsity: float,
    pattern: str | Structure | None = None,
    generator: torch.Generator,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Prune a trained language model layer by layer, by the activations that some sequences cause.

    As published for Wanda (arXiv:2306.11695) and SparseGPT (arXiv:2301.00774): the blocks of the network are pruned
    one after the other. All layers of a block are pruned by what comes into them while the block is whole and all
    blocks before it are pruned. See :func:`find_stages` for what is a block, and for which layers are pruned. Scores
    and updates are computed in float32 (float64 if the network has it), the activations in the network's own type.

    Args:
        network: maps tokens, int64 (N, T), to logits (N, T, V). It is run in evaluation mode, and left as it was.
        calibration: tokens, int64 (sequences, length), at least one.
        method: a name in :data:`POST_TRAINING_METHODS`, or such a method.
        sparsity: share of each layer's weights that is removed, in [0, 1): the count is the nearest whole number, in
            each layer or, of methods that compare within rows, in each row.
        pattern: ``unstructured`` or ``N:M``, which keeps N of every M neighbouring inputs; None for unstructured.
        generator: its seed decides what is drawn, such as among equal scores.

    Returns:
        Weights and boolean masks (True = kept), by the names of the parameters, of their shapes. Kept weights are those
        after the method's update, in the parameter's type; at removed places stand the weights from before.

    Raises:
        InputError: an unknown method or pattern; a sparsity out of range, or one that is not the pattern's; calibration
            data of another type or shape, or with tokens that the network does not have; a network that has nothing to
            prune, is quantised, fails on the sequences or has activations that are not finite; too little memory.
    """
    found = method if isinstance(method, PostTrainingMethod) else POST_TRAINING_METHODS.get(method)
    require_sparsity(sparsity)
    structure = structure_of(pattern)
    _require_tokens(calibration)
    stages = find_stages(network, calibration.shape[1])
    structure.require_reachable(stages.shapes, sparsity, GLOBAL)
    cost = cost_of(stages, found, *calibration.shape)
    require_memory(f"pruning by {found.name}", cost.memory, "give fewer or shorter sequences, or a smaller network")
    target = Target(sparsity, structure, generator)
    with evaluated(network):
        if found.sees_data:
            pruned = _pruned_by_data(network, calibration, stages, found, target)
        else:
            pruned = {layer.name: _prune_layer(layer, found, None, target) for layer in stages.layers}
    layers = stages.layers
    return (
        {layer.parameter_name: pruned[layer.name][0] for layer in layers},
        {layer.parameter_name: pruned[layer.name][1] for layer in layers},
    )


def _pruned_by_data(
    network: nn.Module, calibration: Tensor, stages: Stages, method: PostTrainingMethod, target: Target
) -> Pruned:
    assert method.inputs is not None
    activations = activations_of(network, stages, calibration)
    pruned: Pruned = {}
    unseen: list[str] = []
    with contextlib.ExitStack() as until_the_end:
        for stage in stages.stages:
            statistics = {layer.name: method.inputs() for layer in stage.layers}
            with observed(stage.layers, statistics):
                activations.run(stage)
            for layer in stage.layers:
                seen = statistics.pop(layer.name)  # so that only one layer's is in memory in two forms
                unseen += [layer.name] * (seen.total is None)
                pruned[layer.name] = _prune_layer(layer, method, seen, target)
            with contextlib.ExitStack() as until_it_is_left:
                held = until_it_is_left if activations.holds else until_the_end
                held.enter_context(_replaced_weights(stage, pruned))
                if stage is not stages.stages[-1]:
                    activations.leave(stage)
    _say_unseen(unseen)
    return pruned


def _prune_layer(
    layer: LinearLayer, method: PostTrainingMethod, seen: InputStatistics | None, target: Target
) -> tuple[Tensor, Tensor]:
    """Return the weight of a layer afterwards, and its mask, in the shape and type of its weight."""
    weight = layer.weight.detach()
    matrix = layer.matrix(weight).to(calculation_dtype(weight.dtype))
    inputs = None
    if seen is not None:
        inputs = seen.mean(matrix.shape[1]).to(matrix)
        if not bool(inputs.isfinite().all()):
            raise InputError(
                f"what comes into layer {layer.name} is not finite for these calibration sequences, so that "
                f"{method.name} cannot prune it: give the network in float32, or one whose activations are finite."
            )
    own = Target(
        target.sparsity, target.structure, derived_generator(target.generator, "pruning after training", layer.name)
    )
    after, mask = method.prune_layer(matrix, inputs, own)
    updated = layer.matrix(torch.where(mask, after, matrix)).to(weight.dtype)
    return updated.clone(memory_format=torch.contiguous_format), layer.matrix(mask).contiguous()


@contextlib.contextmanager
def _replaced_weights(stage: Stage, pruned: Mapping[str, tuple[Tensor, Tensor]]) -> Iterator[None]:
    """Have the layers of a stage compute with their pruned weights, and with their own again at the end."""
    own = {layer.name: layer.weight for layer in stage.layers}
    try:
        for layer in stage.layers:
            weight, mask = pruned[layer.name]
            layer.module._parameters["weight"] = nn.Parameter(weight * mask, requires_grad=False)
        yield
    finally:
        for layer in stage.layers:
            layer.module._parameters["weight"] = own[layer.name]


def _say_unseen(layers: list[str]) -> None:
    if layers:
        logging.getLogger(__name__).warning(
            "No token of the calibration sequences came to %s%s: there all inputs are taken as alike, so that weights "
            "are chosen by their magnitude.",
            ", ".join(layers[:MOST_NAMED]),
            f" and {len(layers) - MOST_NAMED} more layers" if len(layers) > MOST_NAMED else "",
        )


def _require_tokens(calibration: Tensor) -> None:
    if calibration.dtype != torch.int64 or calibration.dim() != 2 or not calibration.numel():
        raise InputError(
            f"calibration data of {calibration.dtype} and shape {tuple(calibration.shape)} are no tokens: give int64 "
            "of shape (sequences, length), at least one."
        )
