import itertools
import math
import re
from xml.etree import ElementTree

import pytest

from prunecheck.report.keep_ratios import description, mean, ratio_figure, ratio_file, ratio_text
from prunecheck.report.svg import WIDTH, is_ours

SVG = "{http://www.w3.org/2000/svg}"

METHODS = {
    "snip": {"conv1": (0.7, 0.9), "layer1.0.conv1": (0.03, 0.05), "layer1.0.conv2": (0.0, 0.0), "fc": (0.002, 0.004)},
    "user.py:a<b&c": {
        "conv1": (1.0, 1.0),
        "layer1.0.conv1": (0.1, 0.2),
        "layer1.0.conv2": (0.3, 0.3),
        "fc": (0.0, 0.1),
    },
}
TITLE = "snip, user.py:a<b&c at sparsity 0.98 on digits"


@pytest.fixture(scope="module")
def svg() -> str:
    return ratio_file(METHODS, TITLE)


@pytest.fixture(scope="module")
def root(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def texts(root: ElementTree.Element) -> list[str]:
    return ["".join(element.itertext()).strip() for element in root.iter(f"{SVG}text")]


def places_of_ticks(root: ElementTree.Element) -> dict[str, float]:
    """Return where the horizontal axis has its numbers."""
    found = {}
    for text in root.iter(f"{SVG}text"):
        if text.get("class") == "middle" and re.fullmatch(r"[\d.e-]+", text.text or ""):
            found[text.text or ""] = float(text.attrib["x"])
    return found


def middles(root: ElementTree.Element, series: int) -> list[tuple[float, float]]:
    """Return the middles of a series' markers, without that of the legend; the first two series only."""
    found = []
    for path in root.iter(f"{SVG}path"):
        if path.get("class") == f"s{series} mark":
            numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*", path.attrib["d"])]
            if series == 0:  # a circle begins at its left
                found.append((numbers[0] + 3.6, numbers[1]))
            else:
                xs, ys = numbers[::2], numbers[1::2]
                found.append(((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2))
    return found[1:]


def test_text_is_text(root: ElementTree.Element) -> None:
    shown = texts(root)
    for name in (*METHODS["snip"], *METHODS):
        assert name in shown
    assert TITLE in " ".join(shown)


def test_it_has_a_name_and_a_description_for_those_who_cannot_see_it(root: ElementTree.Element) -> None:
    by_id = {element.get("id"): element for element in root.iter() if element.get("id")}
    assert root.get("role") == "img"
    title, words = by_id[root.get("aria-labelledby")], by_id[root.get("aria-describedby")]
    assert (title.tag, words.tag) == (f"{SVG}title", f"{SVG}desc")
    assert title.text == "Keep ratios by layer: snip, user.py:a<b&c"
    assert words.text == description(METHODS, TITLE)
    for ratios in METHODS.values():
        for layer, values in ratios.items():
            assert f"{layer} {ratio_text(mean(values))}" in (words.text or "")


def test_markers_lie_where_the_axis_says(root: ElementTree.Element) -> None:
    ticks = places_of_ticks(root)
    decade = ticks["1"] - ticks["0.1"]
    for series, ratios in enumerate(METHODS.values()):
        found = middles(root, series)
        assert len(found) == len(ratios)
        for (x, _), values in zip(found, ratios.values(), strict=True):
            expected = ticks["1"] + decade * math.log10(mean(values)) if mean(values) else ticks["0"]
            assert x == pytest.approx(expected, abs=0.3)
        assert [y for _, y in found] == sorted(y for _, y in found)


def test_no_tick_stands_below_the_axis_unless_something_is_0(root: ElementTree.Element) -> None:
    assert set(places_of_ticks(root)) == {"0", "0.001", "0.01", "0.1", "1"}
    whole = ElementTree.fromstring(ratio_file({"snip": {"a": (0.5,), "b": (0.02,)}}, "title"))
    assert set(places_of_ticks(whole)) == {"0.01", "0.1", "1"}


def test_the_same_numbers_make_the_same_bytes(svg: str) -> None:
    assert ratio_file(METHODS, TITLE) == svg


def test_the_file_needs_no_page_and_no_variables_of_style_sheets(root: ElementTree.Element, svg: str) -> None:
    (style,) = root.iter(f"{SVG}style")
    rules = dict(re.findall(r"svg (\.[\w-]+) \{ color: ([^;]+); \}", style.text or ""))
    series = [rules[f".s{number}"] for number in range(6)]
    assert len(set(series)) == 6
    assert all(re.fullmatch(r"#[0-9a-f]{6}", colour) for colour in series)
    assert "var(" not in svg
    (paper,) = (rect for rect in root.iter(f"{SVG}rect") if rect.get("width") == "100%")
    assert paper.get("fill") == "#fff"
    drawn = [element.tag for element in root if element.tag in (f"{SVG}rect", f"{SVG}path", f"{SVG}text")]
    assert drawn[0] == f"{SVG}rect"


def test_no_text_of_the_file_is_cut_off(root: ElementTree.Element) -> None:
    long = ElementTree.fromstring(ratio_file(METHODS, ", ".join(["a-method-of-some-length"] * 9)))
    for figure in (root, long):
        *_, width, height = map(float, figure.attrib["viewBox"].split())
        for text in figure.iter(f"{SVG}text"):
            assert float(text.attrib["y"]) <= height
            if "end" not in (text.get("class") or "").split():
                assert len(text.text or "") * 5 < width == WIDTH


def test_more_methods_than_colours_are_drawn_all_the_same() -> None:
    root = ElementTree.fromstring(ratio_file({f"method{number}": {"a": (0.5,)} for number in range(8)}, "title"))
    assert {f"method{number}" for number in range(8)} <= set(texts(root))
    kinds = {path.get("class") for path in root.iter(f"{SVG}path")} - {"grid", "row"}
    assert kinds == {f"s{number} {kind}" for number in range(6) for kind in ("mark", "bar")}


@pytest.mark.parametrize("count", [1, 60])
def test_labels_of_many_layers_do_not_overlap(count: int) -> None:
    ratios = {f"layer3.{number}.conv2": (0.01,) for number in range(count)}
    root = ElementTree.fromstring(ratio_file({"snip": ratios}, "title"))
    assert set(ratios) <= set(texts(root))
    places = [float(text.attrib["y"]) for text in root.iter(f"{SVG}text") if text.text in ratios]
    size_of_small_text = 10
    assert all(after - before > size_of_small_text for before, after in itertools.pairwise(places))


def test_all_may_be_0_or_1() -> None:
    for value in (0.0, 1.0):
        root = ElementTree.fromstring(ratio_file({"snip": {"a": (value,), "b": (value,)}}, "title"))
        assert "snip" in texts(root)


def test_names_that_no_xml_may_hold_are_shown_as_escapes() -> None:
    root = ElementTree.fromstring(ratio_file({"s\x1b[31m": {"a\x00": (0.5,)}}, "t\x07"))
    assert {r"s\x1b[31m", r"a\x00", r"t\x07"} <= set(texts(root))


@pytest.mark.parametrize(
    ("ratio", "text"), [(0, "0"), (1, "1.00"), (0.5, "0.500"), (0.02134, "0.0213"), (0.0000123456, "1.23e-05")]
)
def test_ratios_have_three_digits(ratio: float, text: str) -> None:
    assert ratio_text(ratio) == text
    assert float(text) == pytest.approx(ratio, rel=5e-3)


def test_the_mean_is_the_mean() -> None:
    assert mean([0.1, 0.2, 0.6]) == pytest.approx(0.3)
    assert math.isclose(mean([0.25]), 0.25)


def test_only_figures_that_were_written_as_files_are_ours(svg: str) -> None:
    assert is_ours(svg)
    assert not is_ours(ratio_figure("figure1", METHODS, TITLE))
    assert not is_ours("<svg></svg>")
    assert not is_ours("prunecheck")
