"""Text made into tokens in pieces: the same tokens, in memory that does not grow with the text."""

import re
from pathlib import Path

import numpy
import pytest
from numpy.typing import NDArray

from prunecheck import process_limits
from prunecheck.data import load_dataset, tokenizers
from prunecheck.data.tokenized import as_read_by
from prunecheck.data.tokenizers import MEMORY, Tokenizer, pieces_of
from prunecheck.errors import InputError

PATTERN = re.compile(r" ?\w+| ?[^\s\w]+|\s+(?!\S)|\s+")
"""Divides text as GPT-2's tokenizer does, but for its apostrophes."""


def words_of(text: str) -> list[int]:
    return [sum(map(ord, word)) % 500 for word in PATTERN.findall(text)]


def bytes_of(text: str) -> NDArray[numpy.uint8]:
    return numpy.frombuffer(text.encode(), numpy.uint8)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(tokenizers, "PIECE", 50)
    return 50


TEXTS = [
    "a line of words\n" * 30,
    "def f(x):\n    return x\n\n\nclass C:\n\tpass\n" * 9,
    "a line\n\u3000that begins with a wide space\nand \u00e9t\u00e9\n\u00a0\u4f60\u597d\n\u4f60\u597d \U0001f600\n" * 9,
]


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_in_pieces_has_the_tokens_of_the_whole(text: str) -> None:
    asked: list[str] = []

    def encode(piece: str) -> list[int]:
        asked.append(piece)
        return words_of(piece)

    found = Tokenizer("words", 500, encode).tokens_of(bytes_of(text))
    assert "".join(asked) == text
    assert len(asked) > 3
    assert found.dtype == numpy.uint16
    assert found.tolist() == words_of(text)


@pytest.mark.parametrize(
    ("text", "lengths"),
    [("", []), ("short", [5]), ("x" * 170, [170]), ("x" * 49 + "\n" + "y" * 9, [50, 9]), (" x\n" * 60, [180])],
)
def test_pieces_end_where_lines_do(text: str, lengths: list[int], small_pieces: int) -> None:
    assert [piece.stop - piece.start for piece in pieces_of(bytes_of(text))] == lengths


def test_large_vocabularies_have_tokens_of_32_bits() -> None:
    found = Tokenizer("letters", 2**17, lambda text: [2**16 + ord(letter) for letter in text]).tokens_of(bytes_of("a"))
    assert found.dtype == numpy.uint32
    assert found.tolist() == [2**16 + 97]


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize(("line", "most"), [("x" * 9 + "\n", 59), ("x" * 10, 1600)])
def test_too_little_memory_is_said_before_any_text_is_read(
    line: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.txt").write_text(line * 200)
    read = load_dataset(f"text:{tmp_path / 'text.txt'}")

    def encode(text: str) -> list[int]:
        raise AssertionError(text)

    needed: list[int] = []

    def said(size: int) -> str:
        needed.append(size)
        return str(size)

    monkeypatch.setattr(process_limits, "available_memory", lambda: 1000)
    monkeypatch.setattr(process_limits, "gibibytes", said)
    with pytest.raises(
        InputError, match=r"the words on text:.* of memory are needed, and 1000 are free: give a shorter"
    ):
        as_read_by(read, lambda: Tokenizer("the words", 500, encode))
    assert 2 * 2000 <= needed[0] <= 2 * 2001 + 3 * MEMORY * most
