"""The methods that prune the trained network, with calibration data or without, after which nothing is trained."""

import functools
from typing import Any

import torch
from torch import Tensor, nn

from prunecheck.pruning.criteria import Criterion
from prunecheck.pruning.methods import METHODS, Method, after_training
from prunecheck.pruning.patterns import UNSTRUCTURED
from prunecheck.pruning.post_training import POST_TRAINING_METHODS, PostTrainingMethod, prune_after_training

WITHOUT_DATA = "-after-training"
"""Ends the names of those that see no data, which would be those of criteria otherwise: ``magnitude``, ``random``."""


def _prune(
    model: nn.Module,
    *,
    calibration: Tensor,
    sparsity: float,
    generator: torch.Generator,
    pattern: str = UNSTRUCTURED,
    kind: str,
) -> Any:  # a criterion returns scores, or what a method makes itself
    """Return the weights, by the names of the state dict, and masks, by layer, of a method after training."""
    weights, masks = prune_after_training(
        model,
        calibration,
        method=kind,
        sparsity=sparsity,
        pattern=None if pattern == UNSTRUCTURED else pattern,
        generator=generator,
    )
    return weights, masks


def post_training_method(method: Method) -> PostTrainingMethod | None:
    """Return what a method after training does to each layer; None for a function of the user's."""
    return _POST_TRAINING.get(method.criterion.name)


_POST_TRAINING: dict[str, PostTrainingMethod] = {}

for _entry in POST_TRAINING_METHODS.entries.values():
    _name = _entry.name if _entry.item.sees_data else f"{_entry.name}{WITHOUT_DATA}"
    _criterion = Criterion(
        _name,
        functools.partial(_prune, kind=_entry.name),
        sees="calibration" if _entry.item.sees_data else "nothing",
    )
    _summary = f"after training: {_entry.summary[:1].lower()}{_entry.summary[1:]}"
    METHODS.add(_name, after_training(_criterion), _summary)
    _POST_TRAINING[_name] = _entry.item
