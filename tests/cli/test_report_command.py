import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]
Record = Callable[..., None]
Refused = Callable[..., str]

OWN = [90.0, 91.0, 89.5]
RUNS = {
    ("dense", 0.0, None): [95.0, 95.5, 94.8],
    ("snip", 0.9, None): OWN,
    ("snip", 0.9, "rearrange-mask"): [90.2, 90.9, 89.4],
    ("random-smart", 0.9, None): [90.1, 90.8, 89.7],
    ("random-erk", 0.9, None): [60.1, 60.8, 59.7],
}


@pytest.fixture
def runs(record: Record) -> Path:
    record(Path("runs"), RUNS)
    return Path("runs")


def files() -> set[str]:
    return {path.name for path in Path().iterdir()}


def test_the_page_is_written_where_the_command_says(call: Call, runs: Path) -> None:
    ended = call("report", "runs", "-o", "page.html")
    assert (ended.code, ended.stdout.splitlines()[-1], ended.stderr) == (0, "wrote page.html", "")
    assert "rearrange-mask" in ended.stdout
    assert files() == {"runs", "page.html"}
    text = Path("page.html").read_text()
    assert "<code>prunecheck report runs -o page.html</code>" in text
    assert "What snip, random-erk and" not in text
    assert call("report").stdout.endswith("\nwrote report.html\n")


def test_the_command_in_the_page_makes_the_same_page_again(call: Call, record: Record) -> None:
    record(Path("my runs"), RUNS)
    call("report", "my runs", "--margin", "1.5", "--baseline", "none", "-o", "page.html")
    before = Path("page.html").read_bytes()
    (command,) = re.findall(r"<code>prunecheck (.*)</code>", before.decode())
    assert unescape(command) == "report 'my runs' -o page.html --margin 1.5 --baseline none"
    assert call("report", "my runs", "-o", "page.html", "--margin", "1.5", "--baseline", "none").code == 0
    assert Path("page.html").read_bytes() == before


@pytest.mark.parametrize("form", ["--markdown", "--latex", "--csv", "--json", "--out=page.html", "--figures=figures"])
def test_what_cannot_be_read_is_said_beside_every_form(call: Call, runs: Path, form: str) -> None:
    damaged = sorted(runs.glob("*/result.json"))[0]
    damaged.write_text("{}")
    (runs / "questions.json").write_text("[]")
    ended = call("report", "runs", form)
    assert (ended.code, ended.stderr.count("\n")) == (0, 1)
    assert ended.stderr.startswith(f"prunecheck: left out what cannot be read: {damaged.parent} (")
    assert "runs/questions.json: it has not the schema" in ended.stderr
    assert ended.stdout


def test_the_baseline_is_the_one_that_is_asked_for(call: Call, runs: Path) -> None:
    def compared(*options: str) -> set[str]:
        text = call("report", "runs", "--markdown", *options).stdout
        verdicts = text.partition("## Accuracy")[0]
        return set(re.findall(r"^\| (random\S*|rearrange-mask) ", verdicts, flags=re.MULTILINE))

    assert compared() == {"random-smart", "rearrange-mask"}
    assert compared("--baseline", "random-erk") == {"random-erk", "rearrange-mask"}
    assert compared("--baseline", "none") == {"rearrange-mask"}


def test_markdown_and_latex_are_printed_and_nothing_is_written(call: Call, runs: Path) -> None:
    in_markdown, in_latex = call("report", "runs", "--markdown"), call("report", "runs", "--latex")
    assert (in_markdown.code, in_latex.code) == (0, 0)
    assert in_markdown.stdout.startswith("# What random-erk and snip use\n")
    assert "\n\\begin{table*}\n" in in_latex.stdout
    assert in_latex.stdout.splitlines()[0] == "% made by: prunecheck report runs --latex"
    assert files() == {"runs"}
    call("report", "runs", "--latex", "-o", "t.tex")
    assert Path("t.tex").read_text().splitlines()[2:] == in_latex.stdout.splitlines()[2:]


MASK = "mask:ticket.pt"
ONE_MASK = "is one mask, trained with 3 seeds: the spread is that of training this mask"


