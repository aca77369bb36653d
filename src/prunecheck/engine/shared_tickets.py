"""Tickets that one run has made and others change: of methods after training, under checks of the ticket alone."""

from collections.abc import Mapping
from dataclasses import replace

import torch

from prunecheck.checks import find_check
from prunecheck.errors import InputError
from prunecheck.pruning import Method, Ticket, Training
from prunecheck.pruning.layers import weight_name
from prunecheck.pruning.methods_without_training import post_training_method
from prunecheck.pruning.tickets import Weights
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunStore


def unchanged_ticket(
    store: RunStore, spec: RunSpec, method: Method | None, given: Mapping[Training, Weights]
) -> Ticket | None:
    """Return the ticket that a run's check changes, if the unchanged run has left it: the same that would be made anew.

    Of the methods after training that come with prunecheck alone: they read nothing but what the spec covers.

    Args:
        store: where the unchanged run is, finished or not.
        spec: the run.
        method: its method.
        given: the trained weights that the ticket is made of.

    Returns:
        None where it has to be made: there is no such file, it is damaged or made of other weights, or the check
        changes what the method sees.
    """
    if spec.check is None or method is None or post_training_method(method) is None or len(given) != 1:
        return None
    change = find_check(spec.check)
    if change.of_data.parts or change.of_scores.parts:
        return None
    try:
        ticket = store.folder(spec.changed(check=None, check_hash=None)).ticket()
    except InputError:
        return None
    (trained,) = given.values()
    if ticket is None or not _is_made_of(ticket, trained):
        return None
    return replace(ticket, before_update=trained)


def _is_made_of(ticket: Ticket, trained: Weights) -> bool:
    """Say whether all that is no kept weight is as it was trained."""
    pruned = {weight_name(layer): mask for layer, mask in ticket.masks.items()}
    if ticket.weights.keys() != trained.keys() or not pruned.keys() <= trained.keys():
        return False
    return all(
        weight.shape == trained[name].shape
        and torch.equal(*(one[~pruned[name]] if name in pruned else one for one in (weight, trained[name])))
        for name, weight in ticket.weights.items()
    )
