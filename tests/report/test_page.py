import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from prunecheck.report import sections
from prunecheck.report.contents import ReportContents, contents_of_runs
from prunecheck.report.figures import curve_figure
from prunecheck.report.keep_ratios import keep_ratios, of_the_same_layers
from prunecheck.report.matrix import verdict_matrix
from prunecheck.report.page import is_report, report_html
from prunecheck.report.papers import paper_tables
from prunecheck.report.reading import headline
from prunecheck.report.sections import Group, report_sections
from prunecheck.report.tables import verdict_table
from prunecheck.runs.index import find_runs
from prunecheck.studies.question_log import LoggedQuestion, QuestionLog

Record = Callable[..., None]

RANDOM = "random-smart"
OWN = [90.0, 91.0, 89.5, 90.4]
RUNS = {
    ("dense", 0.0, None): [95.0, 95.5, 94.8, 95.2],
    ("snip", 0.9, None): OWN,
    ("snip", 0.9, "random-labels@0.5"): [86.0, 87.2, 85.3, 86.5],
    ("snip", 0.9, "random-labels"): [80.0, 81.2, 79.3, 80.5],
    ("snip", 0.9, "rearrange-mask"): [90.2, 90.9, 89.4, 90.6],
    ("snip", 0.9, "reinit"): ["collapsed", "diverged", "failed", 90.0],
    (RANDOM, 0.9, None): [90.1, 90.8, 89.7, 90.3],
}

VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """Collects what a page is made of, and sees that what is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[tuple[tuple[str, ...], str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append((tuple(self.open), " ".join(data.split())))

    def said(self, tag: str) -> list[str]:
        return [words for path, words in self.words if path and path[-1] == tag]

    def cells(self) -> str:
        return " ".join(words for path, words in self.words if {"td", "th"} & set(path))


def contents_of(root: Path, margin: float = 2.0) -> ReportContents:
    return contents_of_runs(find_runs([root]), margin, RANDOM)


@pytest.fixture
def contents(tmp_path: Path, record: Record) -> ReportContents:
    record(tmp_path, RUNS)
    return contents_of(tmp_path)


@pytest.fixture
def page(contents: ReportContents) -> Page:
    return Page(report_html(contents, "prunecheck report runs"))


def test_every_part_is_there(page: Page) -> None:
    assert page.said("h1") == ["What snip uses"]
    assert page.said("h2") == [
        "Verdicts at a glance",
        "Verdicts",
        "What each change costs",
        "Accuracy by sparsity",
        "Dose and response",
        "Keep ratios by layer",
        "Training curves",
        "Collapsed, diverged and failed tickets",
        "How it was made",
    ]
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    identities = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert {f"#{identity}" for identity in identities} >= set(links)
    assert len(identities) == len(set(identities))


def test_the_answer_has_two_sentences_and_says_what_the_verdicts_say(contents: ReportContents) -> None:
    answers = [answer for _, answer in contents.answers()]
    first, second = headline(answers)
    assert first == (
        "snip uses the labels; it does not use which weights of each layer it keeps; whether it uses the weights "
        "that training starts from cannot be told, because too many tickets collapsed."
    )
    assert second == "Its tickets do as well as random-smart tickets, within 2 points, at sparsity 0.9."


def test_the_answer_of_several_methods_counts_every_verdict_once(tmp_path: Path, record: Record) -> None:
    record(tmp_path, RUNS)
    record(tmp_path, {("grasp", *key[1:]): values for key, values in RUNS.items() if key[0] == "snip"})
    found = contents_of(tmp_path)
    first, second = headline([answer for _, answer in found.answers()])
    assert first.startswith("Of 8 changes to the tickets of grasp and snip, 4 cost more than 2 points of accuracy, ")
    assert sum(map(int, re.findall(r"(?:, | and )(\d+) (?:cost|are|is)", first))) == 8
    assert second == "Of 2 comparisons with tickets of random-smart, 2 do as well within 2 points."


def test_methods_stand_in_the_order_in_which_they_were_asked_about(tmp_path: Path, record: Record) -> None:
    record(tmp_path, RUNS)
    record(tmp_path, {(name, 0.9, check): OWN for name in ("grasp", "synflow") for check in (None, "rearrange-mask")})
    by_name = [answer.question for _, answer in contents_of(tmp_path).answers()]
    assert [question.method for question in by_name] == ["grasp", "snip", "synflow"]
    log = QuestionLog(tuple(LoggedQuestion(by_name[place], (4,)) for place in (1, 2, 0)))
    found = contents_of_runs(find_runs([tmp_path]), log=log)
    assert [answer.question.method for _, answer in found.answers()] == ["snip", "synflow", "grasp"]


def test_sparsities_that_look_alike_share_a_heading_unless_one_method_has_both(tmp_path: Path, record: Record) -> None:
    mask = "mask:ticket.pt"
    record(tmp_path, {("snip", 0.9, check): OWN for check in (None, "rearrange-mask")})
    record(tmp_path, {(mask, 0.900003, check): OWN for check in (None, "rearrange-mask")})
    matrix = verdict_matrix(contents_of(tmp_path))
    assert matrix
    assert matrix.headings == ("sparsity", "0.9")
    assert [row[1] for row in matrix.rows] == ["■", "■"]
    record(tmp_path, {("snip", 0.900003, check): OWN for check in (None, "rearrange-mask")})
    matrix = verdict_matrix(contents_of(tmp_path))
    assert matrix
    assert matrix.headings == ("sparsity", "0.9", "0.900003")
    assert len(matrix.rows) == 2
    titles = [group.title for group in verdict_table(contents_of(tmp_path)).groups]
    assert [title.partition(": 9")[0] for title in titles] == [
        f"{mask} at sparsity 0.9",
        "snip at sparsity 0.9",
        "snip at sparsity 0.900003",
    ]
    assert report_html(contents_of(tmp_path), "c")


def test_it_needs_nothing_else(page: Page) -> None:
    assert not [tag for tag, _ in page.tags if tag in ("script", "img", "iframe", "object", "style-src")]
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), attributes
    style = " ".join(page.said("style"))
    assert "url(" not in style
    assert "@import" not in style
    (policy,) = [a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
    assert (policy or "").startswith("default-src 'none'")


def test_every_figure_has_a_name_and_a_description(page: Page) -> None:
    figures = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(figures) == 1 + 1 + 1 + 1 + 2
    identities = {attributes.get("id") for _, attributes in page.tags}
    for attributes in figures:
        assert attributes["role"] == "img"
        assert {attributes["aria-labelledby"], attributes["aria-describedby"]} <= identities
    assert all(len(words) > 20 for words in page.said("desc"))


def test_every_number_that_a_figure_tells_is_in_a_table(page: Page) -> None:
    cells = page.cells()
    numbers = [number for words in page.said("desc") for number in re.findall(r"[-+]?\d+\.\d\d\b", words)]
    assert len(numbers) > 20
    for number in numbers:
        assert number in cells, number


def test_names_with_markup_in_them_are_text_everywhere(tmp_path: Path, record: Record) -> None:
    name = '<script>alert("1")</script>&amp;\\end{table}|'
    record(tmp_path, {(name, 0.9, check): OWN for check in (None, "reinit", "random-labels", "random-labels@0.5")})
    record(tmp_path, {(RANDOM, 0.9, None): OWN})
    found = contents_of(tmp_path)
    text = report_html(found, f"prunecheck report '{name}'")
    page = Page(text)
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert f"What {name} uses" in page.said("h1")
    assert "<script" not in text
    assert name in page.said("code")[0]


def test_collapsed_diverged_and_failed_tickets_are_listed_with_their_reasons(page: Page) -> None:
    cells = page.cells()
    for reason in (
        "snip 0.9 + reinit 0 collapsed fc no weight is left",
        "diverged - the loss was not finite in epoch 3",
        "failed - RuntimeError: no luck",
    ):
        assert reason in cells


def test_the_recipe_versions_seeds_hashes_and_command_are_there(page: Page, tmp_path: Path) -> None:
    cells = page.cells()
    for words in ("learning rate 0.1", "milestones 1 2", "torch 2.13.0", "seeds 0 to 3", "device cpu", "runs 28"):
        assert words in cells, words
    hashes = {path.name.rpartition("-")[2] for path in tmp_path.iterdir()}
    assert hashes <= set(cells.split())
    assert page.said("code") == ["prunecheck report runs"]


def test_the_margin_and_the_number_of_verdicts_are_said(contents: ReportContents) -> None:
    table = verdict_table(contents)
    assert "margin of 2 points" in table.notes[0]
    (group,) = table.groups
    assert group.title.partition("; ")[2] == "5 % over the 4 comparisons of this question (Holm)"
    assert len(table.rows) == 5  # of one too many tickets were lost to test it


def test_the_same_runs_make_the_same_bytes(tmp_path: Path, record: Record) -> None:
    record(tmp_path, RUNS)
    assert report_html(contents_of(tmp_path), "c") == report_html(contents_of(tmp_path), "c")


def test_runs_that_compare_nothing_have_a_report_too(tmp_path: Path, record: Record) -> None:
    record(tmp_path, {("dense", 0.0, None): OWN})
    page = Page(report_html(contents_of(tmp_path), "c"))
    assert "These runs compare nothing." in page.said("p")
    assert page.said("h2") == ["Accuracy by sparsity", "How it was made"]
    assert paper_tables(contents_of(tmp_path))[0].title.startswith("Accuracy")


def test_a_report_is_told_from_other_pages(tmp_path: Path, contents: ReportContents) -> None:
    ours, other = tmp_path / "ours.html", tmp_path / "other.html"
    ours.write_text(report_html(contents, "c"))
    other.write_text("<!DOCTYPE html><title>prunecheck report</title>")
    assert is_report(ours)
    assert not is_report(other)


def test_long_trainings_are_shown_at_some_epochs_and_the_last(tmp_path: Path, record: Record) -> None:
    record(tmp_path, RUNS)
    for file in tmp_path.glob("*/metrics.csv"):
        head = file.read_text().splitlines()[0]
        file.write_text("\n".join([head, *(f"{e},0.1,1.0,1.0,50.0,{e / 10}" for e in range(1, 161))]) + "\n")
    page = Page(report_html(contents_of(tmp_path), "c"))
    words = page.cells()
    assert "160 16 (16 to 16) 16 (16 to 16) " in words
    assert " 157 15.7 (" in words
    assert " 158 15.8 (" not in words


def test_each_seed_stands_in_a_table(page: Page) -> None:
    assert "0: -0.20, 1: +0.10, 2: +0.10, 3: -0.20" in page.cells()
    assert "Differences of each seed" in page.said("summary")


def test_layers_stand_in_the_networks_order_and_no_seed_is_left_out(tmp_path: Path, record: Record) -> None:
    record(tmp_path, RUNS)
    files = sorted(tmp_path.glob("*snip-0.9-*-seed*/result.json")) + sorted(
        tmp_path.glob("*snip-0.9-seed*/result.json")
    )
    for number, file in enumerate(files):
        found = json.loads(file.read_text())
        if found["kept"]:
            kept = {"stem": [10, 100], "layer1": [20 + number, 100], "fc": [30, 100]}
            found["kept"] = dict(sorted(kept.items())) if file.parent.name.count("seed0") else kept
            del found["sha256"]
            file.write_text(json.dumps(found))
    (setting,) = contents_of(tmp_path).settings
    of_snip = keep_ratios(setting, 0.9)["snip"]
    assert {layer: len(ratios) for layer, ratios in of_snip.items()} == {"stem": 4, "layer1": 4, "fc": 4}
    assert list(of_snip) == ["stem", "layer1", "fc"]
    divided = of_the_same_layers(keep_ratios(setting, 0.9))
    assert [list(methods) for methods in divided] == [["snip"], [RANDOM]]


def test_methods_with_the_same_layers_in_another_order_stand_together() -> None:
    by_name, by_network = {"a": [0.1], "z": [0.2]}, {"z": [0.3], "a": [0.4]}
    (same,) = of_the_same_layers({"resumed": by_name, "fresh": by_network})
    assert [list(ratios.items()) for ratios in same.values()] == [
        [("z", [0.2]), ("a", [0.1])],
        [("z", [0.3]), ("a", [0.4])],
    ]


def test_of_a_method_whose_tickets_all_collapsed_words_stand_where_numbers_and_lines_would(
    tmp_path: Path, record: Record
) -> None:
    lost = {("grasp", 0.9, check): ["collapsed"] * 4 for check in (None, "rearrange-mask")}
    record(tmp_path, RUNS | lost)
    page = Page(report_html(contents_of(tmp_path), "prunecheck report runs"))
    captions = page.said("figcaption")
    assert "Methods beside each other; without a line, because all of its tickets were lost: grasp" in captions
    assert "grasp" not in captions  # no forest plot
    assert any("Of grasp at sparsity 0.9 there is nothing to draw" in words for _, words in page.words)
    assert "grasp at sparsity 0.9: 4 of 4 collapsed" in page.cells()
    assert ": - %" not in page.cells()


def test_of_more_curves_than_a_page_has_room_for_the_first_alone_are_drawn(
    contents: ReportContents, monkeypatch: pytest.MonkeyPatch
) -> None:
    def groups() -> tuple[Group, ...]:
        (curves,) = [section for section in report_sections(contents) if section.identity == "curves"]
        return curves.groups

    every = groups()
    drawn = []

    def draw(identity: str, *arguments: Any) -> str:
        drawn.append(identity)
        return curve_figure(identity, *arguments)

    monkeypatch.setattr(sections, "curve_figure", draw)
    monkeypatch.setattr(sections, "MOST_CURVES", len(every))
    fewer = groups()
    assert len(drawn) == len(fewer) == len(every)
    for few, group in zip(fewer, every, strict=True):
        assert len(group.figures) > 1
        assert few.figures == (replace(group.figures[0], table=None),)
        assert f"The first 1 of {len(group.figures)} figures" in few.paragraphs[0]