def words_of(text: str) -> str:
    """Return a text in one line, without the signs of comments, and of escapes."""
    return re.sub(r"\s+", " ", re.sub(r"^% ?", "", text, flags=re.MULTILINE).replace("\\", ""))


@pytest.mark.parametrize("form", ["--markdown", "--latex", "--json"])
@pytest.mark.parametrize("table", [None, "verdicts", "values"])
def test_no_caveat_is_lost_in_any_form(call: Call, record: Record, form: str, table: str | None) -> None:
    outcomes = {("dense", 0.0, None): RUNS["dense", 0.0, None], (MASK, 0.95, None): ["unfinished"]}
    record(Path("runs"), outcomes | {(MASK, 0.9, check): OWN for check in (None, "rearrange-mask")})
    for name in ((), ("--name", f"{MASK}=ours")):
        options = ("--table", table) if table and form != "--json" else ()
        ended = call("report", "runs", form, *options, *name)
        assert ended.code == 0
        text = words_of(ended.stdout)
        assert f"{'ours' if name else MASK} {ONE_MASK}" in text
        assert "1 half-finished run was left out" in text
        assert "Some comparisons have no more than 3 pairs, which seldom decide anything." in text


def test_the_document_in_markdown_says_what_the_page_says(call: Call, runs: Path) -> None:
    lines = call("report", "runs", "--markdown").stdout.splitlines()
    call("report", "runs")
    page = unescape(Path("report.html").read_text())
    said = [line for line in lines[: lines.index("## Verdicts, digits, resnet8 of width 4, 3 epochs")] if line]
    assert [line for line in said if line.startswith("#")] == [
        "# What random-erk and snip use",
        "## What the verdicts mean",
        "## Remarks",
        "## Notes",
    ]
    assert len(said) > 8
    for line in said:
        assert re.sub(r"\\|^#+ |^- ", "", line) in page or line.startswith("## ")
    assert lines[-1] == "    prunecheck report runs --markdown"


def test_latex_says_what_the_verdicts_mean_in_comments(call: Call, runs: Path) -> None:
    text = call("report", "runs", "--latex").stdout
    comments = text.partition("\\begin{table*}")[0]
    assert all(line.startswith("%") and len(line) <= 112 for line in comments.splitlines())
    assert "Its tickets do as well as random-smart tickets, within 2 points, at sparsity 0.9." in words_of(comments)
    assert "\\caption{Verdicts, digits, resnet8 of width 4, 3 epochs. Accuracy in percent" in text


def test_several_folders_are_one_report(call: Call, record: Record) -> None:
    record(Path("a"), {key: values for key, values in RUNS.items() if key[2] is None})
    record(Path("b"), {key: values for key, values in RUNS.items() if key[2]})
    text = call("report", "a", "b", "--markdown").stdout
    assert "| rearrange-mask " in text
    assert "| random-smart " in text


def test_half_finished_runs_are_said_to_be_left_out(call: Call, record: Record, runs: Path) -> None:
    record(runs, {("snip", 0.95, None): ["unfinished"]})
    assert call("report", "runs").code == 0
    assert "1 half-finished run was left out" in Path("report.html").read_text()


@pytest.mark.parametrize("margin", ["0", "-1", "nan", "100"])
def test_a_margin_that_is_none_is_refused(refused: Refused, runs: Path, margin: str) -> None:
    assert "margin" in refused("report", "runs", f"--margin={margin}")


def test_folders_without_runs_are_refused(refused: Refused, record: Record) -> None:
    Path("empty").mkdir()
    assert "holds no runs" in refused("report", "empty")
    assert "no folder nowhere" in refused("report", "nowhere")
    record(Path("begun"), {("snip", 0.9, None): ["unfinished"]})
    assert "half-finished" in refused("report", "begun")


def test_another_file_is_not_written_over(refused: Refused, call: Call, runs: Path) -> None:
    Path("notes.html").write_text("mine")
    assert "notes.html exists and holds something else" in refused("report", "runs", "-o", "notes.html")
    assert "is a folder" in refused("report", "runs", "-o", "runs")
    assert "no folder away" in refused("report", "runs", "-o", "away/r.html")
    Path("t.md").write_text("mine")
    assert "holds something else" in refused("report", "runs", "--markdown", "-o", "t.md")
    assert (Path("notes.html").read_text(), Path("t.md").read_text()) == ("mine", "mine")


