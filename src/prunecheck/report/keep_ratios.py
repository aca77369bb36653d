"""Keep ratios by layer: gathered from results, as a table, and as a figure in a page or a file of its own."""

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from prunecheck.report.contents import AnsweredSetting
from prunecheck.report.svg import LETTER, LETTERS_OF_NAME, RIGHT, Drawing, Scale, series_of, shortened, standalone
from prunecheck.report.table import Table, numbers, one_group, words

Ratios = Mapping[str, Sequence[float]]
"""Per layer, the keep ratio of each seed."""

LAYER_ROW = 13.0


def keep_ratios(setting: AnsweredSetting, sparsity: float) -> dict[str, dict[str, list[float]]]:
    """Return, per method, the keep ratios of its tickets by layer, in the network's order, a value for each seed."""
    found = {}
    for tickets in setting.methods():
        kept = [result.kept for result in setting.results(tickets, sparsity) if result.kept]
        if kept:
            found[tickets.name] = {
                layer: [one[layer][0] / one[layer][1] for one in kept if layer in one] for layer in layer_order(kept)
            }
    return found


def layer_order(kept: Iterable[Mapping[str, object]]) -> list[str]:
    """Return the layers of tickets in the network's order, as far as any of them has it.

    A ticket that was read from a file may list its layers by name.
    """
    orders = [list(one) for one in kept]
    first = next((order for order in orders if order != sorted(order)), orders[0])
    return list(dict.fromkeys([*first, *(layer for order in orders for layer in order)]))


def of_the_same_layers(methods: Mapping[str, Ratios]) -> list[dict[str, Ratios]]:
    """Divide methods into those that have the same layers, so that they can stand in one table."""
    divided: dict[frozenset[str], dict[str, Ratios]] = {}
    for name, ratios in methods.items():
        divided.setdefault(frozenset(ratios), {})[name] = ratios
    return [
        {name: {layer: ratios[layer] for layer in layer_order(same.values())} for name, ratios in same.items()}
        for same in divided.values()
    ]


def ratio_table(methods: Mapping[str, Ratios], title: str, paired_by: str = "seed") -> Table:
    """Return keep ratios by layer, a column for each method; ``paired_by`` is what a seed is."""
    layers = next(iter(methods.values()))
    rows = tuple((layer, *(ratio_cell(ratios[layer]) for ratios in methods.values())) for layer in layers)
    counts = ", ".join(f"{name} {len(next(iter(ratios.values())))}" for name, ratios in methods.items())
    note = f"Share of weights kept; mean over the {paired_by}s (least to most); tickets: {counts}."
    return Table(title, (*words("layer"), *numbers(*methods)), one_group(rows), (note,), kind="ratios")


def ratio_figure(
    identity: str,
    methods: Mapping[str, Ratios],
    title: str,
    own: Mapping[str, int] = MappingProxyType({}),
    paired_by: str = "seed",
) -> str:
    """Draw keep ratios by layer, a row for each, on a logarithmic axis.

    Args:
        identity: of the figure in its page.
        methods: per method, the keep ratios of its tickets by layer, in [0, 1], of the same layers; of more than six
            some look alike.
        title: what was pruned.
        own: the series that methods have in all figures; see :func:`~prunecheck.report.svg.series_of`.
        paired_by: what a seed is.
    """
    drawing = Drawing()
    bottom = _draw(drawing, methods, 0, own)
    return drawing.svg(identity, bottom, f"Keep ratios by layer, {title}", description(methods, title, paired_by))


def ratio_file(methods: Mapping[str, Ratios], title: str, paired_by: str = "seed") -> str:
    """Return the same figure as an SVG file, with its title and what its signs mean drawn above it."""
    drawing = Drawing()
    top = drawing.paragraph(0, title, "strong")
    note = f"marker: mean over the {paired_by}s; line through it: from the least to the most"
    top = drawing.paragraph(top, note, "quiet")
    bottom = _draw(drawing, methods, top)
    told = description(methods, title, paired_by)
    return standalone(drawing.svg("keep-ratios", bottom, f"Keep ratios by layer: {', '.join(methods)}", told))


def _draw(
    drawing: Drawing, methods: Mapping[str, Ratios], top: float, own: Mapping[str, int] = MappingProxyType({})
) -> float:
    """Draw below ``top``, and return where it ends."""
    layers, series_by_name = list(next(iter(methods.values()))), series_of(methods, own)
    top = drawing.legend(series_by_name, top) + 8
    left = 10 + LETTER * max(len(shortened(layer, LETTERS_OF_NAME)) for layer in layers)
    every = [ratio for ratios in methods.values() for values in ratios.values() for ratio in values]
    least = min((ratio for ratio in every if ratio > 0), default=0.1)
    lowest = min(math.floor(math.log10(least)), -1)
    zero = lowest - 0.5  # where 0 stands, to which no logarithm goes
    scale = Scale(zero if 0 in every else lowest - 0.05, 0.05, left + 6, RIGHT)
    bottom = top + LAYER_ROW * len(layers)
    end = 0.0
    for power in [*([zero] if 0 in every else []), *range(lowest, 1)]:
        drawing.line((scale(power), top - 4), (scale(power), bottom), "grid")
        number = "0" if power == zero else f"{10.0**power:g}"
        half = LETTER * len(number) / 2
        if scale(power) - half > end:  # else it would touch the one before
            drawing.text((scale(power), bottom + 12), number, "middle")
            end = scale(power) + half
    drawing.text((RIGHT, bottom + 27), "share of weights kept (log scale)", "end quiet")
    for row, layer in enumerate(layers):
        y = top + LAYER_ROW * (row + 0.5)
        drawing.text((left, y + 3), shortened(layer, LETTERS_OF_NAME), "end small")
        drawing.line((left + 4, y), (RIGHT, y), "row")
    for place, (name, ratios) in enumerate(methods.items()):
        series, shift = series_by_name[name], 5.0 / len(methods) * (place - (len(methods) - 1) / 2)
        for row, values in enumerate(ratios.values()):
            y = top + LAYER_ROW * (row + 0.5) + shift
            xs = [scale(math.log10(ratio) if ratio else zero) for ratio in (min(values), max(values), mean(values))]
            drawing.line((xs[0], y), (xs[1], y), f"s{series} bar")
            drawing.marker((xs[2], y), series)
    return bottom + 34


def ratio_text(ratio: float) -> str:
    """Return a keep ratio as it is shown everywhere, with three significant digits."""
    return f"{ratio:#.3g}" if ratio else "0"


def mean(ratios: Sequence[float]) -> float:
    """Return the mean over the seeds."""
    return math.fsum(ratios) / len(ratios)


def description(methods: Mapping[str, Ratios], title: str, paired_by: str = "seed") -> str:
    """Return what the figure shows, in words and numbers, for those who cannot see it."""
    listed = (
        f"{method}: " + ", ".join(f"{layer} {ratio_text(mean(ratios))}" for layer, ratios in of_layers.items()) + "."
        for method, of_layers in methods.items()
    )
    return f"{title}. Share of weights kept in each layer, mean over the {paired_by}s. " + " ".join(listed)


def ratio_cell(ratios: Sequence[float]) -> str:
    """Return keep ratios as a table shows them: the mean and, where they differ, the least and the most."""
    if min(ratios) == max(ratios):
        return ratio_text(ratios[0])
    return f"{ratio_text(mean(ratios))} ({ratio_text(min(ratios))} to {ratio_text(max(ratios))})"
