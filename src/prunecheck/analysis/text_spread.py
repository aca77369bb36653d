"""How far a difference varies with the test text, where the spread over seeds is one of calibration draws alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from prunecheck.errors import InputError
from prunecheck.metrics import Quantity, find_metric
from prunecheck.runs.result import RunResult

RESAMPLES = 2000

SEED = 0
"""Of the resamples: the same results have the same interval."""


@dataclass(frozen=True)
class TextSpread:
    """A percentile bootstrap over test sequences of a mean difference (Efron and Tibshirani, 1993, chapter 13).

    Attributes:
        low, high: the ends of the 95 % interval, as differences are counted, positive for a cost.
        sequences: how many test sequences are drawn from.
    """

    low: float
    high: float
    sequences: int


def text_spread(
    own: Sequence[RunResult | None], other: Sequence[RunResult | None], quantity: Quantity
) -> TextSpread | None:
    """Return how far the mean cost of a change varies over texts such as the test part.

    The draws of calibration data stay as they are, and the same sequences are drawn for both tickets of all pairs.

    Args:
        own: what a method's runs ended with, None where there is no result.
        other: likewise of the changed ones, pair by pair.
        quantity: what runs are judged by.

    Returns:
        None where runs have no losses by sequence, their metric does not follow from the mean loss, or differences
        are percentages and a value is not more than 0.
    """
    of_loss = _of_mean_loss(quantity)
    pairs = [
        (one.sequence_losses, two.sequence_losses)
        for one, two in zip(own, other, strict=True)
        if one and two and one.value is not None and two.value is not None
    ]
    sizes = {len(losses) for pair in pairs for losses in pair}
    if of_loss is None or len(sizes) != 1 or sizes == {0}:
        return None
    (count,) = sizes
    source = numpy.random.default_rng(SEED)
    weights = source.multinomial(count, numpy.full(count, 1 / count), RESAMPLES) / count
    value, changed = (_values(weights, [pair[side] for pair in pairs], of_loss) for side in (0, 1))
    if not quantity.has_differences_from(value):
        return None
    low, high = numpy.quantile(quantity.advantage(value, changed).mean(axis=1), (0.025, 0.975))
    return TextSpread(float(low), float(high), count)


def _values(
    weights: NDArray[numpy.float64], losses: Sequence[Sequence[float]], of_loss: Callable[[float], float]
) -> NDArray[numpy.float64]:
    """Return the metric of each resample and run, (resamples, runs)."""
    values: NDArray[numpy.float64] = numpy.vectorize(of_loss, otypes=[float])(weights @ numpy.array(losses).T)
    return values


def _of_mean_loss(quantity: Quantity) -> Callable[[float], float] | None:
    """Return what makes the metric of a mean cross entropy in nats; None where it does not follow from it."""
    try:
        metric = find_metric(quantity.name)
    except InputError:
        return None  # one of users' own, whose file is not read for a report
    is_of_loss = metric.column == "test_loss" and metric.quantity == quantity.with_plain_differences
    return metric.of_column if is_of_loss else None
