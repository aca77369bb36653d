"""Figures as files: SVG as it stands in the page, and PDF and PNG of the same drawing, as wide as a column."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from prunecheck.extras import extra
from prunecheck.report.svg import COLOURS, FIGURES, RADIUS, WIDTH, standalone

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.path import Path as Outline

COLUMN_MM = 85.0
"""Width of a figure on paper: that of one of two columns."""

DOTS_PER_INCH = 300

MM_PER_INCH = 25.4

POINTS = COLUMN_MM / MM_PER_INCH * 72 / WIDTH
"""Points of a unit of the drawings."""

FORMATS = ("svg", "pdf", "png")

SVG = "{http://www.w3.org/2000/svg}"

CREATOR = "prunecheck"
"""In the metadata of every file, by which it is known."""

Style = dict[str, str]


def figure_bytes(svg: str, format: str) -> bytes:
    """Return a figure as a file.

    Args:
        svg: as it stands in the page.
        format: one of :data:`FORMATS`.

    Raises:
        InputError: matplotlib is not installed, which draws PDF and PNG.
    """
    if format == "svg":
        return standalone(svg).encode()
    with extra("figures", f"a figure as {format.upper()}"):
        import matplotlib
        from matplotlib.figure import Figure

    root = ElementTree.fromstring(svg)
    height = float(root.attrib["viewBox"].split()[3])
    size = COLUMN_MM / MM_PER_INCH
    content = io.BytesIO()
    with matplotlib.rc_context({"pdf.fonttype": 42, "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(size, size * height / WIDTH))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, WIDTH), ylim=(height, 0))
        axes.axis("off")
        for order, element in enumerate(root.iter()):
            _draw(axes, element, order)
        about = {"Creator": CREATOR, "CreationDate": None} if format == "pdf" else {"Software": CREATOR}
        figure.savefig(content, format=format, dpi=DOTS_PER_INCH, metadata=about)
    return content.getvalue()


def is_figure(content: bytes) -> bool:
    """Say whether a file is a figure that was made here."""
    return CREATOR.encode() in content and (content[:5] in (b"%PDF-", b"<?xml") or content[1:4] == b"PNG")


def _draw(axes: "Axes", element: ElementTree.Element, order: int) -> None:
    from matplotlib.patches import Circle, PathPatch, Rectangle

    kind, given = element.tag.removeprefix(SVG), element.attrib
    style = _style_of(kind, given.get("class", ""))
    if kind == "text":
        _draw_text(axes, element, style, order)
        return
    looks = _looks(style) | {"zorder": order}
    if kind == "path":
        axes.add_patch(PathPatch(_outline(given["d"]), **looks))
    elif kind == "rect":
        corner = float(given["x"]), float(given["y"])
        axes.add_patch(Rectangle(corner, float(given["width"]), float(given["height"]), **looks))
    elif kind == "circle":
        axes.add_patch(Circle((float(given["cx"]), float(given["cy"])), float(given["r"]), **looks))


def _draw_text(axes: "Axes", element: ElementTree.Element, style: Style, order: int) -> None:
    axes.text(
        *(float(element.attrib["x"]), float(element.attrib["y"]), "".join(element.itertext())),
        fontsize=float(style.get("font-size", "11px").removesuffix("px")) * POINTS,
        color=_colour(style, "fill", "#000"),
        ha={"end": "right", "middle": "center"}.get(style.get("text-anchor", ""), "left"),
        va="baseline",
        style="italic" if style.get("font-style") == "italic" else "normal",
        weight="bold" if style.get("font-weight") == "600" else "normal",
        parse_math=False,
        zorder=order,
    )


def _looks(style: Style) -> dict[str, Any]:
    """Return how matplotlib draws what a style sheet says of a shape."""
    from matplotlib.colors import to_rgba

    fill, stroke = _colour(style, "fill", "none"), _colour(style, "stroke", "none")
    face = "none" if fill == "none" else to_rgba(fill, float(style.get("fill-opacity", 1)) * _opacity(fill))
    edge = "none" if stroke == "none" else to_rgba(stroke, float(style.get("stroke-opacity", 1)))
    width = float(style.get("stroke-width", 1)) * POINTS
    dashes = [float(length) * POINTS / width for length in style.get("stroke-dasharray", "").split()]
    looks: dict[str, Any] = {"facecolor": face, "edgecolor": edge, "linewidth": width if stroke != "none" else 0}
    return looks | ({"linestyle": (0, tuple(dashes))} if dashes else {}) | {"capstyle": "butt"}


def _opacity(colour: str) -> float:
    """Return that of a colour with four pairs of digits."""
    return int(colour[7:9], 16) / 255 if len(colour) == 9 else 1.0


def _colour(style: Style, name: str, default: str) -> str:
    value = style.get(name, default)
    return style.get("color", INK) if value == "currentColor" else value


def _outline(drawn: str) -> "Outline":
    """Return a path of an SVG: straight lines from place to place, or a marker's circle."""
    from matplotlib.path import Path as Outline

    if "a" in drawn:
        x, y = map(float, re.findall(r"-?[\d.]+", drawn.partition("a")[0]))
        return Outline.circle((x + RADIUS, y), RADIUS)
    vertices: list[tuple[float, float]] = []
    codes = []
    for command, numbers in re.findall(r"([MLZ])([^MLZ]*)", drawn):
        if command == "Z":
            vertices.append(vertices[0])
            codes.append(Outline.CLOSEPOLY)
            continue
        x, y = map(float, numbers.split())
        vertices.append((x, y))
        codes.append(Outline.MOVETO if command == "M" else Outline.LINETO)
    return Outline(vertices, codes)


@dataclass(frozen=True)
class _Rule:
    """What a style sheet says of elements of a kind, or of all kinds, that have some classes."""

    kind: str
    classes: frozenset[str]
    said: tuple[tuple[str, str], ...]


def _style_of(kind: str, classes: str) -> Style:
    style: Style = {}
    names = set(classes.split())
    for rule in RULES:
        if rule.kind in ("", kind) and rule.classes <= names:
            style |= dict(rule.said)
    return style


def _rules() -> Iterator[_Rule]:
    """Yield the rules of the figures' style sheet, those of more classes after those of fewer."""
    for selector, said in re.findall(r"svg ([\w.-]+) \{([^}]*)\}", FIGURES):
        kind, *classes = selector.split(".")
        pairs = [part.split(":", 1) for part in said.split(";") if part.strip()]
        values = ((name.strip(), VARIABLE.sub(lambda match: LIGHT[match[1]], value.strip())) for name, value in pairs)
        yield _Rule(kind, frozenset(classes), tuple(values))


VARIABLE = re.compile(r"var\((--[\w-]+)\)")

LIGHT: dict[str, str] = dict(re.findall(r"(--[\w-]+): (#\w+);", COLOURS.partition("@media")[0]))
"""The colours of light pages."""

INK = LIGHT["--ink"]

RULES = sorted(_rules(), key=lambda rule: len(rule.classes))