def test_one_form_at_a_time(refused: Refused, runs: Path) -> None:
    assert "one form" in refused("report", "runs", "--markdown", "--latex")


def test_an_unknown_baseline_names_the_nearest(refused: Refused, runs: Path) -> None:
    assert "random-erk" in refused("report", "runs", "--baseline", "random-erc")


def test_a_check_does_not_begin_where_its_report_could_not_be_written(refused: Refused) -> None:
    Path("runs").mkdir()
    Path("runs/report.html").write_text("mine")
    assert "runs/report.html exists" in refused("check", "snip", "--epochs", "1", "--seeds", "1")
    assert Path("runs/report.html").read_text() == "mine"


def test_the_ending_of_the_file_says_what_is_written(call: Call, refused: Refused, runs: Path) -> None:
    for ending, beginning in ((".tex", "% made by"), (".md", "# What "), (".csv", "setting,"), (".json", "{")):
        assert call("report", "runs", "-o", f"t{ending}").code == 0
        assert Path(f"t{ending}").read_text().startswith(beginning)
    assert "% made by: prunecheck report runs -o t.tex\n" in Path("t.tex").read_text()
    assert "t.pdf is to hold the page, which is HTML" in refused("report", "runs", "-o", "t.pdf")
    assert not Path("t.pdf").exists()


def test_a_table_of_some_methods_and_sparsities_under_names_of_ones_own(
    call: Call, refused: Refused, record: Record, runs: Path
) -> None:
    record(runs, {("snip", 0.95, None): OWN, ("snip", 0.95, "rearrange-mask"): [70.2, 71.1, 70.4]})
    options = ["--table", "verdicts", "--select", "method=snip sparsity=0.9", "--name", "snip=SNIP (ours)"]
    text = call("report", "runs", "--latex", *options).stdout
    assert text.count(r"\begin{tabular}") == 1
    assert "SNIP (ours) at sparsity 0.9" in text
    assert "0.95" not in text
    assert "random-erk" not in text.partition(r"\toprule")[2]
    # What is left out still counts in the family: verdicts do not change with what is shown.
    assert "5 \\% over the 3 comparisons of this question" in text
    assert "there is no method among these runs named 'snp': did you mean snip" in refused(
        "report", "runs", "--latex", "--select", "method=snp"
    )
    assert "no ticket in this report is one of sparsity=0.5" in refused(
        "report", "runs", "--csv", "--select", "sparsity=0.5"
    )
    assert "seed differs among them: leave it out of --select" in refused("report", "runs", "--select", "seed=1")
    assert "--name takes METHOD=NAME" in refused("report", "runs", "--latex", "--name", "snip")
    assert "named 'verdict': did you mean verdicts" in refused("report", "runs", "--latex", "--table", "verdict")
    assert "--table" in refused("report", "runs", "--csv", "--table", "verdicts")


def test_figures_are_written_by_name_as_svg_pdf_and_png(
    call: Call, refused: Refused, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prunecheck.report.formats import figures

    real = figures.figure_bytes
    drawn: list[str] = []

    def one_of_each(svg: str, format: str) -> bytes:
        """Draw only the first of each format: the others take as long."""
        drawn.append(format)
        return real(svg, format) if drawn.count(format) == 1 else real(svg, "svg")

    monkeypatch.setattr(figures, "figure_bytes", one_of_each)
    ended = call("report", "runs", "--select", "method=snip", "--figures", "figs")
    assert ended.code == 0
    for ending in (".svg", ".pdf", ".png"):
        assert (Path("figs") / f"differences{ending}").exists()
    wrote, *listed = ended.stdout.splitlines()
    assert re.fullmatch(r"wrote \d+ figures into figs, each as svg, pdf, png:", wrote)
    assert {line.strip() for line in listed} == {path.stem for path in Path("figs").iterdir()}
    drawn.clear()
    assert call("report", "runs", "--select", "method=snip", "--figures", "figs").code == 0  # its own are written again
    Path("figs/accuracy.pdf").write_text("mine")
    assert "holds something else" in refused("report", "runs", "--select", "method=snip", "--figures", "figs")
    assert Path("figs/accuracy.pdf").read_text() == "mine"
    assert not Path("report.html").exists()
