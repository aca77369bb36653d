"""Drawing SVG that stands inside a page: it takes the page's font and colours, light or dark.

Every figure is as wide as a phone's screen, where its text has the size of the page's small print; wider pages set
several beside each other. The style sheets ``colours.css`` and ``figures.css`` give the classes their looks; the
series ``s0``, ``s1``, ... have Okabe and Ito's colours, which the colour-blind can tell apart.
"""

import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from prunecheck.report.escaping import in_html

COLOURS, FIGURES = (
    (Path(__file__).parent / name).read_text(encoding="utf-8") for name in ("colours.css", "figures.css")
)
"""The style sheets of a page that holds figures; the first names the colours of light and of dark pages."""

SIGN = "<dc:title>prunecheck</dc:title>"
"""Stands in the metadata of every figure that is a file of its own."""

WIDTH = 360
"""Of every figure, in pixels of a page that is not enlarged."""

LETTER = 6.4
"""Width of most letters at the figures' size of text: more than the mean of any usual font."""

LEFT, RIGHT = 40.0, WIDTH - 8.0
"""Where axes with numbers at their left begin, and where all end."""

LETTERS_OF_NAME = 25
"""So many letters of a name stand beside a row."""

LINE = 14
"""From one line of text to the next."""

RADIUS = 3.6
"""Of markers."""

NO_LINES: Mapping[str, str] = MappingProxyType({})

SERIES_COUNT = 6
"""So many series can be told apart."""

GLYPHS = "●■▲◆▼✚"
"""Signs of the markers of the series, in their order."""

DOT = 1.7
"""Radius of the dots that stand for single values."""

LEAST_SHARE = 1e-6
"""Of values that are all the same, so that an axis has two ends however large they are."""

Point = tuple[float, float]


class Drawing:
    """A figure that is being drawn; y grows downwards."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def line(self, start: Point, end: Point, kind: str) -> None:
        """Draw a straight line of a class of the style sheet."""
        (x1, y1), (x2, y2) = start, end
        self._parts.append(f'<path class="{kind}" d="M{number(x1)} {number(y1)}L{number(x2)} {number(y2)}"/>')

    def polyline(self, points: Sequence[Point], kind: str) -> None:
        """Draw a line through points; a single one is left out."""
        if len(points) > 1:
            self._parts.append(f'<path class="{kind}" d="M{_joined(points)}"/>')

    def area(self, upper: Sequence[Point], lower: Sequence[Point], kind: str) -> None:
        """Fill what lies between two lines."""
        if len(upper) > 1:
            self._parts.append(f'<path class="{kind}" d="M{_joined([*upper, *reversed(lower)])}Z"/>')

    def rectangle(self, corner: Point, size: Point, kind: str) -> None:
        """Fill a rectangle."""
        (x, y), (width, height) = corner, size
        self._parts.append(
            f'<rect class="{kind}" x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"/>'
        )

    def text(self, place: Point, words: str, kind: str = "") -> None:
        """Write a line of text; ``kind`` may be ``end`` or ``middle``, for where the place is, and ``strong``."""
        x, y = place
        of_class = f' class="{kind}"' if kind else ""
        self._parts.append(f'<text{of_class} x="{number(x)}" y="{number(y)}">{in_html(words)}</text>')

    def paragraph(self, top: float, words: str, kind: str = "") -> float:
        """Write lines of text across the figure, and return where they end."""
        for line in textwrap.wrap(words, int((WIDTH - 8) / LETTER)):
            top += LINE
            self.text((4, top), line, kind)
        return top + 4

    def marker(self, place: Point, series: int, kind: str = "") -> None:
        """Draw the marker of a series, in its colour or that of a class of the style sheet."""
        shape = _marker(place, series % SERIES_COUNT)
        self._parts.append(f'<path class="{kind or f"s{series % SERIES_COUNT} mark"}" d="{shape}"/>')

    def dot(self, place: Point, kind: str) -> None:
        """Draw a small dot in the colour of a class of the style sheet."""
        x, y = place
        self._parts.append(f'<circle class="{kind}" cx="{number(x)}" cy="{number(y)}" r="{DOT}"/>')

    def arrow(self, tip: Point, towards: Point, needed: bool, kind: str) -> None:
        """Show, if it is needed, that an interval goes on beyond the end of the axis."""
        if needed:
            (x, y), (dx, dy) = tip, towards
            ends = (x - dx - dy * 0.7, y - dy - dx * 0.7), (x - dx + dy * 0.7, y - dy + dx * 0.7)
            self.polyline([ends[0], tip, ends[1]], kind)

    def legend(self, names: Mapping[str, int], top: float, lines: Mapping[str, str] = NO_LINES) -> float:
        """Write a row, or several, of markers and names, and return where it ends.

        Args:
            names: of the series, and which each is.
            top: where it begins.
            lines: names of lines across the figure, and the class of each in the style sheet. They are named here, for
                beside them a name would be crossed by what is drawn.
        """
        x, y = 4.0, top + 10
        listed: list[tuple[str, int | str]] = [*names.items(), *lines.items()]
        for name, drawn in listed:
            words = shortened(name, 40)
            width = 14 + LETTER * len(words) + 12
            if x > 4 and x + width > WIDTH:
                x, y = 4.0, y + LINE + 1
            if isinstance(drawn, str):
                self.line((x - 1, y - 4), (x + 10, y - 4), drawn)
            else:
                self.marker((x + 4, y - 4), drawn)
            self.text((x + 13, y), words)
            x += width
        return y + 6

    def svg(self, identity: str, height: float, title: str, description: str) -> str:
        """Return the figure.

        Args:
            identity: that no other figure of the page has.
            height: in the unit of the width.
            title: its name, for those who cannot see it.
            description: what it shows.
        """
        return (
            f'<svg class="figure" role="img" aria-labelledby="{identity}-title" aria-describedby="{identity}-text" '
            f'viewBox="0 0 {WIDTH} {number(height)}" xmlns="http://www.w3.org/2000/svg">'
            f'<title id="{identity}-title">{in_html(title)}</title>'
            f'<desc id="{identity}-text">{in_html(description)}</desc>'
            f"{''.join(self._parts)}</svg>"
        )


def standalone(svg: str) -> str:
    """Return a figure as a file of its own: on white, in the colours of light pages, with its style sheet inside.

    The colours stand in it as they are, because few programs but browsers know variables of style sheets.
    """
    light = dict(re.findall(r"(--[\w-]+): (#\w+);", COLOURS.partition("@media")[0]))
    style = re.sub(r"var\((--[\w-]+)\)", lambda match: light[match[1]], FIGURES)
    head, tag, body = svg.partition("<title")
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n{head.removesuffix(">")} xmlns:dc="http://purl.org/dc/elements/1.1/" '
        f'width="{2 * WIDTH}" style="color: {light["--ink"]}">{tag}'
        + body.replace(
            "</desc>",
            f"</desc><metadata>{SIGN}</metadata><style>\n{style}</style>"
            f'<rect width="100%" height="100%" fill="{light["--page"]}"/>',
            1,
        )
        + "\n"
    )


def is_ours(svg: str) -> bool:
    """Say whether a text is a figure that was drawn here, as a file of its own."""
    return SIGN in svg


class Scale:
    """From values to places along one axis.

    Args:
        low, high: the values at the ends; the same are spread.
        start, end: the places of these, of which either may be the larger.
    """

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        if not high > low:
            spread = max(1.0, abs(low) * LEAST_SHARE)
            low, high = low - spread, low + spread
        self.low, self.high, self._start, self._end = low, high, start, end

    def __call__(self, value: float) -> float:
        """Return the place of a value; of one beyond the ends, the end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self._start + share * (self._end - self._start)

    def ticks(self, most: int = 6) -> list[float]:
        """Return round values between the ends, at most so many."""
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / most))
        while (self.high - self.low) / step > most - 1:
            step *= 2.5 if str(f"{step:e}")[0] == "2" else 2
        first = math.ceil(self.low / step - 1e-9)
        return [round(index * step, 10) for index in range(first, math.floor(self.high / step + 1e-9) + 1)]


