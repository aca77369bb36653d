"""Paired differences in rows, with the margin drawn: a forest plot."""

import itertools
from collections.abc import Collection, Iterator, Sequence

from prunecheck.analysis.comparison import Comparison
from prunecheck.analysis.verdicts import Verdict
from prunecheck.checks.registry import JOINT
from prunecheck.metrics import Quantity
from prunecheck.report.cells import difference_meaning, difference_text, in_unit, interval_text
from prunecheck.report.svg import (
    GLYPHS,
    LETTER,
    LETTERS_OF_NAME,
    LINE,
    RIGHT,
    WIDTH,
    Drawing,
    Scale,
    bounds,
    shortened,
)
from prunecheck.runs.sparsities import sparsity_text

ROW = 18.0

PLAIN = " plain"
"""The class of intervals that no verdict follows from."""

DOTS_BELOW = 4.5
"""So far below the interval stand the differences of the single seeds."""


MOST_ROWS = 40
"""So many comparisons stand in one figure."""


def has_marks(comparisons: Sequence[Comparison]) -> bool:
    """Say whether a figure of them has anything but words."""
    return any(one.difference and one.verdict is not Verdict.COLLAPSED for one in comparisons)


def sparsity_of(comparison: Comparison) -> float:
    """Return the sparsity of a comparison."""
    return comparison.sparsity


def chunks_of(comparisons: Sequence[Comparison]) -> Iterator[list[Comparison]]:
    """Divide comparisons between sparsities, and within one only if it has more than a figure holds."""
    chunk: list[Comparison] = []
    for _, group in itertools.groupby(comparisons, sparsity_of):
        rows = list(group)
        if chunk and len(chunk) + len(rows) > MOST_ROWS:
            yield chunk
            chunk = []
        chunk += rows
        while len(chunk) > MOST_ROWS:
            yield chunk[:MOST_ROWS]
            chunk = chunk[MOST_ROWS:]
    if chunk:
        yield chunk


def forest_figure(
    identity: str, comparisons: Sequence[Comparison], margin: float, title: str, *, has_dots: bool = True
) -> str:
    """Draw paired differences in rows, mean, interval and those of the seeds, and the margin around zero.

    The interval is that of the verdict, at the level of its test within the family; where none follows from a test, the
    plain 95 % interval, dashed.

    Args:
        identity: of the figure in its page.
        comparisons: of one method; those of a sparsity stand below its name.
        margin: as differences are counted.
        title: whose tickets they are.
        has_dots: whether each seed has a dot.
    """
    drawing, quantity = Drawing(), comparisons[0].quantity
    differences = [c.difference for c in comparisons if c.difference and c.verdict is not Verdict.COLLAPSED]
    low, high = bounds(
        [*(value for one in differences for value in one.differences), -1.4 * margin, 1.4 * margin],
        [_interval(comparison) for comparison in comparisons if comparison.verdict is not Verdict.COLLAPSED],
    )
    longest = max(len(line) for comparison in comparisons for line in _lines_of(comparison.against))
    left = 12 + LETTER * longest
    scale = Scale(low, high, left + 8, RIGHT)
    top = _verdict_legend(drawing, comparisons) + 22
    rows, bottom = _rows(comparisons, top)
    sparsities = {comparison.sparsity for comparison in comparisons}
    drawing.rectangle((scale(-margin), top - 6), (scale(margin) - scale(-margin), bottom - top + 4), "margin")
    for value in (-margin, margin):
        drawing.line((scale(value), top - 6), (scale(value), bottom - 2), "margin-line")
    drawing.line((scale(0), top - 6), (scale(0), bottom - 2), "zero")
    drawing.text((scale(0), top - 9), f"margin ±{_told(margin, quantity)}", "middle small quiet")
    for y, comparison in rows:
        if isinstance(comparison, float):
            drawing.text((4, y), f"sparsity {sparsity_text(comparison, sparsities)}", "strong")
        else:
            _draw_row(drawing, y, comparison, scale, margin, has_dots=has_dots)
    for tick in scale.ticks():
        drawing.text((scale(tick), bottom + 12), f"{tick:+g}" if tick else "0", "middle")
    drawing.text((RIGHT, bottom + 27), f"{quantity.differences_of} that the change costs", "end quiet")
    told = "; ".join(_difference_told(comparison, sparsities) for comparison in comparisons)
    own, other = f"{quantity.title} of the method's tickets", "that of others"
    if not quantity.higher_is_better:
        own, other = "that of the method's tickets", f"{quantity.title} of others"
    meaning = f"{difference_meaning(quantity, own, other)}{in_unit(quantity)}"
    return drawing.svg(
        identity,
        bottom + 34,
        f"Paired differences, {title}",
        f"{meaning}, beside a margin of {_told(margin, quantity)}. {told}.",
    )


