"""Pruning of trained language models without training: layer by layer, by a few calibration sequences."""

from prunecheck.pruning.post_training.choosing import Target
from prunecheck.pruning.post_training.costs import Cost, cost_of
from prunecheck.pruning.post_training.layer_by_layer import prune_after_training
from prunecheck.pruning.post_training.methods import (
    POST_TRAINING_METHODS,
    PostTrainingMethod,
    register_post_training_method,
)
from prunecheck.pruning.post_training.sparsegpt import sparsegpt
from prunecheck.pruning.post_training.stages import Stages, choose_as_after_training, find_stages

__all__ = [
    "POST_TRAINING_METHODS",
    "Cost",
    "PostTrainingMethod",
    "Stages",
    "Target",
    "choose_as_after_training",
    "cost_of",
    "find_stages",
    "prune_after_training",
    "register_post_training_method",
    "sparsegpt",
]
