"""A check: the kept weights start with random signs."""

from dataclasses import replace

import torch

from prunecheck.checks import register_check
from prunecheck.pruning import Ticket


@register_check("flip-signs", changes="ticket", information="the signs of the weights that it keeps")
def flip_signs(ticket: Ticket, generator: torch.Generator, share: float = 1.0) -> Ticket:
    """The kept weights of each layer are given random signs.

    A method that relies on the signs that it scored loses them; the mask and the size of each weight stay.

    Args:
        ticket: weights by the names of the state dict, masks by layer; it is left as it was.
        generator: of this run and check, on the CPU; nothing else may be drawn from.
        share: of the kept weights that are given a sign by lot, in [0, 1]: ``flip-signs@0.5``.
    """
    weights = dict(ticket.weights)
    for layer, mask in ticket.masks.items():
        weight = weights[f"{layer}.weight"]
        is_changed = torch.rand(weight.shape, generator=generator) < share
        is_flipped = torch.rand(weight.shape, generator=generator) < 0.5
        turned = mask & (is_changed & is_flipped).to(mask.device)
        weights[f"{layer}.weight"] = torch.where(turned, -weight, weight)
    return replace(ticket, weights=weights)
