"""What stands in the cells of tables: values, differences, verdicts, and why they are not others."""

import math
from collections.abc import Sequence

from prunecheck.analysis.comparison import Comparison
from prunecheck.analysis.families import Conclusion, Family
from prunecheck.analysis.statistics import LEVEL, PairedDifference
from prunecheck.analysis.summary import LostTicket, Summary
from prunecheck.analysis.verdicts import Verdict
from prunecheck.metrics import Quantity
from prunecheck.pruning.mask_files import are_masks_by_seed


def family_text(family: Family, paired_by: str = "seed") -> str:
    """Name the family of verdicts, and the correction; ``paired_by`` is what a seed is."""
    if not family.size:
        return str(family)
    looks = f", divided over looks at {numbers_text(family.looks)} {paired_by}s" if family.looks else ""
    return f"{100 * LEVEL:g} % over {family} (Holm){looks}"


def numbers_text(numbers: Sequence[int]) -> str:
    """Return numbers as a list in words."""
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last


def seeds_text(answer: Conclusion) -> str:
    """Say how many seeds an answer rests on; of looks, from the fewest to the most that a comparison took."""
    most, unit = len(answer.seeds), answer.question.paired_by
    least = min((comparison.look.seeds for comparison in answer.comparisons if comparison.look), default=most)
    if least < most:
        return f"{least} to {most} {unit}s"
    return f"{most} {unit}{'' if most == 1 else 's'}"


def summary_text(summary: Summary, quantity: Quantity) -> str:
    """Return mean and standard deviation over the seeds, in the unit of the metric."""
    if summary.mean is None:
        return "-"
    return " ± ".join(quantity.texts(*(value for value in (summary.mean, summary.std) if value is not None)))


def difference_text(difference: PairedDifference | None, quantity: Quantity) -> tuple[str, str]:
    """Return a paired difference and its 95 % interval, in the unit of the metric's differences."""
    if difference is None:
        return "-", "-"
    mean, *ends = quantity.texts(difference.mean, *(difference.interval or ()), sign="+")
    return mean, " to ".join(ends) or "-"


def difference_meaning(quantity: Quantity, own: str, other: str) -> str:
    """Say what a difference is, so that a positive one is a cost: which of two values is taken from which."""
    return f"{own} minus {other}" if quantity.higher_is_better else f"{other} minus {own}"


def in_unit(quantity: Quantity) -> str:
    """Say in which unit differences are, in a clause that follows what they are; empty for none."""
    if quantity.has_relative_differences:
        return ", in percent of the method's own value"
    return f", in {quantity.unit_of_differences}" if quantity.unit else ""


def verdict_text(comparison: Comparison, dense_at_chance: bool) -> str:
    """Return a verdict, with what would decide it or what was lost."""
    verdict, lost = comparison.verdict, lost_text(comparison.other)
    if verdict is Verdict.COLLAPSED and not comparison.own.degenerate_seeds:
        return lost
    text = verdict.value
    if verdict is Verdict.COLLAPSED:
        text = f"{text}: {comparison.method} itself"
    elif why := why_undecided(comparison, dense_at_chance):
        text = f"{text} ({why})"
    return f"{text}; {lost}" if lost else text


def why_undecided(comparison: Comparison, dense_at_chance: bool) -> str | None:
    """Return, for ``undecided``, in a clause what stands in the way; None if nothing is known of it, and for others."""
    difference = comparison.difference
    if comparison.verdict is not Verdict.UNDECIDED:
        return None
    if difference is None:
        return _why_no_difference(comparison)
    if comparison.at_chance and not comparison.is_tested:
        return _at_chance(comparison, dense_at_chance)
    if doubt := doubt_text(difference, comparison.quantity):
        return doubt
    if comparison.is_of_survivors and not comparison.survivors_allow_the_claim:
        return "tickets were lost on one side, and the survivors alone show nothing"
    return _what_would_decide(comparison)


def _at_chance(comparison: Comparison, dense_at_chance: bool) -> str:
    if dense_at_chance:
        return "the dense network itself learned nothing"
    is_trained = comparison.paired_by == "seed"
    return f"{comparison.method} itself {'learned nothing' if is_trained else 'is no better than guessing'}"


def _why_no_difference(comparison: Comparison) -> str:
    unit, pairs = comparison.paired_by, len(comparison.pairs)
    if not pairs:
        return f"no two tickets of one {unit} were {'trained' if unit == 'seed' else 'tested'}"
    return (
        f"{comparison.quantity.name} of {comparison.method} itself is 0 or less with "
        f"{len(comparison.seeds_without_percentages)} of {pairs} {unit}{'' if pairs == 1 else 's'}, and nothing is a "
        "percentage of that: state the margin in its unit"
    )


def _what_would_decide(comparison: Comparison) -> str | None:
    by_seed = are_masks_by_seed(comparison.method) or are_masks_by_seed(comparison.against)
    unit = "mask" if by_seed else comparison.paired_by
    would = f"about {comparison.seeds_needed} {unit}s would decide" if comparison.seeds_needed else None
    if comparison.look is None:
        return would
    return "; ".join(filter(None, (f"at the last look, with {comparison.look.seeds} {comparison.paired_by}s", would)))


def doubt_text(difference: PairedDifference, quantity: Quantity) -> str | None:
    """Return in a clause which difference lies so far apart from the others that nothing follows; None if none does."""
    if difference.apart is None:
        return None
    others = [value for index, value in enumerate(difference.differences) if index != difference.apart]
    one, least, most = quantity.texts(difference.differences[difference.apart], min(others), max(others), sign="+")
    return f"one difference, {one}, lies apart from the {len(others)} others, {least} to {most}"


def lost_text(summary: Summary) -> str:
    """Say how many tickets were lost, how, and why the first was; empty if none was."""
    if not summary.lost:
        return ""
    total = summary.n + len(summary.lost)
    words = sorted({ticket.status.value for ticket in summary.lost})
    return f"{len(summary.lost)} of {total} {' or '.join(words)} ({_reason(summary.lost[0])})"


def _reason(ticket: LostTicket) -> str:
    return ticket.reason if ticket.layer is None else f"{ticket.layer}: {ticket.reason}"


def p_text(comparison: Comparison) -> str:
    """Return the p value within the family; a dash where nothing is tested."""
    if not comparison.is_tested or comparison.adjusted_p is None:
        return "-"
    return "< 0.001" if comparison.adjusted_p < 0.001 else f"{comparison.adjusted_p:.3f}"


def interval_text(interval: tuple[float, float] | None, quantity: Quantity, sign: str = "") -> str:
    """Return the ends of an interval; a dash for none. ``sign`` is that of a format."""
    if interval is None:
        return "-"
    finite = iter(quantity.texts(*(end for end in interval if math.isfinite(end)), sign=sign))
    return " to ".join(next(finite) if math.isfinite(end) else f"{end:+g}" for end in interval)
