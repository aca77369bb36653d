"""Times of several things that take turns, and what is said of them."""

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Turn = Callable[[], float]
"""Does something once and returns the seconds of the part that counts, or seconds per unit."""


@dataclass(frozen=True)
class Spread:
    """The middle and the ends of some measurements."""

    median: float
    minimum: float
    maximum: float


def spread(values: Sequence[float]) -> Spread:
    """Return the median and the extremes."""
    return Spread(statistics.median(values), min(values), max(values))


def ratios(reference: Sequence[float], seconds: Sequence[float]) -> Spread:
    """Return how many times as fast as a reference something is, compared round by round.

    What slows a machine down for a while slows both down in the same round, and drops out.
    """
    return spread([before / after for before, after in zip(reference, seconds, strict=True)])


def alternate(turns: Mapping[str, Turn], repeats: int, progress: str | None = None) -> dict[str, list[float]]:
    """Return what each turn returned in each round; all take their turn in every round.

    Args:
        turns: by name.
        repeats: how many rounds.
        progress: what is being measured, told on stderr with each round; None tells nothing.
    """
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for repeat in range(repeats):
        for name, turn in turns.items():
            seconds[name].append(turn())
        if progress:
            print(f"{progress}: round {repeat + 1} of {repeats}", file=sys.stderr, flush=True)
    return seconds


def timed(function: Callable[[], object]) -> Turn:
    """Return a turn that takes as long as the whole function."""

    def turn() -> float:
        started = time.perf_counter()
        function()
        return time.perf_counter() - started

    return turn
