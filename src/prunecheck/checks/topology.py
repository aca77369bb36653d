"""Checks that change how a mask moves while it is trained; the start of the training stays.

Is it the topology at the end, the path to it, or the schedule? ``freeze-topology`` asks of moving at all,
``random-growth`` and ``random-drop`` of the path, ``prune-at-once`` of the schedule, and the checks of
``final-mask-of:METHOD`` of the topology at the end.
"""

from dataclasses import replace

import torch

from prunecheck.checks.registry import register_check
from prunecheck.pruning.layers import weight_name
from prunecheck.pruning.methods import Method
from prunecheck.pruning.tickets import Ticket
from prunecheck.pruning.topology import UpdateSchedule, updated_masks


def _stays(method: Method) -> str | None:
    return None if method.updates else "the masks of {method} stay as they are in training"


def _grows_nothing(method: Method) -> str | None:
    if method.updates and method.updates.growth is None:
        return "{method} grows no weight in training"
    return _stays(method)


def _is_not_gradual(method: Method) -> str | None:
    return None if method.updates and method.updates.is_gradual else "{method} is not pruned gradually in training"


@register_check("freeze-topology", changes="topology", information="moving its mask in training", unfit=_stays)
def freeze_topology(ticket: Ticket, generator: torch.Generator) -> Ticket:
    """The mask stays as it is when training starts.

    A method that relies on moving its mask loses that. One that starts with all weights is pruned to its sparsity at
    once, before the first step, by the same scores.
    """
    updates = ticket.updates
    if updates is None or not updates.is_gradual:
        return replace(ticket, updates=None)
    weights = {layer: ticket.weights[weight_name(layer)] for layer in ticket.masks}
    alone = UpdateSchedule(replace(updates, growth=None, interval=1, at_once=True), steps=2)
    return replace(ticket, masks=updated_masks(alone, 2, weights, ticket.masks, None, generator), updates=None)


@register_check("random-growth", changes="topology", information="which weights it grows", unfit=_grows_nothing)
def random_growth(ticket: Ticket, generator: torch.Generator) -> Ticket:
    """Weights are grown at random, as many as before: what SET is to RigL.

    A method that relies on which weights it grows, on their gradients for instance, loses that.
    """
    return replace(ticket, updates=ticket.updates and replace(ticket.updates, growth="random"))


@register_check("random-drop", changes="topology", information="which weights it drops", unfit=_stays)
def random_drop(ticket: Ticket, generator: torch.Generator) -> Ticket:
    """Which of the kept weights are dropped, or pruned, is drawn at random, as many as before.

    A method that relies on which weights it drops, the smallest ones for instance, loses that.
    """
    return replace(ticket, updates=ticket.updates and replace(ticket.updates, drop="random"))


@register_check("prune-at-once", changes="topology", information="pruning in many small steps", unfit=_is_not_gradual)
def prune_at_once(ticket: Ticket, generator: torch.Generator) -> Ticket:
    """All that is pruned in training is pruned in one step, halfway of the schedule.

    A method that relies on pruning gradually loses that.
    """
    return replace(ticket, updates=ticket.updates and replace(ticket.updates, at_once=True))
