import csv
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from prunecheck.analysis.verdicts import Verdict
from prunecheck.report.formats.csv import csv_text
from prunecheck.report.formats.html import TONES, html_by_itself, html_in_page
from prunecheck.report.formats.latex import PACKAGES, latex
from prunecheck.report.formats.markdown import markdown
from prunecheck.report.table import Column, Row, RowGroup, Table, VerdictCell, numbers, one_group, words

HOSTILE = r"a&b%c$d#e_f{g}h~i^j\k<l>m|n*o`p[q]"
TABLE = Table(
    "Verdicts",
    (*words("tickets"), *numbers("mean")),
    (RowGroup((("a", "1.5"), ("b", "2.5")), "snip at 0.9"),),
    ("Percent ± std.",),
)


def hostile(*rows: Row) -> Table:
    return Table(HOSTILE, (Column(HOSTILE), *numbers("y")), (RowGroup(rows, HOSTILE),), (HOSTILE,))


def columns_of(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", line)) - 1


def test_markdown_has_a_line_per_row_and_numbers_at_the_right() -> None:
    lines = markdown([TABLE]).splitlines()
    assert lines == [
        "## Verdicts",
        "",
        "Percent ± std.",
        "",
        "| tickets | mean |",
        "|---|---:|",
        "| **snip at 0.9** |  |",
        "| a | 1.5 |",
        "| b | 2.5 |",
    ]


def test_names_are_no_markup_in_markdown() -> None:
    lines = markdown([hostile((HOSTILE, "1"))]).splitlines()
    assert {columns_of(line) for line in lines if line.startswith("|")} == {2}
    assert r"a&b%c$d\#e\_f{g}h\~i^j\\k\<l\>m\|n\*o\`p\[q\]" in lines[-1]


def test_latex_has_the_rules_of_booktabs_and_a_row_per_row() -> None:
    text = latex([TABLE], "made by\nprunecheck")
    packages = "".join(f"\\usepackage{{{name}}}" for name in PACKAGES)
    assert text.startswith(f"% made by prunecheck\n% needs {packages}\n\\begin{{table*}}\n")
    assert text.count(r"\label{tab:verdicts}") == 1
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(f"\\{rule}") == 1
    assert r"\begin{tabular}{@{}lr@{}}" in text
    assert r"    a & 1.5 \\" in text.splitlines()
    assert r"    \multicolumn{2}{@{}l}{\emph{snip at 0.9}} \\" in text.splitlines()
    assert r"Percent $\pm$ std." in text


def test_every_sign_that_latex_takes_for_a_command_is_escaped() -> None:
    text = latex([Table("t", words("x"), one_group([(HOSTILE,)]))], "about")
    (row,) = [line for line in text.splitlines() if "k" in line and "&" in line]
    bare = row.removesuffix(r" \\")
    for command in (r"\textbackslash{}", r"\textasciitilde{}", r"\textasciicircum{}", r"\textbar{}"):
        assert command in bare
        bare = bare.replace(command, "")
    bare = re.sub(r"\\(textless|textgreater)\{\}", "", bare)
    assert re.sub(r"\\[&%$#_{}]", "", bare).strip() == "abcdefghijklmn*o`p[q]"


def wide(columns: int) -> Table:
    """A table that is far wider than a page, with long reasons and negative numbers."""
    reason = "undecided (one difference, -3.21, lies apart from the 7 others, +0.12 to +1.98); 2 of 9 collapsed"
    row = ("a-method-of-a-long-name.py:score?alpha=0.5", *[f"-{place}.25 to +{place}.75" for place in range(columns)])
    heads = (*words("tickets"), *numbers(*(f"number {place}" for place in range(columns))), *words("verdict"))
    return Table("Wide", heads, (RowGroup(((*row, reason),) * 3, "a" * 200),), ("Notes. " * 40,), name="wide")


def test_latex_has_true_minus_signs_and_a_label_for_each_table() -> None:
    text = latex([wide(2), wide(2), TABLE], "about")
    assert "$-$1.25 to +1.75" in text
    assert "a-method-of-a-long-name.py" in text
    assert [re.findall(r"\\label\{(.*?)\}", text)] == [["tab:wide", "tab:wide-2", "tab:verdicts"]]
    lone = latex([Table("t", numbers("a", "b"), one_group([("-", "-0.5")]))], "about")
    assert "    -- & $-$0.5 " in lone


def sets_latex() -> bool:
    """Return whether a LaTeX is installed that has the packages tables need, which the smallest of Debian's lacks."""
    if shutil.which("pdflatex") is None or shutil.which("kpsewhich") is None:
        return False
    found = [subprocess.run(["kpsewhich", f"{name}.sty"], capture_output=True, check=False) for name in PACKAGES]
    return all(one.returncode == 0 for one in found)


@pytest.mark.skipif(not sets_latex(), reason="a LaTeX with booktabs, array and graphicx is not installed")
def test_latex_is_set_by_latex_and_fits_a_page_of_two_columns(tmp_path: Path) -> None:
    body = latex([TABLE, hostile((HOSTILE, "1"), ("[1] < 2", "2")), wide(2), wide(14)], "about")
    packages = "".join(rf"\usepackage{{{name}}}" for name in PACKAGES)
    head = rf"\documentclass[twocolumn]{{article}}\usepackage[T1]{{fontenc}}{packages}\begin{{document}}"
    (tmp_path / "t.tex").write_text(f"{head}\n{body}\n\\end{{document}}")
    done = subprocess.run(["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-500:]
    assert b"Overfull" not in done.stdout, done.stdout[-800:]


class Cells(HTMLParser):
    """Collects the text of each cell and caption, the tags, and every attribute."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag in ("td", "th", "caption"):
            self.found.append("")

    def handle_data(self, data: str) -> None:
        if self.found:
            self.found[-1] += data


@pytest.mark.parametrize("html", [html_in_page, html_by_itself])
def test_html_holds_every_cell_and_a_name_is_no_markup(html: Callable[[Table], str]) -> None:
    name = f'<img src=x onerror="alert(1)">{HOSTILE}\x1b\'&amp;'
    table = Table(name, (Column(name), *numbers("y")), (RowGroup(((name, "1"), ("b",)), name),), (name,), kind="cards")
    page = Cells(html(table))
    shown = name.replace("\x1b", r"\x1b")
    cells = [cell.strip() for cell in page.found]
    assert cells[:-1] == [shown, shown, "y", shown, shown, "1", "b"]
    assert "img" not in page.tags
    assert not [key for key, _ in page.attributes if key.startswith("on")]


def contrast(colour: str, other: str) -> float:
    """Return the contrast of two colours, as the Web Content Accessibility Guidelines define it."""
    light = []
    for one in (colour, other):
        parts = [int(one[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        light.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(light) + 0.05) / (min(light) + 0.05)


def test_html_by_itself_is_readable_on_light_and_dark_pages() -> None:
    cells = [(verdict.value, VerdictCell(verdict.value, verdict)) for verdict in Verdict]
    table = Table("t", words("tickets", "verdict"), (RowGroup(tuple(cells)),))
    text = html_by_itself(table)
    assert not re.search(r"<style|class=|<script|url\(", text)
    coloured = set(re.findall(r"(?<![-\w])color:(#\w+)", text))
    assert coloured == {TONES[verdict.tone] for verdict in Verdict}
    for colour in coloured:
        assert min(contrast(colour, page) for page in ("#ffffff", "#111111")) >= 3
    assert re.search(r'<table style="[^"]*color:inherit', text)  # or it is black on black where a page has no doctype
    for verdict in Verdict:
        assert f"{verdict.glyph}</span> {verdict.value}" in text


def test_html_in_the_page_has_the_classes_of_its_style_sheet() -> None:
    table = Table("t", (*words("x"), *numbers("y"), *words("v")), one_group([("a", "1", "")]), ("n",), kind="cards")
    verdict = RowGroup((("b", "2", VerdictCell("uses it", Verdict.USES)),), "group")
    text = html_in_page(replace(table, groups=(*table.groups, verdict)))
    assert '<table class="cards">' in text
    assert '<td data-label="y" class="n">1</td>' in text
    assert '<span class="verdict uses">uses it</span>' in text
    assert '<tr class="group"><th colspan="3" scope="rowgroup">group</th></tr>' in text


def test_csv_has_a_row_for_each_and_says_the_group() -> None:
    found = list(csv.reader(io.StringIO(csv_text(TABLE))))
    assert found == [["group", "tickets", "mean"], ["snip at 0.9", "a", "1.5"], ["snip at 0.9", "b", "2.5"]]
    assert csv_text(Table("t", words("x", "y"), one_group([("a,b", None), (1.5, True)]))) == 'x,y\n"a,b",\n1.5,True\n'


def printed(table: Table, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_terminal_obeys_no_name_and_takes_none_for_markup() -> None:
    name = "[red]a[/red]\x1b[2J\u202e"
    table = Table(name, (Column(name), *numbers("y")), (RowGroup(((name, name),), name),), (name,))
    text = "\n".join(printed(table, 200))
    assert text.count(r"[red]a[/red]\x1b[2J\u202e") == 6
    assert not re.search("[\x1b\u202e]", text)


def test_a_terminal_shows_titles_groups_and_notes_in_order_and_numbers_whole() -> None:
    lines = [line for line in printed(TABLE, 80) if line and "─" not in line]
    assert lines == [
        "Verdicts",
        " tickets      mean",
        " snip at 0.9",
        "   a           1.5",
        "   b           2.5",
        "Percent ± std.",
    ]


def test_a_heading_is_broken_rather_than_widening_its_numbers() -> None:
    table = Table("", (*words("x"), *numbers("samples that each class has")), one_group([("a", "1,234,567")]))
    lines = [line for line in printed(table, 80) if line]
    assert max(map(len, lines)) <= 20
    *heading, _, row = lines
    assert set(" ".join(heading).split()) == {"x", "samples", "that", "each", "class", "has"}
    assert row.split() == ["a", "1,234,567"]


@pytest.mark.parametrize("width", [40, 80])
def test_numbers_are_never_broken(width: int) -> None:
    table = Table("t", (*words("name"), *numbers("number")), one_group([("a" * 90, "+10.00 to +20.00")]))
    assert any("+10.00 to +20.00" in line for line in printed(table, width))


@pytest.mark.parametrize("width", [80, 95, 110])
def test_a_long_name_is_broken_behind_its_signs_and_the_table_keeps_its_indent(width: int) -> None:
    name = "fisher.py:fisher?per_sample=false"
    why = VerdictCell(f"undecided ({name} itself learned nothing)", Verdict.UNDECIDED)
    rows = ((name, "9.81 ± 0.43", "", ""), ("random-smart", "9.81 ± 0.43", "+0.00", "-0.39 to +0.39", why))
    heads = (*words("tickets"), *numbers("accuracy", "difference", "95 % interval"), *words("verdict"))
    lines = [line for line in printed(Table("t", heads, (RowGroup(rows, "sparsity 0.9"),)), width)[1:] if line]
    assert all(line.startswith(" ") and len(line) <= width for line in lines)
    head = next(line for line in lines if "tickets" in line)
    parts = [line[: head.index("accuracy") - 3].strip() for line in lines if line.startswith("   ")]
    named = parts[: parts.index("random-smart")]
    assert "".join(named) == name
    assert all(part.endswith((":", "?", "=", "false")) for part in named)
    assert len(named) == (2 if width == 80 else 1)
    assert "+0.00" in next(line for line in lines if "random-smart" in line)[head.index("difference") + 5 :]


def test_a_name_of_wide_signs_is_whole_on_a_terminal() -> None:
    text = "".join(printed(Table("", words("x", "y"), one_group([("方法" * 30, "a b")])), 40))
    assert text.count("方") == 30
