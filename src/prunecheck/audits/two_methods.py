"""How alike the masks of two methods are, beside what chance gives at their keep ratios."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from prunecheck.audits.agreement import overlaps
from prunecheck.audits.audit import MaskComparison, MethodAudit, Pair, TicketAudit
from prunecheck.pruning.patterns import PLAIN
from prunecheck.report.table import RowGroup, Table, numbers, words


@dataclass(frozen=True)
class TwoMethods:
    """The masks of two methods, compared seed by seed; the one mask of a file with those of every seed.

    Attributes:
        first: the method's name.
        second: that of the other.
        comparison: of the first's masks with the second's.
    """

    first: str
    second: str
    comparison: MaskComparison


def compare_methods(audits: Sequence[MethodAudit]) -> tuple[TwoMethods, ...]:
    """Compare the masks of each two of several methods; all are of the same network."""
    return tuple(TwoMethods(one.name, other.name, _comparison(one, other)) for one, other in combinations(audits, 2))


def _comparison(one: MethodAudit, other: MethodAudit) -> MaskComparison:
    # Of patterns units are compared, if both have the same.
    structure = one.tickets[0].structure if one.tickets[0].structure == other.tickets[0].structure else PLAIN
    pairs = list(_pairs(one.tickets, other.tickets))
    return MaskComparison(
        other.name,
        tuple(
            Pair((a.seed, b.seed), overlaps(a.masks, b.masks, structure))
            for a, b in pairs
            if a.was_chosen and b.was_chosen
        ),
        tuple((a.seed, b.seed) for a, b in pairs if not (a.was_chosen and b.was_chosen)),
    )


def _pairs(tickets: Sequence[TicketAudit], others: Sequence[TicketAudit]) -> Iterator[tuple[TicketAudit, TicketAudit]]:
    if len(tickets) == 1 or len(others) == 1:
        yield from ((one, other) for one in tickets for other in others)
    else:
        yield from zip(tickets, others, strict=True)


def tables_of_two_methods(compared: Sequence[TwoMethods]) -> Iterator[Table]:
    """Yield what is printed: a row for each two methods, and by layer where there are but two."""
    if not compared:
        return
    columns = (*words("masks of", "and of"), *numbers("pairs", "agreement", "chance", "at most"))
    rows = tuple((two.first, two.second, str(len(two.comparison.pairs)), *two.comparison.shares) for two in compared)
    yield Table("agreement between methods", columns, (RowGroup(rows),))
    if len(compared) == 1:
        yield _layers(compared[0])


def _layers(two: TwoMethods) -> Table:
    pools = two.comparison.pairs[0].overlap if two.comparison.pairs else {}
    rows = [
        (
            pool,
            *(_mean([getattr(pair.overlap[pool], name) for pair in two.comparison.pairs]) for name in COUNTED),
            *two.comparison.of_layer(pool).shares,
        )
        for pool in pools
    ]
    everything = (
        "all",
        *(
            _mean([sum(getattr(one, name) for one in pair.overlap.values()) for pair in two.comparison.pairs])
            for name in COUNTED
        ),
        *two.comparison.shares,
    )
    columns = (*words("layer"), *numbers("kept", "by the other", "by both", "agreement", "chance", "at most"))
    groups = (RowGroup(tuple(rows)), RowGroup((everything,)))
    return Table(f"{two.first} and {two.second}, by layer", columns, groups)


COUNTED = ("first", "second", "common")


def _mean(counts: Sequence[int]) -> str:
    return f"{sum(counts) / len(counts):,.0f}" if counts else "-"
