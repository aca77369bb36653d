import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunecheck.analysis.doses import dose_responses
from prunecheck.analysis.estimates import Curve, Estimate, estimate
from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.verdicts import Verdict
from prunecheck.metrics import ACCURACY
from prunecheck.report.contents import AnsweredSetting, ReportContents, contents_of_runs
from prunecheck.report.figure_names import LONGEST, named_figures
from prunecheck.report.figures import curve_figure, dose_figure, value_figure
from prunecheck.report.forest_plot import MOST_ROWS, chunks_of, forest_figure
from prunecheck.report.keep_ratios import ratio_figure
from prunecheck.report.matrix import verdict_matrix
from prunecheck.report.sections import report_sections
from prunecheck.report.svg import LETTER, WIDTH, Scale, bounds, series_of, shortened
from prunecheck.report.sweeps import sweep_figure
from prunecheck.runs.index import find_runs

Conclude = Callable[..., Conclusion]
Record = Callable[..., None]
SVG = "{http://www.w3.org/2000/svg}"
OWN = [90.0, 91.0, 89.5, 90.4]


def below_own(cost: float) -> list[float]:
    """Accuracies that lie so much lower in the mean, for differences that are all equal show little."""
    return [value - cost + 0.05 * (-1) ** seed for seed, value in enumerate(OWN)]


RANDOM = "random-smart"


def paths(svg: str, kind: str) -> list[list[float]]:
    """Return the numbers in the outlines whose class has a word."""
    found = [path for path in ET.fromstring(svg).iter(f"{SVG}path") if kind in path.attrib["class"].split()]
    return [[float(number) for number in re.findall(r"-?\d+\.?\d*", path.attrib["d"])] for path in found]


def texts(svg: str) -> list[str]:
    return ["".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{SVG}text")]


def markers_of(svg: str, series: int) -> list[tuple[float, float]]:
    """Return the middles of a series' markers: the first is that of the legend."""
    middles = []
    for numbers in paths(svg, f"s{series}"):
        if len(numbers) >= 8 and series:  # corners; lines and bars have two points
            xs, ys = numbers[::2], numbers[1::2]
            middles.append(((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2))
    return middles


def test_estimates_are_those_of_scipy() -> None:
    from scipy import stats

    found = estimate(OWN)
    assert found is not None
    assert found.interval == pytest.approx(stats.t.interval(0.95, 3, loc=sum(OWN) / 4, scale=stats.sem(OWN)), rel=1e-9)
    assert estimate([90.0]) == Estimate(90.0, None, 1)
    assert estimate([]) is None


@settings(max_examples=60, deadline=None)
@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4))
def test_ticks_are_round_between_the_ends_and_neither_few_nor_many(low: float, span: float) -> None:
    scale = Scale(low, low + span, 0, 100)
    ticks = scale.ticks(6)
    assert 2 <= len(ticks) <= 7
    assert all(low - 1e-6 * span <= tick <= low + span + 1e-6 * span for tick in ticks)
    steps = {round((b - a) / span, 6) for a, b in pairwise(ticks)}
    assert max(steps) - min(steps) < 1e-3
    step = ticks[1] - ticks[0]
    assert f"{step:.1e}"[0] in "125" or f"{step:.1e}"[:3] == "2.5"


def test_a_scale_goes_either_way_and_stops_at_its_ends() -> None:
    scale = Scale(0, 10, 200, 100)
    assert [scale(value) for value in (0, 5, 10, 11, -1)] == [200, 150, 100, 100, 200]
    assert Scale(3, 3, 0, 100)(3) == Scale(1e99, 1e99, 0, 100)(1e99) == 50


@pytest.mark.parametrize("letters", [3, 10, 24, 25])
def test_a_shortened_name_has_no_more_letters_and_both_its_ends(letters: int) -> None:
    name = "layer3.downsample.0.weight"
    short = shortened(name, letters)
    assert len(short) == letters
    head, tail = short.split("…")
    assert name.startswith(head)
    assert name.endswith(tail)
    assert shortened(name, 26) == name


def test_the_axis_shows_every_mean_and_no_more_of_an_interval_than_leaves_them_room() -> None:
    low, high = bounds([0.0, 10.0], [(-500.0, 500.0), (9.0, 11.0)])
    assert low < 0
    assert high > 10
    assert high - low < 40
    assert bounds([0.0, 10.0], [(-1.0, 1.0), (9.0, 12.0)])[1] > 12


