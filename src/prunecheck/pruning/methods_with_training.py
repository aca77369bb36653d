"""The methods that prune trained networks: lottery tickets, rewinding, pruning in rounds, hybrid tickets."""

import re

from prunecheck.errors import InputError
from prunecheck.pruning.criteria import CRITERIA, Criterion
from prunecheck.pruning.masks import GLOBAL_CONVOLUTIONS
from prunecheck.pruning.methods import ARGUMENT, METHODS, Method
from prunecheck.pruning.trainings import Training, WeightsAt, trained


def _magnitude() -> Criterion:
    """Return a criterion of ours, without importing what installed packages offer."""
    return CRITERIA.entries["magnitude"].item


METHODS.add(
    "lt",
    Method("lt", _magnitude(), GLOBAL_CONVOLUTIONS, scored=trained),
    "lottery ticket: the largest trained weights of the convolutions, back at initialisation (arXiv:1803.03635)",
)
METHODS.add(
    "lr-rewinding",
    Method("lr-rewinding", _magnitude(), GLOBAL_CONVOLUTIONS, scored=trained, start=trained),
    "the largest trained weights of the convolutions, trained on by the whole schedule (arXiv:2003.02389)",
)
METHODS.add(
    "hybrid",
    Method("hybrid", _magnitude(), "smart", scored=trained, start=trained),
    "hybrid tickets: the largest trained weights within smart ratios, trained on (arXiv:2009.11094)",
)


@METHODS.register("weight-rewinding")
def _weight_rewinding(argument: str) -> Method:
    """The largest trained weights of the convolutions, back at those of epoch N (arXiv:1912.05671); @N."""
    epoch = _whole_number("weight-rewinding", argument, "the epoch to go back to, such as weight-rewinding@3")

    def at_epoch(sparsity: float) -> Training:
        return Training(epochs=epoch)

    return Method(f"weight-rewinding@{epoch}", _magnitude(), GLOBAL_CONVOLUTIONS, scored=trained, start=at_epoch)


@METHODS.register("imp")
def _iterative_magnitude_pruning(argument: str) -> Method:
    """Lottery ticket in rounds, each trained from initialisation; @5: in 5 rounds, @0.2: 20 % a round."""
    if re.fullmatch(r"0?\.[0-9]+", argument):
        rate = float(argument)
        if not LEAST_RATE <= rate <= 1 - LEAST_RATE or float(f"{rate:g}") != rate:
            raise InputError(
                f"the rate of imp is a share from {LEAST_RATE:g} to {1 - LEAST_RATE:g} with at most 6 digits, such as "
                f"imp@0.2, not {argument!r}."
            )
        return Method(f"imp@{rate:g}", _magnitude(), GLOBAL_CONVOLUTIONS, scored=_round_before_at_rate(rate))
    rounds = _whole_number(
        "imp", argument, "the number of rounds, such as imp@5, or the share of weights that a round removes, as imp@0.2"
    )
    return Method(f"imp@{rounds}", _magnitude(), GLOBAL_CONVOLUTIONS, scored=_round_before_of(rounds))


LEAST_RATE = 0.001
"""Of pruning in rounds: hundreds of trainings before each ticket."""

SPARSITY_DECIMALS = 6
"""To which the sparsities of rounds are rounded, so that they are the same number everywhere."""


def _round_before_of(rounds: int) -> WeightsAt:
    """Divide the way to a sparsity into rounds that each remove the same share of what is left."""

    def scored(sparsity: float) -> Training:
        if rounds == 1:
            return Training()
        before = 1 - (1 - sparsity) ** ((rounds - 1) / rounds)
        return Training(f"imp@{rounds - 1}", round(before, SPARSITY_DECIMALS))

    return scored


def _round_before_at_rate(rate: float) -> WeightsAt:
    """Remove the same share of what is left in each round; the last round removes what is missing."""

    def scored(sparsity: float) -> Training:
        before = 0.0
        while (after := round(1 - (1 - before) * (1 - rate), SPARSITY_DECIMALS)) < sparsity:
            before = after
        return Training(f"imp@{rate:g}", before) if before else Training()

    return scored


def _whole_number(method: str, argument: str, meaning: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]*", argument):
        given = f", not {argument!r}" if argument else ""
        raise InputError(f"{method} is written with {ARGUMENT} and {meaning}{given}.")
    return int(argument)