def series_of(names: Iterable[str], own: Mapping[str, int]) -> dict[str, int]:
    """Return which series each name is drawn as: its own, so that it looks the same in all figures, or one left free.

    Args:
        names: in one figure; of more than there are series some look alike.
        own: per name that has one, its place among all names of the figures.
    """
    listed = list(names)
    found: dict[str, int] = {}
    for name in listed:
        if name in own and own[name] % SERIES_COUNT not in found.values():
            found[name] = own[name] % SERIES_COUNT
    free = [series for series in range(SERIES_COUNT) if series not in found.values()]
    for place, name in enumerate(name for name in listed if name not in found):
        found[name] = free[place] if place < len(free) else place % SERIES_COUNT
    return {name: found[name] for name in listed}


def widened(values: Iterable[float], share: float = 0.06) -> tuple[float, float]:
    """Return the least and the most of values, with some room beyond both."""
    listed = list(values)
    low, high = min(listed, default=0.0), max(listed, default=1.0)
    room = share * (high - low) or 1.0
    return low - room, high + room


def bounds(means: Iterable[float], intervals: Iterable[tuple[float, float] | None]) -> tuple[float, float]:
    """Return the ends of an axis that shows every mean, and the intervals unless they would squeeze the means.

    The interval of two seeds is thirteen times as wide as their standard deviation.
    """
    low, high = widened(means)
    ends = [end for interval in intervals if interval for end in interval if math.isfinite(end)]
    if not ends:
        return low, high
    wanted_low, wanted_high = widened([*ends, low, high], 0.03)
    room = 1.0 * (high - low)
    return max(wanted_low, low - room), min(wanted_high, high + room)


def shortened(name: str, letters: int) -> str:
    """Return a name, in which an ellipsis stands for the middle if it has more letters."""
    if len(name) <= letters:
        return name
    head = (letters - 1) * 2 // 3
    return f"{name[:head]}…{name[head + 1 - letters :]}"


def number(value: float) -> str:
    """Return a coordinate with as many digits as can be seen."""
    return f"{round(value, 1) + 0.0:g}"  # no -0


def _joined(points: Iterable[Point]) -> str:
    return "L".join(f"{number(x)} {number(y)}" for x, y in points)


def _marker(place: Point, series: int) -> str:
    """Return the outline of a circle, square, triangle, diamond, triangle downwards, or cross."""
    x, y = place
    r = RADIUS
    if series == 0:
        return f"M{number(x - r)} {number(y)}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0Z"
    if series == 5:
        t = r / 3
        corners = [(-t, -r), (t, -r), (t, -t), (r, -t), (r, t), (t, t), (t, r), (-t, r), (-t, t), (-r, t), (-r, -t)]
        return f"M{_joined((x + dx, y + dy) for dx, dy in [*corners, (-t, -t)])}Z"
    corners = [
        [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        [(0, -1.15), (1.1, 0.9), (-1.1, 0.9)],
        [(0, -1.25), (1.1, 0), (0, 1.25), (-1.1, 0)],
        [(0, 1.15), (1.1, -0.9), (-1.1, -0.9)],
    ][series - 1]
    return f"M{_joined((x + r * dx, y + r * dy) for dx, dy in corners)}Z"
