"""What follows from the accuracies: prunecheck's own verdicts, as on random tickets beside a method's."""

from collections.abc import Mapping, Sequence

from prunecheck.analysis.adjustment import adjust
from prunecheck.analysis.comparison import Comparison, compared
from prunecheck.analysis.summary import Summary


def summary(accuracies: Sequence[float]) -> Summary:
    """Return accuracies, percent, in the order of the seeds, as those of the seeds from 0."""
    return Summary(dict(enumerate(accuracies)))


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
    other = summary(accuracies[reference])
    comparisons = []
    for name, values in accuracies.items():
        own = summary(values)
        if name != reference:
            at_chance = own.learned_nothing(chance, margin)
            comparisons.append(compared(name, sparsity, reference, False, own, other, margin, at_chance=at_chance))
    return adjust(comparisons)
