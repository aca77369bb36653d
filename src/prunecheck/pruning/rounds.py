"""Pruning in rounds that only score in between: how many weights are left after each, and what the rounds end with."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from prunecheck.errors import InputError
from prunecheck.pruning.allocations import require_sparsity
from prunecheck.pruning.layers import Masks, Scores
from prunecheck.pruning.masks import keep_largest

ScoreMasked = Callable[[Masks], Scores]
"""Given masks, scores the masked network; no score is negative."""

DENSITY_DECIMALS = 15
"""To which 1 - sparsity is rounded."""


def require_schedule(sparsity: float, rounds: int) -> None:
    """Raise :class:`InputError` if there is no such sparsity, or no round."""
    require_sparsity(sparsity)
    if rounds < 1:
        raise InputError(f"a criterion in rounds needs at least 1 round, not {rounds}.")


def rounded_up(total: int, sparsity: float, rounds: int) -> list[int]:
    """Return how many weights are left after each round but the last, as in the published code of SynFlow."""
    density = _density(sparsity)
    return [total - int((1.0 - density ** (number / rounds)) * total) for number in range(1, rounds)]


def cut_off(total: int, sparsity: float, rounds: int) -> list[int]:
    """Return how many weights are left after each round but the last, as in the published code of FORCE."""
    decay = math.log(_density(sparsity))
    return [int(total * math.exp(number * decay / rounds)) for number in range(1, rounds)]


def _density(sparsity: float) -> float:
    """Return 1 - sparsity as it is written: 0.1 for 0.9, where the difference of floats is a little less."""
    return round(1 - sparsity, DENSITY_DECIMALS)


def count_weights(dense: Mapping[str, Tensor]) -> int:
    """Return how many weights there are in all layers."""
    return sum(weight.numel() for weight in dense.values())


def remove_for_good(score: ScoreMasked, dense: Mapping[str, Tensor], counts: Sequence[int]) -> Scores:
    """Return the scores of the last round, float64, with those of weights removed before it below 0.

    A weight that goes in round t of T gets a score in [t - T - 1, t - T - 0.5], by its last score.
    Scores that are not finite can choose nothing: they end the rounds, and are returned.

    Args:
        score: see :data:`ScoreMasked`.
        dense: the weights.
        counts: how many weights are left after each of the T - 1 rounds before the last.
    """
    alive = everything(dense)
    removed = {layer: torch.zeros_like(weight, dtype=torch.float64) for layer, weight in dense.items()}
    for number, count in enumerate(counts, start=1):
        scores = _in_float64(score(alive))
        if not all_finite(scores):
            return scores
        ranked = {layer: torch.where(alive[layer], values, removed[layer]) for layer, values in scores.items()}
        kept = keep_largest(ranked, count)
        largest = max(float(values.max()) for values in scores.values()) or 1.0
        for layer, values in ranked.items():
            below = number - len(counts) - 2 + values / (2 * largest)
            removed[layer] = torch.where(alive[layer] & ~kept[layer], below, removed[layer])
        alive = kept
    scores = _in_float64(score(alive))
    if not all_finite(scores):
        return scores
    return {layer: torch.where(alive[layer], values, removed[layer]) for layer, values in scores.items()}


def _in_float64(scores: Scores) -> Scores:
    return {layer: values.to(torch.float64) for layer, values in scores.items()}


def everything(dense: Mapping[str, Tensor]) -> Masks:
    """Return masks that keep all weights."""
    return {layer: torch.ones_like(weight, dtype=torch.bool) for layer, weight in dense.items()}


@torch.no_grad()
def set_masked(weights: Mapping[str, Tensor], dense: Mapping[str, Tensor], masks: Masks) -> None:
    """Overwrite a network's weights by dense ones, with 0 where the masks remove them."""
    for layer, weight in weights.items():
        torch.mul(dense[layer], masks[layer], out=weight)


def all_finite(scores: Scores) -> bool:
    """Say whether all scores can be ordered."""
    return all(bool(values.isfinite().all()) for values in scores.values())