def test_markers_stand_where_the_numbers_say() -> None:
    methods = {
        "a": {0.9: Estimate(80.0, (79.0, 81.0), 3)},
        "b": {0.9: Estimate(60.0, (59.0, 61.0), 3), 0.95: Estimate(70.0, (69.0, 71.0), 3)},
    }
    svg = value_figure("f", methods, Estimate(95.0, None, 1), 10.0, ACCURACY, "digits")
    _, (x60, y60), (x70, y70) = markers_of(svg, 1)
    bars = [numbers for numbers in paths(svg, "bar") if numbers[0] == pytest.approx(x60, abs=0.1)]
    (bar,) = bars
    assert (bar[1] + bar[3]) / 2 == pytest.approx(y60, abs=0.1)
    per_point = (y60 - y70) / 10
    assert abs(bar[1] - bar[3]) == pytest.approx(2 * per_point, abs=0.2)
    dense = paths(svg, "dense")[-1]
    assert dense[1] == dense[3] == pytest.approx(y70 - 25 * per_point, abs=0.3)
    assert x70 > x60
    assert {"a", "b", "dense", "0.9", "0.95"} <= set(texts(svg))


def test_the_margin_is_drawn_around_zero_to_scale(conclude: Conclude) -> None:
    outcomes = {
        (0.9, None): OWN,
        (0.9, "reinit"): below_own(6),
        (0.9, RANDOM): below_own(-0.1),
    }
    answer = conclude(outcomes, margin=2.0)
    svg = forest_figure("f", answer.comparisons, 2.0, "snip")
    (zero,) = paths(svg, "zero")
    left, right = (line[0] for line in paths(svg, "margin-line"))
    assert right - zero[0] == pytest.approx(zero[0] - left, abs=0.11)
    (rectangle,) = ET.fromstring(svg).iter(f"{SVG}rect")
    assert float(rectangle.attrib["x"]) == left
    marks = [numbers for numbers in paths(svg, "uses") if len(numbers) == 8]
    *_, of_check = marks
    middle = (min(of_check[::2]) + max(of_check[::2])) / 2
    assert (middle - zero[0]) / (right - zero[0]) == pytest.approx(3.0, abs=0.05)
    assert {"reinit", RANDOM, "sparsity 0.9", "margin ±2", "uses it", "equivalent"} <= set(texts(svg))


