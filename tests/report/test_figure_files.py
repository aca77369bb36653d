import io
import re
from collections.abc import Callable
from xml.etree import ElementTree

import numpy
import pytest

from prunecheck.analysis.families import Conclusion
from prunecheck.report.forest_plot import forest_figure
from prunecheck.report.formats.figures import (
    COLUMN_MM,
    DOTS_PER_INCH,
    FORMATS,
    MM_PER_INCH,
    RULES,
    figure_bytes,
    is_figure,
)
from prunecheck.report.svg import FIGURES, WIDTH, Drawing

Conclude = Callable[..., Conclusion]
OWN = [90.0, 91.0, 89.5, 90.4]


@pytest.fixture(scope="module")
def svg(conclude: Conclude) -> str:
    costs = {"reinit": [85.0, 86.2, 84.1, 85.3], "rearrange-mask": [90.1, 90.9, 89.4, 90.5]}
    return forest_figure(
        "f",
        conclude({(0.9, None): OWN} | {(0.9, name): v for name, v in costs.items()}, baseline=None).checks,
        2.0,
        "snip",
    )


def pixels(content: bytes) -> "numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.uint8]]":
    image = pytest.importorskip("PIL.Image")
    return numpy.asarray(image.open(io.BytesIO(content)).convert("RGB"))


def test_each_format_is_what_it_says_and_is_known_again(svg: str) -> None:
    files = {format: figure_bytes(svg, format) for format in FORMATS}
    assert ElementTree.fromstring(files["svg"]).tag.endswith("svg")
    assert files["pdf"].startswith(b"%PDF-")
    assert files["png"].startswith(b"\x89PNG")
    assert all(map(is_figure, files.values()))
    assert not is_figure(b"%PDF-1.4 of another tool")
    assert b"/Type3" not in files["pdf"]  # which publishers refuse
    assert files["pdf"] == figure_bytes(svg, "pdf")
    assert b"CreationDate" not in files["pdf"]


def test_a_figure_is_as_wide_as_a_column(svg: str) -> None:
    height, width, _ = pixels(figure_bytes(svg, "png")).shape
    assert width == pytest.approx(COLUMN_MM / MM_PER_INCH * DOTS_PER_INCH, abs=1)
    viewed = float(ElementTree.fromstring(svg).attrib["viewBox"].split()[3])
    assert height / width == pytest.approx(viewed / WIDTH, abs=0.01)
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ", figure_bytes(svg, "pdf"))
    assert box
    assert float(box[1]) == pytest.approx(COLUMN_MM / MM_PER_INCH * 72, abs=0.1)


def test_what_is_drawn_stands_where_the_page_has_it_in_its_colour() -> None:
    drawing = Drawing()
    drawing.rectangle((0, 0), (90, 50), "s1 dot")
    drawing.area([(180, 0), (270, 0)], [(180, 50), (270, 50)], "s2 band")
    drawing.line((0, 75), (WIDTH, 75), "dense")
    found = pixels(figure_bytes(drawing.svg("f", 100, "t", "d"), "png"))
    unit = found.shape[1] / WIDTH

    def at(x: float, y: float) -> list[int]:
        return [int(value) for value in found[int(y * unit), int(x * unit)]]

    orange, green = at(45, 25), at(225, 25)
    assert orange[0] > orange[2] + 60
    assert green[1] > green[0]
    assert at(135, 25) == [255, 255, 255]
    row = found[int(75 * unit)].sum(axis=1)
    assert {bool(value < 700) for value in row} == {True, False}  # dashed


def test_every_rule_of_the_style_sheet_is_read() -> None:
    assert len(RULES) == FIGURES.count("{")
    assert all("var(" not in value for rule in RULES for _, value in rule.said)
