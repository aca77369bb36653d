"""The figures of a report: each a drawing of numbers that stand in a table beside it."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from prunecheck.analysis.estimates import Curve, Dose, Estimate
from prunecheck.metrics import Quantity
from prunecheck.report.svg import LEFT, LETTER, RIGHT, Drawing, Scale, bounds, series_of, shortened, widened
from prunecheck.runs.sparsities import sparsity_text

PLOT_HEIGHT = 180.0

LINES = {"dense": "dense", "guessing": "chance", "margin": "margin-line"}
"""What lines across a figure are, and their classes in the style sheet."""

NO_SERIES: Mapping[str, int] = MappingProxyType({})
"""Of figures by themselves."""


def value_figure(
    identity: str,
    methods: Mapping[str, Mapping[float, Estimate]],
    dense: Estimate | None,
    chance: float | None,
    quantity: Quantity,
    title: str,
    own: Mapping[str, int] = NO_SERIES,
) -> str:
    """Draw what runs are judged by, by sparsity, methods beside each other, with 95 % intervals.

    Args:
        identity: of the figure in its page.
        methods: per method, its tickets' values by sparsity; at most six.
        dense: of the dense networks, a line across; None if there is none.
        chance: of guessing; a line across if it is in reach; None where there is no such level.
        quantity: what the values are of.
        title: what was trained.
        own: the series that methods have in all figures; see :func:`~prunecheck.report.svg.series_of`.
    """
    drawing, series_by_name, scale = value_axis(methods, dense, chance, quantity, own)
    sparsities = sorted({sparsity for of_method in methods.values() for sparsity in of_method})
    places = Scale(-0.5, len(sparsities) - 0.5, LEFT, RIGHT)
    step = min(0.62 / len(methods), 0.16)
    for place, (name, of_method) in enumerate(methods.items()):
        series, shift = series_by_name[name], step * (place - (len(methods) - 1) / 2)
        joined = [(places(index + shift), scale(e.mean)) for index, e in _at(sparsities, of_method)]
        drawing.polyline(joined, f"s{series} thin")
        for index, e in _at(sparsities, of_method):
            _vertical_interval(drawing, places(index + shift), e.interval, scale, f"s{series} bar")
            drawing.marker((places(index + shift), scale(e.mean)), series)
    every = math.ceil(len(sparsities) * 6 * LETTER / (RIGHT - LEFT))
    for index, sparsity in enumerate(sparsities):
        if index % every == 0:
            drawing.text((places(index), scale(scale.low) + 15), sparsity_text(sparsity, sparsities), "middle")
    bottom = name_across(drawing, scale(scale.low) + 15, "sparsity")
    told = "; ".join(
        f"{method}: "
        + ", ".join(
            f"{sparsity_text(sparsity, of_method)} {_told(e, quantity)}" for sparsity, e in sorted(of_method.items())
        )
        for method, of_method in methods.items()
    )
    if dense:
        told += f"; dense {_told(dense, quantity)}"
    return drawing.svg(identity, bottom, f"{quantity.title} by sparsity, {title}", f"Test {quantity}. {told}.")


def value_axis(
    methods: Mapping[str, Mapping[float, Estimate]],
    dense: Estimate | None,
    chance: float | None,
    quantity: Quantity,
    own: Mapping[str, int],
) -> tuple[Drawing, dict[str, int], Scale]:
    """Begin a figure of values by sparsity: legend, grid, and the lines of dense networks and of guessing.

    Takes what :func:`value_figure` does; returns the drawing, each method's series, and the scale of the values.
    """
    drawing, series_by_name = Drawing(), series_of(methods, own)
    estimates = [*(e for of_method in methods.values() for e in of_method.values()), *([dense] if dense else [])]
    low, high = bounds([e.mean for e in estimates], [e.interval for e in estimates])
    if quantity.is_percent:
        low, high = max(low, 0), min(high, 100)
    across = {"dense": dense.mean if dense else None, "guessing": chance}
    shown = {name: value for name, value in across.items() if value is not None and low <= value <= high}
    below = drawing.legend(series_by_name, 0, {name: LINES[name] for name in shown})
    top = name_upwards(drawing, below + 4, f"test {quantity.axis}")
    scale = Scale(low, high, top + PLOT_HEIGHT, top)
    horizontal_grid(drawing, scale)
    for name, value in shown.items():
        drawing.line((LEFT, scale(value)), (RIGHT, scale(value)), LINES[name])
    return drawing, series_by_name, scale


def curve_figure(
    identity: str,
    curves: Mapping[str, Curve],
    dense: Curve | None,
    quantity: str,
    title: str,
    own: Mapping[str, int] = NO_SERIES,
) -> str:
    """Draw a quantity over the epochs: means over the runs, and bands from the least to the most.

    Args:
        identity: of the figure in its page.
        curves: per ticket; at most six.
        dense: of the dense networks; None if there is none.
        quantity: what it is, and its unit.
        title: whose tickets they are.
        own: see :func:`value_figure`.
    """
    drawing, series_by_name = Drawing(), series_of(curves, own)
    below = drawing.legend(series_by_name, 0, {"dense": LINES["dense"]} if dense else {})
    top = name_upwards(drawing, below + 4, quantity)
    all_curves = [*curves.values(), *([dense] if dense else [])]
    scale = Scale(*widened(v for c in all_curves for v in (*c.low, *c.high)), top + PLOT_HEIGHT, top)
    last = max(curve.epochs[-1] for curve in all_curves)
    places = Scale(1 if last > 1 else 0, last, LEFT + 6, RIGHT - 6)
    horizontal_grid(drawing, scale)
    if dense:
        _draw_curve(drawing, dense, places, scale, "dense", "")
    for name, curve in curves.items():
        series = series_by_name[name]
        _draw_curve(drawing, curve, places, scale, f"s{series} curve", f"s{series} band")
        drawing.marker((places(curve.epochs[-1]), scale(curve.mean[-1])), series)
    for tick in {1, *places.ticks()}:
        if tick == int(tick) and (tick == 1 or places(tick) - places(1) > 3 * LETTER):
            drawing.text((places(tick), scale(scale.low) + 15), f"{tick:g}", "middle")
    bottom = name_across(drawing, scale(scale.low) + 15, "epoch")
    told = "; ".join(f"{name} {curve.mean[-1]:.4g}" for name, curve in curves.items())
    return drawing.svg(
        identity, bottom, f"{quantity} over the training, {title}", f"Mean over the seeds after the last epoch: {told}."
    )


def dose_figure(
    identity: str,
    doses: Mapping[float, Sequence[Dose]],
    margin: float,
    quantity: Quantity,
    check: str,
    title: str,
) -> str:
    """Draw what a check costs by the share to which it is done, a series for each sparsity.

    Args:
        identity: of the figure in its page.
        doses: per sparsity, by share.
        margin: as differences are counted.
        quantity: what is lost.
        check: its name, without a share.
        title: whose tickets they are.
    """
    drawing = Drawing()
    of_sparsities = {f"sparsity {sparsity_text(sparsity, doses)}": series for series, sparsity in enumerate(doses)}
    below = drawing.legend(of_sparsities, 0, {"margin": LINES["margin"]})
    top = name_upwards(drawing, below + 4, f"{quantity.differences_of} lost")
    every = [dose for of_sparsity in doses.values() for dose in of_sparsity]
    low, high = bounds([0, 1.4 * margin, *(dose.cost for dose in every)], [dose.interval for dose in every])
    scale = Scale(low, high, top + PLOT_HEIGHT, top)
    places = Scale(-0.06, 1.06, LEFT, RIGHT)
    horizontal_grid(drawing, scale)
    drawing.line((LEFT, scale(margin)), (RIGHT, scale(margin)), LINES["margin"])
    drawing.line((LEFT, scale(0)), (RIGHT, scale(0)), "zero")
    for series, of_sparsity in enumerate(doses.values()):
        shift = 0.015 * (series - (len(doses) - 1) / 2)
        drawing.polyline([(places(dose.share + shift), scale(dose.cost)) for dose in of_sparsity], f"s{series} thin")
        for dose in of_sparsity:
            _vertical_interval(drawing, places(dose.share + shift), dose.interval, scale, f"s{series} bar")
            drawing.marker((places(dose.share + shift), scale(dose.cost)), series)
    for tick in (0, 0.25, 0.5, 0.75, 1):
        drawing.text((places(tick), scale(scale.low) + 15), f"{tick:g}", "middle")
    bottom = name_across(drawing, scale(scale.low) + 15, shortened(f"share of {check}", 48))
    told = "; ".join(
        f"sparsity {sparsity_text(sparsity, doses)}: "
        + ", ".join(f"{dose.share:g} costs {quantity.text(dose.cost, '+')}" for dose in of_sparsity)
        for sparsity, of_sparsity in doses.items()
    )
    return drawing.svg(identity, bottom, f"What shares of {check} cost, {title}", f"{told}.")


def _at(sparsities: Sequence[float], of_method: Mapping[float, Estimate]) -> list[tuple[int, Estimate]]:
    return [(index, of_method[sparsity]) for index, sparsity in enumerate(sparsities) if sparsity in of_method]


def _told(value: Estimate, quantity: Quantity) -> str:
    if value.interval is None:
        return quantity.text(value.mean)
    mean, low, high = quantity.texts(value.mean, *value.interval)
    return f"{mean} ({low} to {high})"


def horizontal_grid(drawing: Drawing, scale: Scale) -> None:
    """Draw the lines of the axis that goes upwards, with their numbers."""
    for tick in scale.ticks():
        drawing.line((LEFT, scale(tick)), (RIGHT, scale(tick)), "grid")
        drawing.text((LEFT - 5, scale(tick) + 4), f"{tick:g}", "end")


def name_upwards(drawing: Drawing, y: float, name: str) -> float:
    """Name the axis that goes upwards, above it, and return where it may begin."""
    drawing.text((4, y + 8), name, "quiet")
    return y + 18


def name_across(drawing: Drawing, y: float, name: str) -> float:
    """Name the axis that goes across, below its numbers, and return where the figure ends."""
    drawing.text(((LEFT + RIGHT) / 2, y + 15), name, "middle quiet")
    return y + 20


def _vertical_interval(
    drawing: Drawing, x: float, interval: tuple[float, float] | None, scale: Scale, kind: str
) -> None:
    if interval is None:
        return
    low, high = interval
    drawing.line((x, scale(low)), (x, scale(high)), kind)
    drawing.arrow((x, scale(scale.low)), (0, 4), low < scale.low, kind)
    drawing.arrow((x, scale(scale.high)), (0, -4), high > scale.high, kind)


def _draw_curve(drawing: Drawing, curve: Curve, places: Scale, scale: Scale, kind: str, band: str) -> None:
    xs = [places(epoch) for epoch in curve.epochs]
    if band and curve.n > 1:
        upper = [(x, scale(value)) for x, value in zip(xs, curve.high, strict=True)]
        lower = [(x, scale(value)) for x, value in zip(xs, curve.low, strict=True)]
        drawing.area(upper, lower, band)
    drawing.polyline([(x, scale(value)) for x, value in zip(xs, curve.mean, strict=True)], kind)
