"""Checks that change a finished ticket. Each returns a new ticket and leaves its argument as it was."""

from dataclasses import replace

import torch

from prunecheck.checks.registry import register_check
from prunecheck.errors import InputError
from prunecheck.pruning.layers import weight_name
from prunecheck.pruning.methods import Method
from prunecheck.pruning.patterns import UNSTRUCTURED
from prunecheck.pruning.tickets import Ticket


def _starts_whole(method: Method) -> str | None:
    if not (method.updates and method.updates.is_gradual):
        return None
    return "{method} starts with all weights, and the mask that it ends with is that of final-mask-of:{method}"


@register_check(
    "rearrange-mask", changes="ticket", information="which weights of each layer it keeps", unfit=_starts_whole
)
def rearrange_mask(ticket: Ticket, generator: torch.Generator) -> Ticket:
    """Other weights of each layer are kept, as many as before; of a pattern, other units of it.

    A method that relies on which weights it keeps loses that; how many it keeps of each layer stays
    (arXiv:2009.11094, section 3.2, layerwise rearrange). Masks with a pattern keep it: other channels
    are kept, other blocks, or in every group of M weights other N.
    """
    return replace(ticket, masks=ticket.structure.rearranged(ticket.masks, generator))


def _has_no_rows(method: Method) -> str | None:
    if method.pattern != UNSTRUCTURED:
        return "masks of {method} have a pattern, within which rearrange-mask stays"
    return _starts_whole(method)


@register_check(
    "rearrange-rows", changes="ticket", information="which weights of each output it keeps", unfit=_has_no_rows
)
def rearrange_rows(ticket: Ticket, generator: torch.Generator) -> Ticket:
    """Other weights of each output are kept, as many as before: the mask is rearranged within the rows of each layer.

    A method that relies on which inputs of an output it keeps loses that; how many it keeps of each output stays.
    """
    masks = {}
    for layer, mask in ticket.masks.items():
        rows = mask.flatten(1)
        orders = torch.rand(rows.shape, generator=generator, dtype=torch.float64).argsort(1).to(mask.device)
        masks[layer] = rows.gather(1, orders).view(mask.shape)
    return replace(ticket, masks=masks)


def _updates_nothing(method: Method) -> str | None:
    return None if method.is_after_training else "{method} updates no weights that it keeps"


@register_check(
    "no-update", changes="ticket", information="its update of the weights that it keeps", unfit=_updates_nothing
)
def no_update(ticket: Ticket, generator: torch.Generator) -> Ticket:
    """The kept weights are as they were trained; the mask stays.

    A method that relies on its update of kept weights, as SparseGPT's, loses it; of one without, nothing changes.
    """
    return ticket if ticket.before_update is None else replace(ticket, weights=ticket.before_update, before_update=None)


def _is_after_training(method: Method) -> str | None:
    return "nothing is trained after {method}, so that its weights are no start" if method.is_after_training else None


@register_check(
    "ratios-only",
    changes="ticket",
    information="anything of its mask but the layerwise ratios",
    absorbs=("rearrange-mask",),
    unfit=_starts_whole,
)
def ratios_only(ticket: Ticket, generator: torch.Generator) -> Ticket:
    """A random mask is drawn with the ticket's layerwise ratios, without a look at its own.

    A method that relies on its mask beyond the ratios loses that. The masks have the same
    distribution as those of ``rearrange-mask``, and keep a pattern as these do: two ways to say the same.
    """
    return replace(ticket, masks=ticket.structure.redrawn(ticket.masks, generator))


@register_check("shuffle-weights", changes="ticket", information="which value each kept weight starts from")
def shuffle_weights(ticket: Ticket, generator: torch.Generator) -> Ticket:
    """The kept weights of each layer change places; the mask stays.

    A method that relies on the values at the places it keeps loses that; the mask and the values
    of each layer stay (arXiv:2009.11094, section 3.2, layerwise weights shuffling).
    """
    weights = dict(ticket.weights)
    for layer, mask in ticket.masks.items():
        name = weight_name(layer)
        shuffled = weights[name].clone()
        kept = shuffled[mask]
        order = torch.randperm(len(kept), generator=generator).to(kept.device)
        shuffled[mask] = kept[order]
        weights[name] = shuffled
    return replace(ticket, weights=weights)


@register_check(
    "reinit",
    changes="ticket",
    information="the weights that training starts from",
    absorbs=("shuffle-weights",),
    unfit=_is_after_training,
)
def reinit(ticket: Ticket, generator: torch.Generator) -> Ticket:
    """Training starts from newly drawn initial weights; the mask stays.

    A method that relies on the weights it scored, or trained, loses them.

    Raises:
        InputError: the ticket does not say how its initial weights are drawn.
    """
    if ticket.draw_weights is None:
        raise InputError("this ticket cannot be reinitialised: give it draw_weights, which draws its initial weights.")
    seed = int(torch.randint(2**62, (), generator=generator))
    return replace(ticket, weights=ticket.draw_weights(seed))
