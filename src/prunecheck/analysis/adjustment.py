"""Holm's correction over the comparisons of a family, at one look."""

from collections.abc import Sequence
from dataclasses import replace

from prunecheck.analysis.comparison import Comparison
from prunecheck.analysis.statistics import LEVEL, holm
from prunecheck.analysis.verdicts import Verdict


def adjust(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Keep the verdicts whose p value, adjusted for the number of those that are tested, is below the level.

    A verdict that is not kept needs the seeds that decide it and all those with smaller p values, each at the level
    that its rank leaves it. Where nothing follows from the difference, for tickets were lost on one side or the sample
    is in doubt, p is 1: the comparison stays in the family, and no number of seeds is named.

    At a look that may spend a share of the level, p is divided by this share, so that it is held against the level
    itself.
    """
    adjusted = [replace(comparison, adjusted_p=comparison.p) for comparison in comparisons]
    tested = [index for index, comparison in enumerate(comparisons) if comparison.is_tested]
    shared = {index: min(comparisons[index].p / comparisons[index].share, 1.0) for index in tested}
    tested.sort(key=shared.__getitem__)
    needed: int | None = 0
    undecided_level: float | None = None
    for rank, (index, p) in enumerate(zip(tested, holm([shared[index] for index in tested]), strict=True)):
        level = LEVEL / (len(tested) - rank)
        if p >= LEVEL and undecided_level is None:
            undecided_level = level  # where the procedure stops, and with it all those of larger p
        follows = comparisons[index].verdict is not Verdict.UNDECIDED
        own_level = (undecided_level or level) * comparisons[index].share
        comparison = replace(comparisons[index], adjusted_p=p, level=own_level if follows else None)
        if p >= LEVEL:
            own = _seeds_needed(comparison, level)
            needed = None if own is None or needed is None else max(own, needed)
            comparison = replace(comparison, verdict=Verdict.UNDECIDED, seeds_needed=needed)
        adjusted[index] = comparison
    return adjusted


def _seeds_needed(comparison: Comparison, level: float) -> int | None:
    """Return how many seeds would decide; among looks, those of the first later one that would."""
    difference = comparison.difference
    if difference is None or difference.std is None or comparison.verdict is Verdict.UNDECIDED:
        return None
    if comparison.look is None or comparison.sequential is None:
        return comparison.seeds_to_decide(level)
    for look in comparison.sequential.after(comparison.look.seeds):
        enough = comparison.seeds_to_decide(level * look.share)
        if enough is not None and enough <= look.seeds:
            return look.seeds
    return None
