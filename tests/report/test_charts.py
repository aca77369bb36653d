import itertools
import math
import re
from xml.etree import ElementTree

import pytest

from prunecheck.report.charts import SERIES, description, is_ours, keep_ratio_figure, mean, ratio_text

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"

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
    return keep_ratio_figure(METHODS, TITLE)


@pytest.fixture(scope="module")
def root(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def texts(root: ElementTree.Element) -> list[str]:
    return ["".join(element.itertext()).strip() for element in root.iter(f"{SVG}text")]


def position(element: ElementTree.Element, axis: str) -> float:
    return float(element.attrib[axis])


def tick_positions(root: ElementTree.Element) -> dict[str, float]:
    """Return where each labelled tick of the vertical axis lies."""
    found = {}
    for group in root.iter(f"{SVG}g"):
        if group.get("id", "").startswith("ytick_") and (label := group.find(f".//{SVG}text")) is not None:
            marks = list(group.iter(f"{SVG}use"))
            found["".join(label.itertext()).strip()] = position(marks[-1], "y")
    return found


def test_text_is_text(root: ElementTree.Element) -> None:
    shown = texts(root)
    for layer in METHODS["snip"]:
        assert layer in shown
    for method in METHODS:
        assert method in shown
    assert any(TITLE in text for text in shown)


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
    ticks = tick_positions(root)
    one, tenth = ticks["1"], ticks["0.1"]
    for number, ratios in enumerate(METHODS.values()):
        (group,) = [element for element in root.iter(f"{SVG}g") if element.get("id") == f"ratios-{number}"]
        marks = list(group.iter(f"{SVG}use"))
        assert len(marks) == len(ratios)
        for mark, values in zip(marks, ratios.values(), strict=True):
            if mean(values) == 0:
                assert position(mark, "y") == pytest.approx(ticks["0"], abs=0.01)
            else:
                drawn = 10 ** ((one - position(mark, "y")) / (tenth - one))
                assert drawn == pytest.approx(mean(values), rel=1e-3)
        assert [position(mark, "x") for mark in marks] == sorted(position(mark, "x") for mark in marks)


def test_no_tick_stands_below_the_axis_unless_something_is_0(root: ElementTree.Element) -> None:
    assert set(tick_positions(root)) == {"0", "0.001", "0.01", "0.1", "1"}
    whole = ElementTree.fromstring(keep_ratio_figure({"snip": {"a": (0.5,), "b": (0.02,)}}, "title"))
    assert set(tick_positions(whole)) == {"0.01", "0.1", "1"}


def test_the_same_numbers_make_the_same_bytes_whatever_the_style(svg: str) -> None:
    import matplotlib

    with matplotlib.rc_context({"axes.linewidth": 5, "axes.facecolor": "red", "font.size": 20}):
        assert keep_ratio_figure(METHODS, TITLE) == svg
        assert matplotlib.rcParams["font.size"] == 20
    assert not re.search(r"\d{4}-\d\d-\d\d", svg)


def test_every_method_has_a_colour_and_a_marker_of_its_own(root: ElementTree.Element) -> None:
    assert len({colour for colour, _ in SERIES}) == len({marker for _, marker in SERIES}) == len(SERIES)
    styles, shapes = set(), set()
    for number in range(len(METHODS)):
        (group,) = [element for element in root.iter(f"{SVG}g") if element.get("id") == f"ratios-{number}"]
        use = next(group.iter(f"{SVG}use"))
        styles.add(use.get("style"))
        shapes.add(use.get(LINK))
    assert len(styles) == len(shapes) == len(METHODS)


@pytest.mark.parametrize("count", [1, 60])
def test_labels_of_many_layers_do_not_overlap(count: int) -> None:
    ratios = {f"layer3.{number}.conv2": (0.01,) for number in range(count)}
    root = ElementTree.fromstring(keep_ratio_figure({"snip": ratios}, "title"))
    assert set(ratios) <= set(texts(root))
    (group,) = [element for element in root.iter(f"{SVG}g") if element.get("id") == "ratios-0"]
    places = [position(use, "x") for use in group.iter(f"{SVG}use")]
    label_size = 7  # points
    assert all(after - before > label_size for before, after in itertools.pairwise(places))


def test_all_may_be_0_or_1() -> None:
    for value in (0.0, 1.0):
        root = ElementTree.fromstring(keep_ratio_figure({"snip": {"a": (value,), "b": (value,)}}, "title"))
        assert "snip" in texts(root)


@pytest.mark.parametrize(
    ("ratio", "text"), [(0, "0"), (1, "1.00"), (0.5, "0.500"), (0.02134, "0.0213"), (0.0000123456, "1.23e-05")]
)
def test_ratios_have_three_digits(ratio: float, text: str) -> None:
    assert ratio_text(ratio) == text
    assert float(text) == pytest.approx(ratio, rel=5e-3)


def test_the_mean_is_the_mean() -> None:
    assert mean([0.1, 0.2, 0.6]) == pytest.approx(0.3)
    assert math.isclose(mean([0.25]), 0.25)


def test_only_our_figures_are_ours(svg: str) -> None:
    assert is_ours(svg)
    assert not is_ours("<svg></svg>")
    assert not is_ours("prunecheck")
