from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunecheck.printable import UNSEEN, for_terminal, printable
from prunecheck.report.escaping import in_html, in_latex, in_markdown

HOSTILE = "a\x1b[31m\x07\x9b2J\u202eevil\u2028b\x7f"


@given(st.text())
def test_no_form_lets_a_control_character_through(text: str) -> None:
    import unicodedata

    for escaped in (in_latex, in_markdown, printable):
        assert not [sign for sign in escaped(text) if unicodedata.category(sign) in UNSEEN]
    for escaped in (for_terminal, in_html):
        assert not [sign for sign in escaped(text) if unicodedata.category(sign) in UNSEEN and sign != "\n"]


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_what_can_be_seen_stays_and_can_be_read_back(text: str) -> None:
    assert printable(text) == for_terminal(text) == text
    assert unescape(in_html(text)) == text


def test_what_a_terminal_would_obey_is_shown() -> None:
    assert for_terminal(HOSTILE) == r"a\x1b[31m\x07\x9b2J\u202eevil\u2028b\x7f"
    assert for_terminal("one\ntwo") == "one\ntwo"
    assert printable("one\ntwo\tthree") == r"one\ntwo\tthree"


@pytest.mark.parametrize("sign", ["<", ">", "&", '"', "'"])
def test_html_holds_no_bare_sign_of_its_own(sign: str) -> None:
    assert in_html(f"a{sign}b") not in (f"a{sign}b", "ab")
    assert sign == "&" or sign not in in_html(f"a{sign}b")
    assert unescape(in_html(f"a{sign}b")) == f"a{sign}b"


def test_lines_are_one_line_in_markdown_and_latex() -> None:
    assert in_markdown("a\n\n# b") == r"a \# b"
    assert in_latex("a\n\nb_c") == r"a b\_c"
