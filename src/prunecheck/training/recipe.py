"""The training hyper-parameters."""

import math
from dataclasses import dataclass

from prunecheck.errors import InputError


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
        if self.epochs < 1:
            raise InputError(f"training takes at least 1 epoch, not {self.epochs}.")
        if self.batch_size < 2:
            raise InputError(f"a batch needs at least 2 images for batch norm, not {self.batch_size}.")
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"the learning rate must be more than 0 and finite, not {self.learning_rate:g}.")

    def learning_rate_at(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        return self.learning_rate * self.gamma ** sum(epoch >= milestone for milestone in self.milestones)


def step_schedule(epochs: int) -> tuple[int, ...]:
    """Return the published milestones, half and three quarters of the way, for any number of epochs.

    Those that would fall before the first epoch are left out.
    """
    return tuple(milestone for milestone in (epochs // 2, epochs * 3 // 4) if milestone)
