"""The earlier trainings whose weights, or masks, methods use."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

DENSE = "dense"
"""Stands in the place of a method for the network that nothing is pruned of."""


@dataclass(frozen=True)
class Training:
    """An earlier training, whose weights a method uses.

    Attributes:
        method: whose ticket was trained, with the same seed; ``dense``: the whole network.
        sparsity: of that ticket.
        epochs: after how many epochs of the recipe its weights are taken; None: after all.
        part: what of it is used: its weights, or the masks that they ended with, of a method whose masks move.
    """

    method: str = DENSE
    sparsity: float = 0.0
    epochs: int | None = None
    part: Literal["weights", "masks"] = "weights"


WeightsAt = Callable[[float], Training | None]
"""Given the sparsity, says which weights are meant; None: the initial ones."""


def initial(sparsity: float) -> None:
    """Ask for the initial weights."""


def trained(sparsity: float) -> Training:
    """Ask for the weights of the trained dense network."""
    return Training()
