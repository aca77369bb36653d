"""That nothing is bought with accuracy: both ways of training on a real data set, over seeds."""

import pytest

from prunecheck.analysis.statistics import LEVEL, paired_difference
from prunecheck.data import ScoringData, load_dataset
from prunecheck.pruning import find_method, make_ticket
from prunecheck.randomness import generator, seeded_global_generator
from prunecheck.training import Acceleration, Recipe, train
from tests.training.sparse.graphs import Convolution, Graph

MARGIN = 1.0
"""Percentage points of accuracy; stated beforehand, and less than what another seed changes."""

CHANCE = 10.0

SEEDS = range(6)
RECIPE = Recipe(epochs=4, batch_size=16, milestones=(3,))
CONVOLUTIONS = [
    Convolution(0, 8, 3, 1, 1, bias=False, norm=True, relu=True),
    Convolution(1, 16, 3, 2, 1, bias=False, norm=True, relu=True),
    Convolution(2, 16, 3, 1, 1, bias=False, norm=True, relu=True),
]
"""A small network, which 160 steps teach enough."""


@pytest.mark.usefixtures("kernels")
def test_the_accuracy_is_that_of_dense_training_within_a_margin() -> None:
    """Rounding grows over hundreds of steps, so that runs differ, but by less than the margin on average.

    The 95 % interval of the paired difference lies inside of +-1 point, and two one-sided tests say so. This would
    show a small bias that no comparison of single steps shows.
    """
    digits = load_dataset("digits")
    accuracies: dict[bool, list[float]] = {True: [], False: []}
    losses: set[float] = set()
    for seed in SEEDS:
        with seeded_global_generator(seed, "initial weights"):
            channels, height, width = digits.image_shape
            model = Graph((channels, height, width), CONVOLUTIONS, classes=10)
        placement = generator(seed, "mask placement")
        ticket = make_ticket(find_method("random-uniform"), model, ScoringData(), 0.6, placement)
        for sparse, found in accuracies.items():
            acceleration = Acceleration(sparse_convolutions=sparse)
            (record,) = train([ticket], model, digits, RECIPE, [seed], acceleration=acceleration)
            assert ("sparse_convolutions" in record.acceleration) is sparse
            found.append(record.metrics[-1].test_accuracy or 0)
            losses.add(record.metrics[-1].test_loss or 0)
    difference = paired_difference(accuracies[True], accuracies[False])
    # There is something to compare: the networks have learned, seeds matter, and the two ways are not one.
    assert min(accuracies[False]) > 3 * CHANCE
    assert max(accuracies[False]) - min(accuracies[False]) > MARGIN
    assert len(losses) > len(SEEDS)
    assert difference.interval is not None
    low, high = difference.interval
    assert -MARGIN < low <= high < MARGIN
    assert difference.p_within(MARGIN) < LEVEL
