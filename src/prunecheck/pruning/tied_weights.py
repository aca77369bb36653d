"""Weights that several layers share, which a state dict has under several names and masks under one."""

import torch
from torch import Tensor, nn

from prunecheck.pruning.layers import Masks, weight_name
from prunecheck.pruning.tickets import Weights

TiedWeights = dict[str, str]
"""The pruned layer by the name of each weight that is its own and has no mask by that name."""


def tied_in_network(masks: Masks, model: nn.Module) -> TiedWeights:
    """Return the other names of pruned weights in the state dict of a network."""
    state = model.state_dict(keep_vars=True)
    own = {weight_name(layer): layer for layer in masks}
    layers = {id(state[name]): layer for name, layer in own.items()}
    return {name: layers[id(t)] for name, t in state.items() if name not in own and id(t) in layers}


def tied_in_files(masks: Masks, *states: Weights) -> TiedWeights:
    """Return the other names of pruned weights, as far as state dicts alone can say.

    Files do not say what is tied. Two tensors of one shape and type that are equal bit for bit, and not constant, are
    taken for one weight.

    Args:
        masks: by layer.
        states: state dicts of the same network, such as before and after training: what is tied is equal in all of
            them, and what only began as a copy is not.
    """
    own = {weight_name(layer) for layer in masks}
    found = {}
    for layer in masks:
        for name in states[0]:
            pairs = [(state[weight_name(layer)], state[name]) for state in states]
            if name not in own and all(_are_one(weight, other) for weight, other in pairs):
                found[name] = layer
    return found


def _are_one(weight: Tensor, other: Tensor) -> bool:
    if (weight.shape, weight.dtype) != (other.shape, other.dtype) or not torch.equal(weight, other):
        return False
    return weight.numel() > 0 and bool((weight != weight.flatten()[0]).any())
