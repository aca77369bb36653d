"""The training hyper-parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prunecheck.constraints import Constraint, ListOf, Number, WholeNumber, require_all

RECIPE: Mapping[str, Constraint[Any]] = {
    "epochs": WholeNumber(),
    "batch_size": WholeNumber(at_least=2, why="for batch norm"),
    "learning_rate": Number(above=0),
    "momentum": Number(at_least=0, below=1),
    "weight_decay": Number(at_least=0),
    "milestones": ListOf(WholeNumber(at_least=0), "epochs", "[80, 120]", may_be_empty=True, may_repeat=True),
    "gamma": Number(above=0),
}
"""What the fields of a recipe take."""


@dataclass(frozen=True)
class Recipe:
    """Stochastic gradient descent with momentum, weight decay and a step schedule.

    The defaults are those of arXiv:2009.11094.

    Attributes:
        epochs: passes over the training data.
        milestones: epochs, counted from 0, from which on the learning rate is multiplied by ``gamma``.
        weight_decay: on all parameters, as published.
    """

    epochs: int = 160
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    milestones: tuple[int, ...] = (80, 120)
    gamma: float = 0.1

    def __post_init__(self) -> None:
        require_all(RECIPE, vars(self))

    def learning_rate_at(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        return self.learning_rate * self.gamma ** sum(epoch >= milestone for milestone in self.milestones)


def step_schedule(epochs: int) -> tuple[int, ...]:
    """Return the published milestones, half and three quarters of the way, for any number of epochs.

    Those that would fall before the first epoch are left out.
    """
    return tuple(milestone for milestone in (epochs // 2, epochs * 3 // 4) if milestone)
