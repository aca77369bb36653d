"""Criteria, allocations, masks, methods and tickets. Nothing in here trains a network."""

from prunecheck.pruning import (  # noqa: F401 - which registers them
    methods_with_moving_masks,
    methods_with_training,
    methods_without_training,
)
from prunecheck.pruning.allocations import ALLOCATIONS, keep_ratios, register_allocation
from prunecheck.pruning.collapse import Collapse
from prunecheck.pruning.criteria import (
    CRITERIA,
    Criterion,
    grasp,
    magnitude,
    random_scores,
    register_criterion,
    snip,
)
from prunecheck.pruning.gem_miner import gem_miner
from prunecheck.pruning.iterative import force, iter_snip, synflow
from prunecheck.pruning.layers import choose_prunable, prunable_shapes, prunable_weights
from prunecheck.pruning.masks import allocate, sparsity_of
from prunecheck.pruning.method_lookup import AnyMethod, find_method, method_names
from prunecheck.pruning.methods import METHODS, Method, register_method
from prunecheck.pruning.methods_of_masks import mask_from
from prunecheck.pruning.ntk_sap import ntk_sap
from prunecheck.pruning.phew import phew
from prunecheck.pruning.post_training import (
    POST_TRAINING_METHODS,
    PostTrainingMethod,
    find_stages,
    prune_after_training,
    register_post_training_method,
)
from prunecheck.pruning.prospr import prospr
from prunecheck.pruning.ticket_making import make_ticket
from prunecheck.pruning.tickets import Ticket, dense_ticket, load_ticket, save_ticket
from prunecheck.pruning.topology import TopologyUpdates, register_growth
from prunecheck.pruning.trainings import DENSE, Training

__all__ = [
    "ALLOCATIONS",
    "CRITERIA",
    "DENSE",
    "METHODS",
    "AnyMethod",
    "Collapse",
    "Criterion",
    "Method",
    "POST_TRAINING_METHODS",
    "PostTrainingMethod",
    "Ticket",
    "TopologyUpdates",
    "Training",
    "allocate",
    "choose_prunable",
    "dense_ticket",
    "find_method",
    "find_stages",
    "force",
    "gem_miner",
    "grasp",
    "iter_snip",
    "keep_ratios",
    "load_ticket",
    "magnitude",
    "make_ticket",
    "mask_from",
    "method_names",
    "ntk_sap",
    "phew",
    "prospr",
    "prunable_shapes",
    "prunable_weights",
    "prune_after_training",
    "random_scores",
    "register_allocation",
    "register_criterion",
    "register_growth",
    "register_method",
    "register_post_training_method",
    "save_ticket",
    "snip",
    "sparsity_of",
    "synflow",
]
