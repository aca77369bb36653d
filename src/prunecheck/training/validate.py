"""Whether tickets are all of one network, and a recipe is one for the images."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from prunecheck.data.datasets import Dataset
from prunecheck.data.inputs import TokenShape
from prunecheck.errors import InputError, field_name
from prunecheck.pruning.layers import prunable_weights
from prunecheck.pruning.tickets import Ticket
from prunecheck.training.recipe import Recipe

OF_IMAGES = ("mixup", "cutout")
"""Fields of a recipe that change images."""


def require_tickets_of(model: nn.Module, tickets: Sequence[Ticket]) -> None:
    """See that every ticket's weights and masks are for the network.

    Raises:
        InputError: they are not; it says which ticket, counted from 0.
    """
    weights = model.state_dict()
    # Only a ticket with masks asks for layers that can be pruned.
    prunable = prunable_weights(model) if any(ticket.masks for ticket in tickets) else {}
    for index, ticket in enumerate(tickets):
        reason = _misfit("weight", ticket.weights, weights, all_of_them=True)
        reason = reason or _misfit("mask", ticket.masks, prunable, all_of_them=False)
        if reason:
            raise InputError(f"ticket {index} is not one of this network, for {reason}: train it in a call of its own.")


def require_images_for(recipe: Recipe, dataset: Dataset) -> None:
    """See that a data set has images that a recipe can change as it says.

    Raises:
        InputError: it is one of tokens, or its images are smaller than the square that is cut out of them.
    """
    shape = dataset.image_shape
    changed = next((name for name in OF_IMAGES if getattr(recipe, name)), None)
    if changed and isinstance(shape, TokenShape):
        raise InputError(
            f"{field_name(changed)} changes images, and {dataset.name} holds tokens: leave it out.", field=changed
        )
    if recipe.cutout > min(shape[1:]):
        raise InputError(
            f"{field_name('cutout')} of {recipe.cutout} is more than the images of {dataset.name} have, which are "
            f"{shape[1]} by {shape[2]} pixels: choose a smaller square, such as {min(shape[1:]) // 2}.",
            field="cutout",
        )


def _misfit(kind: str, found: Mapping[str, Tensor], own: Mapping[str, Tensor], *, all_of_them: bool) -> str | None:
    """Say in which way tensors do not fit those of the network."""
    for name, tensor in found.items():
        if name not in own:
            return f"it has a {kind} of {name}, which the network has not"
        if tensor.shape != own[name].shape:
            return f"its {kind} of {name} has shape {tuple(tensor.shape)} and the network's {tuple(own[name].shape)}"
    missing = [name for name in own if name not in found]
    return f"it has no {kind} of {missing[0]}" if missing and all_of_them else None
