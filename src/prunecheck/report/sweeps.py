"""Sweeps of sparsities: values by density on a logarithmic axis, and where a method falls behind, in words."""

import math
from collections.abc import Mapping
from types import MappingProxyType

from prunecheck.analysis.estimates import Estimate
from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.sweeps import FallingBehind, falling_behind
from prunecheck.metrics import Quantity
from prunecheck.report.figures import name_across, value_axis
from prunecheck.report.svg import LEFT, LETTER, RIGHT, Scale
from prunecheck.runs.sparsities import sparsity_text


def sweep_figure(
    identity: str,
    methods: Mapping[str, Mapping[float, Estimate]],
    dense: Estimate | None,
    chance: float | None,
    quantity: Quantity,
    title: str,
    own: Mapping[str, int] = MappingProxyType({}),
) -> str:
    """Draw what runs are judged by over the density, on a logarithmic axis, with bands of 95 % intervals.

    Args:
        identity: of the figure in its page.
        methods: per method, its tickets' values by sparsity; at most six. Where its line ends, tickets were lost.
        dense: of the dense networks, a line across; None if there is none.
        chance: of guessing; a line across if it is in reach; None where there is no such level.
        quantity: what the values are of.
        title: what was trained.
        own: the series that methods have in all figures; see :func:`~prunecheck.report.svg.series_of`.
    """
    drawing, series_by_name, scale = value_axis(methods, dense, chance, quantity, own)
    sparsities = sorted({sparsity for of_method in methods.values() for sparsity in of_method})
    places = Scale(_place(sparsities[0]), _place(sparsities[-1]), LEFT + 6, RIGHT - 6)
    for name, of_method in methods.items():
        series = series_by_name[name]
        known = sorted(of_method.items())
        ends = [(places(_place(sparsity)), e.interval or (e.mean, e.mean)) for sparsity, e in known]
        upper = [(x, scale(min(scale.high, end))) for x, (_, end) in ends]
        lower = [(x, scale(max(scale.low, end))) for x, (end, _) in ends]
        drawing.area(upper, lower, f"s{series} band")
    for name, of_method in methods.items():  # above all bands
        series, known = series_by_name[name], sorted(of_method.items())
        drawing.polyline([(places(_place(sparsity)), scale(e.mean)) for sparsity, e in known], f"s{series} curve")
        for sparsity, e in known:
            drawing.marker((places(_place(sparsity)), scale(e.mean)), series)
    last = -math.inf
    for sparsity in sparsities:
        x = places(_place(sparsity))
        if x - last > 6 * LETTER:
            drawing.text((x, scale(scale.low) + 15), f"{100 * (1 - sparsity):.3g}", "middle")
            last = x
    bottom = name_across(drawing, scale(scale.low) + 15, "density, % of the weights (logarithmic)")
    told = "; ".join(
        f"{method}: "
        + ", ".join(f"{100 * (1 - s):.3g} % {quantity.text(e.mean)}" for s, e in sorted(of_method.items()))
        for method, of_method in methods.items()
    )
    return drawing.svg(identity, bottom, f"{quantity.title} by density, {title}", f"Test {quantity}. {told}.")


def _place(sparsity: float) -> float:
    return -math.log10(1 - sparsity)


def sweep_text(answer: Conclusion) -> str:
    """Say where a method falls behind its baseline; nothing for what is no sweep with a baseline."""
    found = falling_behind(answer)
    if found is None:
        return ""
    quantity = answer.question.quantity
    amount = f"more than {quantity.amount_of(found.margin)}"
    others = f"{found.baseline} tickets"
    text = f"{answer.question.method} {_where(found, others, amount)}"
    if found.collapses_at is not None:
        at = sparsity_text(found.collapses_at, answer.question.sparsities)
        text += f" From sparsity {at} on, tickets of it collapse or diverge where {others} do not."
    return text


def _where(found: FallingBehind, others: str, amount: str) -> str:
    low, _ = found.asked
    lowest, highest = map(sparsity_text, found.asked)
    if found.sparsity is None:
        doubt = "" if found.earliest is None else f"; it may from {found.earliest:.4g} on (95 % interval)"
        return f"does not fall behind {others} by {amount} between sparsity {lowest} and {highest}{doubt}."
    begin = f"{found.earliest:.4g}" if found.earliest is not None and found.earliest > low else f"{lowest} or before"
    end = f"{found.latest:.4g}" if found.latest is not None else f"beyond {highest}"
    at = f"{found.sparsity:.4g}" if found.sparsity > low else f"{lowest} or before"
    return f"falls behind {others} by {amount} at sparsity {at} (95 % interval {begin} to {end})."
