import io
import os
import re
import sys

import pytest
from rich.table import Table

from prunecheck.cli.output import print_content, print_out, print_text, say


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
    print_out(wide_table(), "word " * 100, width=50)
    lines = terminal.lines()
    assert used - 5 <= max(len(line.rstrip()) for line in lines) <= used
    assert any("n" * 40 in line and "1" * 30 in line for line in lines)
    assert " ".join(lines).split().count("word") == 100


def test_what_is_no_terminal_gets_the_width_that_is_asked_for_and_no_spaces_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "COLUMNS", "40")
    print_out("word " * 100, "[bold]as it is[/bold] 🙂", width=90)
    lines = capsys.readouterr().out.splitlines()
    assert 85 <= max(map(len, lines)) <= 90
    assert lines == [line.rstrip() for line in lines]
    assert lines[-1] == "[bold]as it is[/bold] 🙂"


def test_an_encoding_without_lines_gets_others(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="replace")
    monkeypatch.setattr(sys, "stdout", stream)
    print_out(wide_table(), "21.5 ± 0.5", width=90)
    stream.seek(0)
    text = stream.read()
    assert "+----" in text
    assert text.count("?") == 1
    assert text.endswith("21.5 ? 0.5\n")


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
