import io
import re
import sys

import pytest
from rich.table import Table

from prunecheck.analysis.verdicts import Verdict
from prunecheck.cli.output import print_content, print_out, print_text, say
from prunecheck.report.table import RowGroup, VerdictCell, words
from prunecheck.report.table import Table as SharedTable


class Terminal(io.TextIOWrapper):
    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, errors="replace")

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        self.seek(0)
        return re.sub(r"\x1b\[[0-9;]*m", "", self.read()).splitlines()


def wide_table() -> Table:
    table = Table("name", "number")
    table.add_row("n" * 40, "1" * 30)
    return table


@pytest.mark.parametrize(("columns", "used"), [(60, 80), (80, 80), (120, 120)])
def test_text_is_as_wide_as_the_terminal_but_at_least_as_a_table_needs(
    monkeypatch: pytest.MonkeyPatch, columns: int, used: int
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    print_out(wide_table(), "word " * 100)
    lines = terminal.lines()
    assert used - 5 <= max(len(line.rstrip()) for line in lines) <= used
    assert any("n" * 40 in line and "1" * 30 in line for line in lines)
    assert " ".join(lines).split().count("word") == 100


@pytest.mark.parametrize(
    ("columns", "used"), [("95", 95), ("200", 200), ("40", 80), (None, 110), ("", 110), ("0", 110), ("wide", 110)]
)
def test_what_is_no_terminal_gets_the_width_that_is_asked_for_and_no_spaces_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str | None, used: int
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    print_out("word " * 100, "[bold]as it is[/bold] 🙂")
    lines = capsys.readouterr().out.splitlines()
    assert used - 5 <= max(map(len, lines)) <= used
    assert lines == [line.rstrip() for line in lines]
    assert lines[-1] == "[bold]as it is[/bold] 🙂"


def test_an_encoding_without_lines_gets_others(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="replace")
    monkeypatch.setattr(sys, "stdout", stream)
    print_out(wide_table(), "21.5 ± 0.5")
    stream.seek(0)
    text = stream.read()
    assert "+----" in text
    assert text.count("?") == 1
    assert text.endswith("21.5 ? 0.5\n")


FOLDERS = ["digits-resnet8-width16-snip-sparsity0.9-" + "abcdef" * 8, "digits-resnet8-" + "0123456789" * 8]


def test_where_nothing_says_how_wide_a_table_is_wider_than_usual_rather_than_break_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("snip", *FOLDERS, VerdictCell("undecided (about 6 seeds would decide)", Verdict.UNDECIDED))]
    table = SharedTable("", words("method", "one", "other", "verdict"), (RowGroup(tuple(rows)),))
    monkeypatch.delenv("COLUMNS", raising=False)
    print_out(table, "word " * 100)
    text = capsys.readouterr().out
    assert all(folder in text for folder in FOLDERS)
    assert max(len(line) for line in text.splitlines() if "word" in line) <= 110
    monkeypatch.setenv("COLUMNS", "100")
    print_out(table)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 100


def test_a_sentence_is_not_broken_inside_a_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_out(SENTENCE)
    assert "x" * 60 in capsys.readouterr().out


SENTENCE = "the folder /a/very/long/path/that/must-not-be-broken/" + "x" * 60 + " is a file: give the name of a folder."


@pytest.mark.parametrize("columns", [30, 80])
def test_a_sentence_on_a_terminal_is_broken_between_words_alone(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    say(SENTENCE)
    lines = terminal.lines()
    assert " ".join(lines) == f"prunecheck: {SENTENCE}"
    assert all(len(line) <= columns for line in lines if " " in line)
    assert len(lines) > 2


def test_elsewhere_a_sentence_is_one_line_that_no_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    say("\x1b]0;title\x07 of\nyours " + "word " * 50)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(r"prunecheck: \x1b]0;title\x07 of yours word")


HOSTILE = "a,\x1b[2J\x1b]0;title\x07\u202e,b\n1,2,3\n"


def test_lines_of_text_are_obeyed_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    print_text(HOSTILE)
    assert capsys.readouterr().out == "a,\\x1b[2J\\x1b]0;title\\x07\\u202e,b\n1,2,3\n\n"


def test_what_is_for_programs_is_as_it_is_unless_a_terminal_reads_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    print_content(HOSTILE)
    assert capsys.readouterr().out == HOSTILE
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    print_content(HOSTILE)
    terminal.seek(0)
    assert terminal.read() == "a,\\x1b[2J\\x1b]0;title\\x07\\u202e,b\n1,2,3\n"
