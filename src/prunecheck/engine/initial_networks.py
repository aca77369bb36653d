"""Networks with their initial weights, of which all runs of a seed begin with the same."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from torch import nn

from prunecheck.models import Model, build_model
from prunecheck.pruning.copying import copy_network
from prunecheck.pruning.networks_alike import is_small
from prunecheck.user_code import global_state_kept

_last: dict[Hashable, nn.Module] = {}


def initial_network(model: Model | str, num_classes: int, seed: int, options: Mapping[str, Any]) -> nn.Module:
    """Build a network as :func:`prunecheck.models.build_model` does, or copy the last one if that is the same.

    Only small networks of this package are copied: what a user's code builds may be another one each time.

    Args:
        model: which.
        num_classes: how many classes it tells apart.
        seed: of the initial weights.
        options: see :func:`prunecheck.models.build_model`.
    """
    is_own = isinstance(model, Model) and model.comes_with_prunecheck
    key = (model, num_classes, seed, *options.items(), torch.get_default_dtype()) if is_own else None
    if (found := _last.get(key)) is not None:
        return copy_network(found)
    with global_state_kept():
        network = build_model(model, num_classes, seed, **options)
    if is_own and is_small(network):
        _last.clear()
        _last[key] = copy_network(network)
    return network