def _told(margin: float, quantity: Quantity) -> str:
    return f"{margin:g} %" if quantity.has_relative_differences else f"{margin:g}"


def _difference_told(comparison: Comparison, sparsities: Collection[float]) -> str:
    difference = comparison.difference
    told = f"{comparison.against} at sparsity {sparsity_text(comparison.sparsity, sparsities)}"
    if difference is None:
        return f"{told}: {comparison.verdict}"
    mean, _ = difference_text(difference, comparison.quantity)
    interval = _interval(comparison)
    ends = f" ({interval_text(interval, comparison.quantity, '+')})" if interval else ""
    return f"{told} {mean}{ends}: {comparison.verdict}"


def _interval(comparison: Comparison) -> tuple[float, float] | None:
    """Return the interval that is drawn: of the verdict's test, or the plain one where it follows from none."""
    if comparison.level is not None or comparison.difference is None:
        return comparison.adjusted_interval
    return comparison.difference.interval


def _rows(comparisons: Sequence[Comparison], top: float) -> tuple[list[tuple[float, Comparison | float]], float]:
    """Return where each row stands, with a row for each sparsity, and where they end."""
    rows: list[tuple[float, Comparison | float]] = []
    y = top
    for sparsity in dict.fromkeys(comparison.sparsity for comparison in comparisons):
        rows.append((y + 9, sparsity))
        y += ROW
        for comparison in (one for one in comparisons if one.sparsity == sparsity):
            rows.append((y + 9, comparison))
            y += ROW + LINE * (len(_lines_of(comparison.against)) - 1)
        y += 4
    return rows, y


def _lines_of(name: str) -> list[str]:
    """Return a name in lines that are short enough to stand beside a row."""
    if len(name) <= LETTERS_OF_NAME:
        return [name]
    first, *others = name.split(JOINT)
    return [shortened(line, LETTERS_OF_NAME) for line in (first, *(f"{JOINT} {other}" for other in others))]


def _draw_row(
    drawing: Drawing, y: float, comparison: Comparison, scale: Scale, margin: float, *, has_dots: bool
) -> None:
    for number, line in enumerate(_lines_of(comparison.against)):
        drawing.text((10, y + LINE * number), line, "" if comparison.is_check else "other")
    difference = comparison.difference
    verdict = comparison.verdict
    if difference is None or verdict is Verdict.COLLAPSED:
        width = LETTER * len(verdict)
        rooms = [(scale(margin) + 6, WIDTH), (scale(0) + 6, scale(margin))]
        begin = next((left for left, right in rooms if left + width < right), None)
        place = (scale(-margin) - 6 if begin is None else begin, y)
        drawing.text(place, verdict.value, "end muted" if begin is None else "muted")
        return
    kind = verdict.tone
    if interval := _interval(comparison):
        low, high = interval
        drawing.line((scale(low), y - 4), (scale(high), y - 4), f"{kind} bar" + PLAIN * (comparison.level is None))
        drawing.arrow((scale(scale.low), y - 4), (-4, 0), low < scale.low, f"{kind} bar")
        drawing.arrow((scale(scale.high), y - 4), (4, 0), high > scale.high, f"{kind} bar")
    for value in difference.differences if has_dots else ():
        drawing.dot((scale(value), y - 4 + DOTS_BELOW), f"{kind} dot")
    drawing.marker((scale(difference.mean), y - 4), GLYPHS.index(verdict.glyph), f"{kind} mark")


def _verdict_legend(drawing: Drawing, comparisons: Sequence[Comparison]) -> float:
    found = {c.verdict for c in comparisons if c.difference} - {Verdict.COLLAPSED}
    verdicts = [verdict for verdict in Verdict if verdict in found]
    x, y = 4.0, 10.0
    for verdict in verdicts:
        width = 14 + LETTER * len(verdict) + 12
        if x > 4 and x + width > WIDTH:
            x, y = 4.0, y + LINE + 1
        drawing.marker((x + 4, y - 4), GLYPHS.index(verdict.glyph), f"{verdict.tone} mark")
        drawing.text((x + 13, y), verdict.value)
        x += width
    return y + 6
