"""Sequential looks at differences that are drawn: how many seeds they take, and what they decide.

The rules are those of verdicts about checks (:mod:`~prunecheck.analysis.mean_test`,
:mod:`~prunecheck.analysis.adjustment`), for many studies at once.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from prunecheck.analysis.mean_test import granularity, least_std, p_value, skewness
from prunecheck.analysis.statistics import LEVEL
from prunecheck.studies.looks import Look

Array = NDArray[Any]

STUDIES = 1000
"""So many are drawn for an expectation, and fewer of large families."""

MOST_DIFFERENCES = 1_000_000
"""That are drawn for an expectation: below a second."""


@dataclass(frozen=True)
class SimulatedLooks:
    """What became of comparisons, all of the shape (studies, comparisons).

    Attributes:
        seeds: with how many each ended.
        is_decided: whether it was decided.
        is_less: whether its difference spoke for less than the margin when it ended.
    """

    seeds: Array
    is_decided: Array
    is_less: Array

    def runs(self, of_a_sparsity: int, dense: int) -> Array:
        """Return how many runs each study took: (studies,).

        Args:
            of_a_sparsity: how many comparisons share the method's own tickets.
            dense: how many dense networks are trained.
        """
        studies, comparisons = self.seeds.shape
        own = self.seeds.reshape(studies, comparisons // of_a_sparsity, of_a_sparsity).max(axis=2).sum(axis=1)
        runs: Array = dense + own + self.seeds.sum(axis=1)
        return runs


def look_at(differences: Array, margin: float, looks: Sequence[Look], test_images: int | None = None) -> SimulatedLooks:
    """Look at studies until all is decided, or the last look was taken.

    Args:
        differences: (studies, comparisons, seeds), in the unit of the margin; a study's comparisons are one family.
        margin: see :class:`~prunecheck.studies.question.Question`.
        looks: the seeds suffice for each.
        test_images: number of test images behind each accuracy; None if it is not known.
    """
    shape = differences.shape[:2]
    is_open, is_decided = numpy.ones(shape, dtype=bool), numpy.zeros(shape, dtype=bool)
    seeds, is_less = numpy.zeros(shape, dtype=int), numpy.zeros(shape, dtype=bool)
    for look in looks:
        waiting = numpy.flatnonzero(is_open.any(axis=1))
        p, less = _p_values(differences[waiting, :, : look.seeds], margin, test_images)
        open_here = is_open[waiting]
        seeds[waiting] = numpy.where(open_here, look.seeds, seeds[waiting])
        is_less[waiting] = numpy.where(open_here, less, is_less[waiting])
        decided = rejected_by_holm(p, open_here, LEVEL * look.share)
        is_decided[waiting] |= decided
        is_open[waiting] &= ~decided
    return SimulatedLooks(seeds, is_decided, is_less)


def _p_values(differences: Array, margin: float, test_images: int | None) -> tuple[Array, Array]:
    """Return p of what the differences speak for, and whether that is less than the margin."""
    n, mean, std = differences.shape[-1], differences.mean(axis=-1), differences.std(axis=-1, ddof=1)
    longer, images = skewness(differences), (least_std(margin, test_images), granularity(test_images))
    less = p_value(margin - mean, std, n, longer, *images)
    more = p_value(mean - margin, std, n, -longer, *images)
    return numpy.minimum(less, more), less < more


def rejected_by_holm(p: Array, is_open: Array, level: float) -> Array:
    """Return which p values are below the level after Holm's correction over the open ones of each row."""
    order = numpy.argsort(numpy.where(is_open, p, numpy.inf), axis=1)
    ranks = numpy.arange(p.shape[1])
    left = is_open.sum(axis=1, keepdims=True) - ranks
    ordered = numpy.take_along_axis(p, order, axis=1)
    below = numpy.logical_and.accumulate((left > 0) & (ordered * left < level), axis=1)
    rejected = numpy.zeros_like(is_open)
    numpy.put_along_axis(rejected, order, below, axis=1)
    return rejected


@functools.cache
def expected_looks(
    comparisons: int,
    std: float,
    looks: tuple[Look, ...],
    *,
    difference: float = 0.0,
    margin: float = 1.0,
    test_images: int | None = None,
) -> SimulatedLooks:
    """Return what looks come to if differences vary normally; always the same draws.

    Args:
        comparisons: of a study.
        std: of the differences, in the unit of the margin.
        looks: at least one.
        difference: what each change truly costs.
        margin: see :func:`look_at`, as for ``test_images``.
        test_images: see there.
    """
    most = looks[-1].seeds
    studies = max(min(STUDIES, MOST_DIFFERENCES // (comparisons * most)), 20)
    draws = numpy.random.default_rng(0).standard_normal((studies, comparisons, most))
    return look_at(draws * std + difference, margin, looks, test_images)
