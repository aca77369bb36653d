"""Tickets: starting weights and a mask, and their files."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.io import atomic_write
from prunecheck.pruning.collapse import Collapse, collapse_of_masks, empty_layers
from prunecheck.pruning.layers import Masks
from prunecheck.pruning.patterns import PLAIN, Structure, structure_of_description
from prunecheck.pruning.topology import TopologyUpdates
from prunecheck.tensors import read_tensors, tensors_bytes

Weights = dict[str, Tensor]

BY_LOT_KEY = "share_by_lot"
"""In a ticket file's description, what :attr:`Ticket.share_by_lot` was."""

UPDATES_KEY = "topology_updates"
"""Likewise, of :attr:`Ticket.updates`."""


@dataclass(frozen=True)
class Ticket:
    """What is trained.

    Attributes:
        weights: the state dict that training starts from, not yet masked: a mask that is moved
            uncovers the weights that it moves to.
        masks: boolean, by layer name, True = kept; empty for a dense network.
        draw_weights: given a seed, returns other initial weights of the same network.
        collapse: why the ticket is degenerate, if it is.
        share_by_lot: share, in [0, 1], of the kept weights that were drawn by lot, for others that
            were removed have the same score.
        structure: which of its weights are kept together, by the pattern that its masks have.
        before_update: the weights that it was made of, of a method after training that updates those it keeps.
        updates: how the mask moves while it is trained; None for one that stays.
    """

    weights: Weights
    masks: Masks
    draw_weights: Callable[[int], Weights] | None = None
    collapse: Collapse | None = None
    share_by_lot: float = 0.0
    structure: Structure = PLAIN
    updates: TopologyUpdates | None = None
    before_update: Weights | None = None

    def on_cpu(self) -> "Ticket":
        """Return the ticket with its weights and masks on the CPU."""
        weights = {name: tensor.cpu() for name, tensor in self.weights.items()}
        return replace(self, weights=weights, masks={layer: mask.cpu() for layer, mask in self.masks.items()})

    @property
    def remarks(self) -> list[str]:
        """What is remarkable about it, beside a collapse: empty layers, and weights that were drawn by lot."""
        found = []
        if empty := empty_layers(self.masks):
            found.append(f"no weight is left in {', '.join(empty)}")
        if self.share_by_lot:
            share = f"{100 * self.share_by_lot:.3g}"
            found.append(f"{share} % of the kept weights were drawn by lot among equal scores")
        return found

    def checked(self, model: nn.Module, image_shape: tuple[int, ...]) -> "Ticket":
        """Return the ticket with its collapse found, if its masks leave no working network."""
        if self.collapse or not self.masks:
            return self
        return replace(self, collapse=collapse_of_masks(model, self.masks, image_shape))


def copy_weights(model: nn.Module) -> Weights:
    """Return a copy of a network's state dict."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def dense_ticket(model: nn.Module) -> Ticket:
    """Return the whole network as a ticket that prunes nothing."""
    return Ticket(copy_weights(model), {})


def ticket_bytes(ticket: Ticket, description: dict[str, object]) -> bytes:
    """Return a ticket as a safetensors file: ``weights/NAME``, ``masks/LAYER`` and a description as JSON."""
    if ticket.structure != PLAIN:
        description = description | ticket.structure.described()
    if ticket.share_by_lot:
        description = description | {BY_LOT_KEY: ticket.share_by_lot}
    if ticket.updates:
        description = description | {UPDATES_KEY: ticket.updates.to_json()}
    return tensors_bytes({"weights": ticket.weights, "masks": ticket.masks}, description)


def save_ticket(ticket: Ticket, path: Path, description: dict[str, object]) -> None:
    """Write a ticket; see :func:`ticket_bytes`. The file appears whole or not at all."""
    atomic_write(path, ticket_bytes(ticket, description))


def load_ticket(path: Path) -> tuple[Ticket, dict[str, object]]:
    """Read a ticket and its description.

    Raises:
        InputError: there is no such file, or it is not a ticket.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}: make a ticket with `prunecheck prune METHOD -o {path}`.")
    try:
        groups, description = read_tensors(path, ("weights", "masks"))
        structure = structure_of_description(description, groups["masks"])
        moves = description.get(UPDATES_KEY)
        updates = None if moves is None else TopologyUpdates.from_json(moves)
    except ValueError as error:
        raise InputError(f"{path} is not a ticket: make one with `prunecheck prune METHOD -o {path}`.") from error
    by_lot = description.get(BY_LOT_KEY, 0.0)
    share = by_lot if isinstance(by_lot, float) and 0 <= by_lot <= 1 else 0.0
    ticket = Ticket(groups["weights"], groups["masks"], share_by_lot=share, structure=structure, updates=updates)
    return ticket, description
