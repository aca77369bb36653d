"""Figures, as SVG whose text is text and whose bytes are the same for the same numbers."""

import io
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SERIES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"))
"""Okabe and Ito's colours, which the colour-blind can tell apart, each with a marker of its own."""

INCHES_PER_LAYER = 0.15
NARROWEST = 6.4
HEIGHT = 4.6

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "prunecheck",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 9.0,
    "text.parse_math": False,
}

NOTE = "marker: mean over the seeds; line through it: from the least to the most; log scale"

MADE_BY = "prunecheck"
"""Stands in the metadata of every figure."""

Ratios = Mapping[str, Sequence[float]]
"""Per layer, the keep ratio of each seed."""


def keep_ratio_figure(methods: Mapping[str, Ratios], title: str) -> str:
    """Draw the keep ratios by layer, methods beside each other, on a logarithmic axis.

    Each marker is the mean over the seeds, the line through it reaches from the least to the most;
    of a layer that keeps nothing it stands on a line labelled 0, below the end of the axis.

    Args:
        methods: per method, the keep ratios of its tickets by layer, in [0, 1]; all of the same layers.
        title: what was pruned.

    Returns:
        An SVG. Its description lists the means, as :func:`ratio_text` writes them.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    layers = list(next(iter(methods.values())))
    width = max(NARROWEST, 1.2 + INCHES_PER_LAYER * len(layers))
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's own style would make other bytes
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(width, HEIGHT), layout="constrained")
        canvas = FigureCanvasSVG(figure)
        axes = figure.subplots()
        every = [ratio for ratios in methods.values() for values in ratios.values() for ratio in values]
        lowest = _power_of_ten_below(every)
        bottom = lowest / 2.5
        for number in range(len(methods)):
            _draw_method(axes, number, methods, bottom)
        _draw_axes(axes, layers, lowest, bottom if 0 in every else None)
        axes.set_title(f"{title}\n{NOTE}", loc="left", fontsize=9)
        figure.legend(frameon=False, ncols=4, loc="outside upper left", columnspacing=1.5, handletextpad=0.2)
        image = io.StringIO()
        metadata = {"Date": None, "Creator": MADE_BY, "Title": f"Keep ratios by layer: {', '.join(methods)}"}
        canvas.print_svg(image, metadata=metadata)  # type: ignore[no-untyped-call]
    return _described(image.getvalue(), description(methods, title))


def ratio_text(ratio: float) -> str:
    """Return a keep ratio as it is shown everywhere, with three significant digits."""
    return f"{ratio:#.3g}" if ratio else "0"


def mean(ratios: Sequence[float]) -> float:
    """Return the mean over the seeds."""
    return math.fsum(ratios) / len(ratios)


def description(methods: Mapping[str, Ratios], title: str) -> str:
    """Return what the figure shows, in words and numbers, for those who cannot see it."""
    listed = (
        f"{method}: " + ", ".join(f"{layer} {ratio_text(mean(ratios))}" for layer, ratios in of_layers.items()) + "."
        for method, of_layers in methods.items()
    )
    return f"{title}. Share of weights kept in each layer, mean over the seeds. " + " ".join(listed)


def _power_of_ten_below(ratios: Sequence[float]) -> float:
    """Return the power of ten at which the axis ends: no ratio above 0 is less."""
    least = min((ratio for ratio in ratios if ratio > 0), default=0.1)
    return 10.0 ** min(math.floor(math.log10(least)), -1)


def _draw_method(axes: "Axes", number: int, methods: Mapping[str, Ratios], bottom: float) -> None:
    """Draw one method: markers of the means, a line that joins those above 0, and the range over the seeds."""
    method = list(methods)[number]
    ratios = list(methods[method].values())
    colour, marker = SERIES[number % len(SERIES)]
    shift = 0.5 / len(methods) * (number - (len(methods) - 1) / 2)
    places = [index + shift for index in range(len(ratios))]
    least = [max(min(values), bottom) for values in ratios]
    most = [max(*values, bottom) for values in ratios]
    means = [mean(values) for values in ratios]
    axes.vlines(places, least, most, color=colour, linewidth=1)
    axes.plot(places, [ratio or math.nan for ratio in means], color=colour, linewidth=0.6, alpha=0.5)
    (markers,) = axes.plot(
        places, [ratio or bottom for ratio in means], marker, color=colour, markersize=4, label=method
    )
    markers.set_gid(f"ratios-{number}")


def _draw_axes(axes: "Axes", layers: Sequence[str], lowest: float, bottom: float | None) -> None:
    """Draw a logarithmic axis from ``lowest`` to 1, with 0 at ``bottom`` if that is needed."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    powers = [10.0**exponent for exponent in range(round(math.log10(lowest)), 1)]
    axes.set_yscale("log")
    axes.set_ylim(lowest / 1.2 if bottom is None else bottom / 1.5, 1.3)
    axes.yaxis.set_major_locator(FixedLocator(powers if bottom is None else [bottom, *powers]))
    axes.yaxis.set_minor_locator(FixedLocator([digit * power for power in powers[:-1] for digit in range(2, 10)]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: "0" if tick < lowest * 0.9 else f"{tick:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color="0.85", linewidth=0.6)
    axes.grid(axis="x", color="0.92", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_xticks(range(len(layers)), layers, rotation=90, fontsize=7)
    axes.set_xlim(-0.7, len(layers) - 0.3)
    axes.set_ylabel("share of weights kept")
    axes.spines[["top", "right"]].set_visible(False)


def _described(svg: str, text: str) -> str:
    """Add a description, and say to screen readers which of an image's parts are its name and description."""
    head, tag, body = svg.partition("<svg ")
    body = body.replace("<title>", '<title id="title">', 1)
    body = body.replace("</title>", f'</title>\n <desc id="description">{escape(text, quote=False)}</desc>', 1)
    return f'{head}{tag}role="img" aria-labelledby="title" aria-describedby="description" {body}'


def is_ours(svg: str) -> bool:
    """Say whether a text is a figure that was drawn here."""
    return f"<dc:title>{MADE_BY}</dc:title>" in svg
