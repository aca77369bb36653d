"""What became of one kind of ticket over the seeds."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prunecheck.analysis.statistics import standard_deviation
from prunecheck.metrics import ACCURACY, Quantity
from prunecheck.runs.result import RunResult, Status


@dataclass(frozen=True)
class LostTicket:
    """A ticket that has no value of the metric.

    Attributes:
        status: ``collapsed``, ``diverged`` or ``failed``.
        layer: where it shows; None where that is not known.
    """

    seed: int
    status: Status
    layer: str | None
    reason: str

    @staticmethod
    def of(seed: int, result: RunResult) -> "LostTicket":
        """Return what is known of a run that was not trained."""
        if result.status is Status.DIVERGED:
            return LostTicket(seed, result.status, None, f"the loss was not finite in epoch {result.epochs}")
        if result.collapse is None:
            return LostTicket(seed, result.status, None, result.reason or "for a reason that was not recorded")
        return LostTicket(seed, result.status, result.collapse.layer, result.collapse.reason)


@dataclass(frozen=True)
class Summary:
    """What became of one kind of ticket over the seeds.

    Attributes:
        values: by seed, what the tickets that were trained are judged by, in the unit of the metric: the test accuracy
            after the last epoch, percent, unless the question says otherwise.
        lost: the others that have a result.
        empty_layers: the layers of which no weight is left in tickets that were trained, in the network's order, and in
            how many tickets.
        most_by_lot: the largest share, in [0, 1], that a trained ticket chose by lot among equal scores.
    """

    values: Mapping[int, float]
    lost: tuple[LostTicket, ...] = ()
    empty_layers: Mapping[str, int] = field(default_factory=dict)
    most_by_lot: float = 0.0

    @property
    def mean(self) -> float | None:
        """Over the seeds; None if no ticket was trained."""
        return math.fsum(self.values.values()) / self.n if self.n else None

    @property
    def std(self) -> float | None:
        """The sample standard deviation; None for fewer than two."""
        return standard_deviation(tuple(self.values.values())) if self.n > 1 else None

    @property
    def n(self) -> int:
        """How many tickets were trained."""
        return len(self.values)

    @property
    def seeds(self) -> frozenset[int]:
        """The seeds that have a result."""
        return frozenset((*self.values, *(ticket.seed for ticket in self.lost)))

    @property
    def degenerate_seeds(self) -> frozenset[int]:
        """The seeds whose tickets collapsed or diverged; a failed one has shown nothing."""
        return frozenset(ticket.seed for ticket in self.lost if ticket.status.is_degenerate)

    def learned_nothing(self, chance: float | None, margin: float, quantity: Quantity = ACCURACY) -> bool:
        """Say whether the networks are no better than guessing, by the margin, or could not be trained.

        Where the margin is a percentage, and the mean 0 or less, they have to be better than guessing by anything. Of
        networks that were never run, or failed, nothing is known, and nothing is said.

        Args:
            chance: what guessing gets; None where the metric has no such level, so that all networks have learned.
            margin: as differences of ``quantity`` are counted.
            quantity: what the values are of.
        """
        if self.mean is None:
            return bool(self.degenerate_seeds)
        if chance is None:
            return False
        if not quantity.has_differences_from(self.mean):
            return quantity.with_plain_differences.advantage(self.mean, chance) <= 0
        return quantity.advantage(self.mean, chance) <= margin


def summary(seeds: Iterable[int], results: Iterable[RunResult | None]) -> Summary:
    """Return what became of tickets, None for those that have no result."""
    values, lost = {}, []
    trained = []
    for seed, result in zip(seeds, results, strict=True):
        if result is None:
            continue
        if result.value is not None:
            values[seed] = result.value
            trained.append(result)
        else:
            lost.append(LostTicket.of(seed, result))
    order = {layer: 0 for result in trained for layer in result.kept}
    counts = Counter(layer for result in trained for layer in result.empty_layers)
    empty = {layer: counts[layer] for layer in order if layer in counts}
    return Summary(values, tuple(lost), empty, max((result.share_by_lot for result in trained), default=0.0))