def test_each_verdict_has_a_shape_of_its_own_beside_its_colour(conclude: Conclude) -> None:
    outcomes = {
        (0.9, None): OWN,
        (0.9, "reinit"): below_own(6),
        (0.9, "rearrange-mask"): below_own(0),
        (0.9, "shuffle-weights"): [80.0, 99.0, 85.0, 97.0],
    }
    svg = forest_figure("f", conclude(outcomes, baseline=None).checks, 2.0, "snip")
    shapes = set()
    for kind in ("uses", "not-uses", "undecided"):
        of_legend, of_row = [
            path.attrib["d"] for path in ET.fromstring(svg).iter(f"{SVG}path") if path.attrib["class"] == f"{kind} mark"
        ]
        (x, y), *corners = [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", of_row)]
        shapes.add(tuple((round(cx - x), round(cy - y)) for cx, cy in corners))
        assert of_legend.count("L") == of_row.count("L")
    assert len(shapes) == 3


def test_a_method_of_which_nothing_is_left_has_a_sentence_and_no_figure(conclude: Conclude) -> None:
    lost = conclude({(0.9, None): OWN, (0.9, "reinit"): ["collapsed"] * 4}, baseline=None)
    kept = conclude({(0.9, None): OWN, (0.9, "reinit"): below_own(0.1)}, method="grasp", baseline=None)
    setting = AnsweredSetting("digits", lost.question.setting, {}, (lost, kept))
    (section,) = [one for one in report_sections(ReportContents((setting,), ())) if one.identity == "differences"]
    (group,) = section.groups
    assert [figure.caption for figure in group.figures] == ["grasp"]
    assert group.paragraphs == ("Of snip at sparsity 0.9 there is nothing to draw: too few tickets are left.",)


def test_a_collapsed_row_has_words_and_no_marker(conclude: Conclude) -> None:
    answer = conclude({(0.9, None): OWN, (0.9, "reinit"): ["collapsed"] * 4}, baseline=None)
    svg = forest_figure("f", answer.checks, 2.0, "snip")
    assert "collapsed" in texts(svg)
    assert paths(svg, "mark") == []
    name, word = [text for text in ET.fromstring(svg).iter(f"{SVG}text") if text.text in ("reinit", "collapsed")]
    assert float(word.attrib["x"]) > float(name.attrib["x"]) + LETTER * len("reinit")


def test_an_interval_that_goes_on_ends_in_an_arrow_at_the_edge(conclude: Conclude) -> None:
    two = {(0.9, None): [90.0, 91.0], (0.9, "reinit"): [89.0, 80.0], (0.9, "rearrange-mask"): [90.0, 91.5]}
    svg = forest_figure("f", conclude(two, baseline=None).checks, 2.0, "snip")
    arrows = [numbers for numbers in paths(svg, "bar") if len(numbers) == 6]
    assert len(arrows) == 4  # two pairs show nothing: each interval has no end
    assert all(0 <= x <= WIDTH for numbers in arrows for x in numbers[::2])


@pytest.mark.parametrize("margin", [0.3, 1.0, 2.0, 4.0])
def test_a_bar_lies_beyond_the_margin_just_where_that_is_the_verdict(conclude: Conclude, margin: float) -> None:
    checks = {f"random-labels@{share}": below_own(8 * share) for share in (0.1, 0.2, 0.3, 0.4, 0.5)}
    answer = conclude({(0.9, None): OWN} | {(0.9, name): values for name, values in checks.items()}, margin=margin)
    for one in answer.checks:
        assert one.adjusted_interval is not None
        low, high = one.adjusted_interval
        is_right, is_left = low > margin, high < margin
        expected = Verdict.USES if is_right else Verdict.DOES_NOT_USE if is_left else Verdict.UNDECIDED
        assert one.verdict is expected
    svg = forest_figure("f", answer.checks, margin, "snip")
    (right_edge,) = {round(x, 1) for x, *_ in paths(svg, "margin-line")[1:]}
    for one, (start, _, end, _) in zip(answer.checks, [bar for bar in paths(svg, "bar") if len(bar) == 4], strict=True):
        assert (start > right_edge) == (one.verdict is Verdict.USES)
        assert (end < right_edge) == (one.verdict is Verdict.DOES_NOT_USE)


def test_a_verdict_that_follows_from_no_test_has_a_dashed_bar(conclude: Conclude) -> None:
    lost = {(0.9, None): OWN, (0.9, "reinit"): ["collapsed", 91.05, 89.4, 90.5]}
    answer = conclude(lost, baseline=None)
    assert (answer.checks[0].verdict, answer.checks[0].level) == (Verdict.UNDECIDED, None)
    assert len(paths(forest_figure("f", answer.checks, 2.0, "snip"), "plain")) == 1


def test_a_layer_that_keeps_nothing_stands_at_zero_left_of_the_scale() -> None:
    svg = ratio_figure("f", {"a": {"c": [0.0], "d": [0.01]}, "b": {"c": [1.0], "d": [0.1]}}, "digits")
    marks = markers_of(svg, 1)
    assert len(marks) == 3
    (_, (x_one, _), (x_tenth, _)) = marks
    grid = [line[0] for line in paths(svg, "grid")]
    zero, hundredth, tenth, one = sorted(grid)
    assert x_one == pytest.approx(one, abs=0.1)
    assert x_tenth == pytest.approx(tenth, abs=0.1)
    assert one - tenth == pytest.approx(tenth - hundredth, abs=0.11)
    assert zero < hundredth
    assert "0" in texts(svg)
    assert "0" not in texts(ratio_figure("f", {"a": {"c": [0.5]}}, "digits"))


def test_a_band_reaches_from_the_least_to_the_most_of_several_runs() -> None:
    curve = Curve((1, 2, 3), (10.0, 20.0, 30.0), (5.0, 15.0, 25.0), (15.0, 25.0, 35.0), 2)
    svg = curve_figure("f", {"a": curve}, None, "accuracy", "digits")
    ((*band,),) = paths(svg, "band")
    (line,) = paths(svg, "curve")
    assert len(band) == 12
    upper, lower = band[1:6:2], band[7::2][::-1]
    for high, low, middle in zip(upper, lower, line[1::2], strict=True):
        assert (high + low) / 2 == pytest.approx(middle, abs=0.11)
        assert high < low  # y grows downwards
    alone = Curve((1, 2), (1.0, 2.0), (1.0, 2.0), (1.0, 2.0), 1)
    assert paths(curve_figure("f", {"a": alone}, None, "accuracy", "digits"), "band") == []


def test_doses_begin_at_no_cost_and_end_with_the_whole_check(conclude: Conclude) -> None:
    outcomes = {
        (0.9, None): OWN,
        (0.9, "random-labels"): [value - 8 for value in OWN],
        (0.9, "random-labels@0.25"): [value - 2 for value in OWN],
        (0.9, "part-of-data"): [value - 1 for value in OWN],
        (0.9, "part-of-data@0.1"): [value - 4 for value in OWN],
        (0.9, "rearrange-mask"): OWN,
        (0.9, "random-labels@0.5+rearrange-mask"): OWN,
    }
    found = dose_responses(conclude(outcomes, baseline=None))
    assert list(found) == ["random-labels", "part-of-data"]
    assert [(dose.share, round(dose.cost, 6)) for dose in found["random-labels"][0.9]] == [(0, 0), (0.25, 2), (1, 8)]
    assert [dose.share for dose in found["part-of-data"][0.9]] == [0.1, 0.5]  # nothing is known at 0
    svg = dose_figure("f", found["random-labels"], 2.0, ACCURACY, "random-labels", "snip")
    (line,) = paths(svg, "thin")
    xs = line[::2]
    assert (xs[1] - xs[0]) / (xs[2] - xs[0]) == pytest.approx(0.25, abs=0.01)
    _, margin = paths(svg, "margin-line")  # the first is in the legend
    ys = line[1::2]
    assert margin[1] == pytest.approx(ys[1], abs=0.11)  # it costs just the margin


def test_no_words_stand_where_lines_may_cross_them(conclude: Conclude) -> None:
    falling = {
        0.5: Estimate(80.0, (79.0, 81.0), 3),
        0.9: Estimate(40.0, (39.0, 41.0), 3),
        0.99: Estimate(10.0, None, 1),
    }
    of_values = {"a": falling, "b": falling}, Estimate(85.0, None, 1), 10.0, ACCURACY, "digits"
    costs = {(0.9, None): OWN, (0.9, "random-labels"): below_own(4), (0.9, "random-labels@0.25"): below_own(2)}
    doses = dose_responses(conclude(costs, baseline=None))["random-labels"]
    curve = Curve((1, 2, 3), (10.0, 50.0, 80.0), (9.0, 49.0, 79.0), (11.0, 51.0, 81.0), 3)
    named = {
        value_figure("f", *of_values): {"dense", "guessing"},
        sweep_figure("f", *of_values): {"dense", "guessing"},
        dose_figure("f", doses, 2.0, ACCURACY, "random-labels", "snip"): {"margin"},
        curve_figure("f", {"a": curve}, curve, "accuracy", "digits"): {"dense"},
    }
    for svg, names in named.items():
        grid = paths(svg, "grid")
        left, top, bottom = grid[0][0], min(line[1] for line in grid), max(line[1] for line in grid)
        places = [
            (float(text.attrib["x"]), float(text.attrib["y"]), "".join(text.itertext()))
            for text in ET.fromstring(svg).iter(f"{SVG}text")
        ]
        assert [words for x, y, words in places if x > left and top < y < bottom] == []
        assert names <= {words for _, y, words in places if y < top}


def test_a_line_that_is_out_of_reach_is_not_named_either() -> None:
    high = {"a": {0.9: Estimate(90.0, (89.0, 91.0), 3), 0.95: Estimate(88.0, (87.0, 89.0), 3)}}
    svg = value_figure("f", high, None, 10.0, ACCURACY, "digits")
    assert paths(svg, "chance") == []
    assert "guessing" not in texts(svg)


@pytest.mark.parametrize("count", [1, 6])
def test_names_of_any_length_stay_inside(count: int) -> None:
    methods = {f"{'very-long-name-' * 8}{number}": {0.9: Estimate(80.0, None, 1)} for number in range(count)}
    svg = value_figure("f", methods, None, 10.0, ACCURACY, "digits")
    assert all(len(text) <= 40 for text in texts(svg))
    assert all("very-long" in text for text in texts(svg)[:count])


def test_markup_in_names_is_text() -> None:
    svg = value_figure("f", {"</text><script>": {0.9: Estimate(80.0, None, 1)}}, None, 10.0, ACCURACY, "<b>&")
    assert "</text><script>" in texts(svg)
    assert not list(ET.fromstring(svg).iter(f"{SVG}script"))


def test_hundreds_of_comparisons_are_divided_into_figures_that_can_be_read(conclude: Conclude) -> None:
    shares = [f"random-labels@{share / 100:g}" for share in range(1, 30)]
    sparsities = [round(0.1 * n, 1) for n in range(1, 9)]
    outcomes = {(s, check): OWN for s in sparsities for check in (None, *shares)}
    checks = conclude(outcomes, baseline=None).checks
    chunks = list(chunks_of(sorted(checks, key=lambda c: c.sparsity)))
    assert sum(map(len, chunks)) == 8 * 29
    assert max(map(len, chunks)) <= MOST_ROWS
    assert all(len({c.sparsity for c in chunk}) == 1 for chunk in chunks)


def dots_of(svg: str) -> list[float]:
    return [float(dot.attrib["cx"]) for dot in ET.fromstring(svg).iter(f"{SVG}circle")]


def test_each_seed_is_a_dot_at_its_own_difference_to_scale(conclude: Conclude) -> None:
    costs = [0.0, 2.0, -2.0, 30.0]  # one far from the others
    outcomes = {(0.9, None): OWN, (0.9, "reinit"): [own - cost for own, cost in zip(OWN, costs, strict=True)]}
    svg = forest_figure("f", conclude(outcomes, margin=2.0, baseline=None).checks, 2.0, "snip")
    (zero,) = paths(svg, "zero")
    left, right = (line[0] for line in paths(svg, "margin-line"))
    first, second, third, far = dots_of(svg)
    assert [first, second, third] == pytest.approx([zero[0], right, left], abs=0.11)
    assert (far - zero[0]) / (right - zero[0]) == pytest.approx(15.0, abs=0.3)
    assert far < WIDTH
    gone = conclude({(0.9, None): OWN, (0.9, "reinit"): ["collapsed"] * 4}, baseline=None)
    assert dots_of(forest_figure("f", gone.checks, 2.0, "snip")) == []


def test_a_method_has_its_colour_and_marker_in_every_figure_and_no_two_of_one_figure_are_alike() -> None:
    own = {name: place for place, name in enumerate("abcdefgh")}
    assert series_of("abc", own) == {"a": 0, "b": 1, "c": 2}
    assert series_of(["c", "reinit", "b"], own) == {"c": 2, "reinit": 0, "b": 1}
    assert series_of("bh", own) == {"b": 1, "h": 0}  # both would be the second
    assert sorted(series_of("cdefgh", own).values()) == list(range(6))
    figures = [ratio_figure("f", {name: {"c": [0.5]} for name in names}, "digits", own) for names in ("ab", "b")]
    assert [len(markers_of(svg, 1)) for svg in figures] == [2, 2]
    assert markers_of(figures[1], 0) == []


def test_a_matrix_has_a_sign_for_each_method_change_and_sparsity(conclude: Conclude) -> None:
    worse = [value - 9 - 0.1 * (-1) ** seed for seed, value in enumerate(OWN)]
    outcomes = {(0.9, None): OWN, (0.9, "reinit"): worse, (0.9, RANDOM): below_own(0.1)}
    outcomes |= {(0.95, None): OWN, (0.95, "reinit"): ["collapsed"] * 4, (0.95, RANDOM): below_own(0.1)}
    answer = conclude(outcomes)
    setting = AnsweredSetting("digits", answer.question.setting, {}, (answer,))
    table = verdict_matrix(ReportContents((setting,), ()))
    assert table is not None
    assert table.headings == ("sparsity", "0.9", "0.95")
    assert [group.title for group in table.groups] == ["snip"]
    assert table.rows == (("reinit", "◆", "✕"), (RANDOM, "✚", "✚"))
    assert table.notes == ("◆ uses it; ✚ equivalent; ✕ collapsed.",)
    assert verdict_matrix(ReportContents((), ())) is None


def test_every_figure_has_a_name_of_its_own_for_its_file(conclude: Conclude) -> None:
    answer = conclude({(0.9, None): OWN, (0.9, "reinit"): below_own(1), (0.9, RANDOM): below_own(0.1)})
    other = conclude({(0.9, None): OWN, (0.9, "reinit"): below_own(1)}, method="grasp", baseline=None)
    setting = AnsweredSetting("digits", answer.question.setting, {}, (answer, other))
    names = named_figures(ReportContents((setting,), ()))
    assert [name for name in names if name.startswith("differences")] == ["differences-snip", "differences-grasp"]
    assert all(re.fullmatch(r"[\w.@+-]+", name) for name in names)


def test_a_long_name_of_a_figure_leaves_out_the_middle_of_the_method(tmp_path: Path, record: Record) -> None:
    methods = [f"{'long_' * 20}file.py:score?alpha={alpha}&sample={'x' * 60}{end}" for alpha in (1, 2) for end in "ab"]
    record(tmp_path, {(method, 0.9, check): OWN for method in methods for check in (None, "reinit")})
    names = list(named_figures(contents_of_runs(find_runs([tmp_path]), baseline="none")))
    curves = [name for name in names if name.startswith("curves-long_long_")]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= LONGEST + 2  # of those that differ in what is left out, the second has a number
    assert len(curves) == 2 * len(methods)
    for name in curves:
        assert re.fullmatch(r"curves-long_\w+--x+[ab]-(test-accuracy|training-loss)-at-sparsity-0\.9(-2)?", name)
