"""Looks at growing numbers of seeds, and what each may spend of the level that all of them share."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Look:
    """One look at the results of a question.

    Attributes:
        seeds: how many the results are of.
        share: of the level, in (0, 1]; those of all looks of a series are 1 at most together.
    """

    seeds: int
    share: float


@dataclass(frozen=True)
class SequentialLooks:
    """The looks of a question whose seeds are added until it is decided: a series fixed before the first run.

    It does not end at the most seeds that a question may have: what later looks may spend is set aside from the
    beginning, so that more seeds may be allowed afterwards.

    Attributes:
        looks: with growing numbers of seeds.

    Raises:
        ValueError: there is none, the numbers do not grow or the first is less than 1, or the shares are not positive
            or more than 1 together.
    """

    looks: tuple[Look, ...]

    def __post_init__(self) -> None:
        numbers = [look.seeds for look in self.looks]
        if not numbers or numbers[0] < 1 or any(a >= b for a, b in itertools.pairwise(numbers)):
            raise ValueError(f"looks are at growing numbers of seeds, not at {numbers}")
        shares = [look.share for look in self.looks]
        if min(shares) <= 0 or sum(shares) > 1 + 1e-9:
            raise ValueError(f"the shares of looks are positive, and 1 at most together, not {shares}")

    @property
    def first(self) -> Look:
        """The first look."""
        return self.looks[0]

    def up_to(self, seeds: int) -> tuple[Look, ...]:
        """Return the looks that so many seeds suffice for."""
        return tuple(look for look in self.looks if look.seeds <= seeds)

    def after(self, seeds: int) -> Iterator[Look]:
        """Yield the looks that need more seeds than these."""
        return (look for look in self.looks if look.seeds > seeds)

    def as_json(self) -> list[list[float]]:
        """Return what :meth:`from_json` reads."""
        return [[look.seeds, look.share] for look in self.looks]

    @staticmethod
    def from_json(values: Any) -> "SequentialLooks":
        """Read looks; raise TypeError or ValueError for anything else."""
        return SequentialLooks(tuple(Look(int(seeds), float(share)) for seeds, share in values))


GROWTH = (5, 8, 12, 20, 30)
"""Seeds at the first looks; ten times as many at those that follow, and so on."""

SPENT = 0.35
"""Share that a look spends of what is left of the level; see docs/statistics.md for how it was chosen."""

MOST_LOOKS = 16


def _usual() -> SequentialLooks:
    # 5, 8, 12, 20, 30, 50, 80, ...: what is left for the looks after the last is never spent
    numbers = [number * 10**power for power in range(4) for number in GROWTH]
    return SequentialLooks(
        tuple(Look(seeds, SPENT * (1 - SPENT) ** index) for index, seeds in enumerate(numbers[:MOST_LOOKS]))
    )


USUAL_LOOKS = _usual()
"""Those of seeds that are added until a question is decided."""

USUAL_MAX_SEEDS = 20
"""The most seeds where none are given."""
