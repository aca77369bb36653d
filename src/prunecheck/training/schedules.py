"""Schedules of the learning rate: by which factor it is multiplied in each step of a training."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

WARMUP_START = 0.01
"""By what a warm-up multiplies the rate in its first step; from there it rises evenly to the full rate."""

ONE_CYCLE_START = 1 / 25
"""By what one-cycle multiplies the rate in its first step (Smith and Topin, arXiv:1708.07120; as in torch)."""

ONE_CYCLE_END = ONE_CYCLE_START / 1e4
"""By what one-cycle multiplies the rate in its last step, as in torch."""


@dataclass(frozen=True)
class Place:
    """Where a training is, and what its schedule is.

    Attributes:
        step: which one, counted from 0.
        steps: of the whole training.
        epoch: of the step, counted from 0.
        milestones: epochs from which on ``gamma`` multiplies the rate once more.
        gamma: see there.
        peak: share of the training after which one-cycle has the full rate, in (0, 1).
    """

    step: int
    steps: int
    epoch: int
    milestones: tuple[int, ...]
    gamma: float
    peak: float


def steps(place: Place) -> float:
    """``gamma`` to the power of the number of milestones passed; torch's ``MultiStepLR``."""
    return place.gamma ** sum(place.epoch >= milestone for milestone in place.milestones)


def constant(place: Place) -> float:
    """1 throughout."""
    return 1.0


def cosine(place: Place) -> float:
    """Half a cosine from 1 to 0 (arXiv:1608.03983, eq. 5, without restarts); torch's ``CosineAnnealingLR``."""
    return (1 + math.cos(math.pi * place.step / place.steps)) / 2


def linear(place: Place) -> float:
    """Evenly from 1 to 0."""
    return 1 - place.step / place.steps


def one_cycle(place: Place) -> float:
    """Up to 1 and down to almost 0, both along half a cosine; torch's ``OneCycleLR``, momentum left as it is."""
    top, last = place.peak * place.steps - 1, place.steps - 1
    if place.step <= top:
        return _between(ONE_CYCLE_START, 1.0, place.step / top if top > 0 else 1.0)
    return _between(1.0, ONE_CYCLE_END, (place.step - top) / (last - top))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


SCHEDULES: Mapping[str, Callable[[Place], float]] = {
    "steps": steps,
    "constant": constant,
    "cosine": cosine,
    "linear": linear,
    "one-cycle": one_cycle,
}
"""By the name that a recipe has for them."""

BY_EPOCH = ("steps", "constant")
"""Those that are the same in all steps of an epoch, and in which a warm-up is one factor more.

The others begin when the warm-up is over, and have what is left of the training; as torch's ``SequentialLR`` has it.
"""


def warmed_up(step: int, warmup: int) -> float:
    """Return the factor of a warm-up of so many steps; torch's ``LinearLR``."""
    return 1.0 if step >= warmup else WARMUP_START + (1 - WARMUP_START) * step / warmup
