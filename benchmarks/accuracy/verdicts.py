"""What follows from the accuracies: prunecheck's own verdicts, as on random tickets beside a method's."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from prunecheck.analysis.comparison import (
    UNDECIDED,
    Comparison,
    Summary,
    correct,
    learned_nothing,
    possible_verdicts,
)
from prunecheck.analysis.estimates import estimate
from prunecheck.analysis.statistics import paired_difference, standard_deviation


def summary(accuracies: Sequence[float]) -> Summary:
    """Return mean and deviation over the seeds."""
    found = estimate(accuracies)
    assert found is not None
    deviation = standard_deviation(accuracies) if found.n > 1 else None
    return Summary(found.mean, deviation, found.n, ())


def compare(
    accuracies: Mapping[str, Sequence[float]], reference: str, sparsity: float, chance: float, margin: float
) -> list[Comparison]:
    """Compare each setting with the reference, paired by seed.

    Args:
        accuracies: by setting, percent, in the order of the seeds.
        reference: the setting that the others are compared with.
        sparsity: of the tickets.
        chance: accuracy, percent, of guessing.
        margin: points of accuracy that make no practical difference.

    Returns:
        By setting but the reference: its difference from the reference, and whether it is better, worse, or
        equivalent within the margin (two one-sided tests), adjusted for the number of comparisons (Holm).
    """
    comparisons = [
        _comparison(name, own, reference, accuracies[reference], sparsity, chance, margin)
        for name, own in accuracies.items()
        if name != reference
    ]
    return correct(comparisons, margin)


def _comparison(
    name: str,
    own: Sequence[float],
    reference: str,
    other: Sequence[float],
    sparsity: float,
    chance: float,
    margin: float,
) -> Comparison:
    """Return a comparison with the verdict that it speaks for, and the p value of that alone."""
    comparison = Comparison(
        method=name,
        sparsity=sparsity,
        against=reference,
        is_check=False,
        own=summary(own),
        other=summary(other),
        difference=paired_difference(own, other),
        verdict=UNDECIDED,
        p=1.0,
        seeds_needed=None,
    )
    at_chance = learned_nothing(comparison.own, chance, margin)
    candidates = possible_verdicts(comparison, margin)
    verdict = min(candidates, key=lambda each: candidates[each][0])
    return replace(comparison, verdict=verdict, p=candidates[verdict][0], at_chance=at_chance)
