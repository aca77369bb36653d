import re
import shutil
import subprocess
from pathlib import Path

import pytest

from prunecheck.report.exports import latex, markdown
from prunecheck.report.tables import Table

HOSTILE = r"a&b%c$d#e_f{g}h~i^j\k<l>m|n*o`p[q]"
TABLE = Table("Percent ± deviation.", ("tickets", "mean"), (("snip at 0.9", (("a", "1.5"), ("b", "2.5"))),))


def columns_of(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", line)) - 1


def test_markdown_has_a_line_per_row_and_numbers_at_the_right() -> None:
    lines = markdown([("Verdicts", TABLE)]).splitlines()
    assert lines == [
        "## Verdicts",
        "",
        "Percent ± deviation.",
        "",
        "| tickets | mean |",
        "|---|---:|",
        "| **snip at 0.9** |  |",
        "| a | 1.5 |",
        "| b | 2.5 |",
    ]


def test_names_are_no_markup_in_markdown() -> None:
    table = Table("c", ("x", "y"), ((HOSTILE, ((HOSTILE, "1"),)),))
    lines = markdown([(HOSTILE, table)]).splitlines()
    assert {columns_of(line) for line in lines if line.startswith("|")} == {2}
    assert r"a&b%c$d\#e\_f{g}h\~i^j\\k\<l\>m\|n\*o\`p\[q\]" in lines[-1]


def test_latex_has_the_rules_of_booktabs_and_a_row_per_row() -> None:
    text = latex([("Verdicts", TABLE)], "made by\nprunecheck")
    assert text.startswith("% made by prunecheck\n% needs \\usepackage{booktabs}\n\\begin{table}\n")
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(f"\\{rule}") == 1
    assert r"\begin{tabular}{@{}lr@{}}" in text
    assert r"    a & 1.5 \\" in text.splitlines()
    assert r"    \multicolumn{2}{@{}l}{\emph{snip at 0.9}} \\" in text.splitlines()
    assert r"Percent $\pm$ deviation." in text


def test_every_sign_that_latex_takes_for_a_command_is_escaped() -> None:
    text = latex([("t", Table("c", ("x",), (("", ((HOSTILE,),)),)))], "about")
    (row,) = [line for line in text.splitlines() if "k" in line and "&" in line]
    bare = row.removesuffix(r" \\")
    for command in (r"\textbackslash{}", r"\textasciitilde{}", r"\textasciicircum{}", r"\textbar{}"):
        assert command in bare
        bare = bare.replace(command, "")
    bare = re.sub(r"\\(textless|textgreater)\{\}", "", bare)
    assert re.sub(r"\\[&%$#_{}]", "", bare).strip() == "abcdefghijklmn*o`p[q]"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_is_set_by_latex(tmp_path: Path) -> None:
    body = latex([("t", TABLE), ("u", Table("c", ("x",), (("", ((HOSTILE,), ("[1] < 2",))),)))], "about")
    head = r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs}\begin{document}"
    document = head + body + r"\end{document}"
    (tmp_path / "t.tex").write_text(document)
    done = subprocess.run(["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-500:]
