"""The numbers that each step of a training has beside the images that are drawn for it."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from prunecheck.data.batches import Batches
from prunecheck.training.loss import mixing_shares
from prunecheck.training.optimizer import Rate
from prunecheck.training.recipe import Recipe
from prunecheck.training.stream import Stream


def has_numbers(recipe: Recipe) -> bool:
    """Say whether each step has numbers of its own, a learning rate and a share, beside its draws."""
    return not recipe.is_by_epoch or bool(recipe.mixup)


def training_draws(
    recipe: Recipe, seed: int, epoch: int, batches: Batches, stream: Stream
) -> Iterator[tuple[Rate | None, ...]]:
    """Yield what :func:`training_step` is given of each batch of an epoch, from the learning rate on if it has numbers.

    Args:
        recipe: hyper-parameters.
        seed: of the run.
        epoch: counted from 0.
        batches: of the training images.
        stream: where the steps are done.
    """
    draws = batches.draws(seed, epoch)
    if not has_numbers(recipe):
        return draws
    steps = len(batches)
    rates = stream.numbers([recipe.learning_rate_at(epoch, step, steps) for step in range(steps)])
    if not recipe.mixup:
        return ((rate, *drawn) for rate, drawn in zip(rates, draws, strict=True))
    shares = stream.numbers(mixing_shares(recipe.mixup, seed, epoch, steps))
    return ((rate, *drawn, share) for rate, drawn, share in zip(rates, draws, shares, strict=True))


def draws_and_share(recipe: Recipe, numbers: Sequence[Any]) -> tuple[Sequence[Tensor], Rate | None]:
    """Return what a batch is drawn by, see :meth:`prunecheck.data.Batches.drawn`, and in which share it is mixed.

    Args:
        recipe: hyper-parameters.
        numbers: of a step, by :func:`training_draws`, behind its learning rate.
    """
    return (numbers[:-1], numbers[-1]) if recipe.mixup else (numbers, None)
