"""What makes tokens of text."""

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy
from numpy.typing import NDArray

from prunecheck.errors import InputError

PIECE = 2**20
"""Bytes of text that are made into tokens at a time, at least."""

MEMORY = 200
"""Bytes that a tokenizer takes for each byte of a piece, at most; 190 were measured with a byte-level BPE."""

SPACES = (
    rb"\s",
    rb"\xc2[\x85\xa0]",
    rb"\xe1\x9a\x80",
    rb"\xe2\x80[\x80-\x8a\xa8\xa9\xaf]",
    rb"\xe2\x81\x9f",
    rb"\xe3\x80\x80",
)
"""White space of ASCII and of the rest of Unicode, in UTF-8."""

LINE = re.compile(b"".join(b"(?<!%b)" % space for space in SPACES) + rb"\n(?!%b)" % b"|".join(SPACES))
"""The end of a line, with no space before or after it, which a tokenizer might join with it."""


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """What makes tokens of text.

    Attributes:
        name: as errors have it.
        vocabulary: how many tokens the network has.
        encode: returns the tokens of a text, without any that begin or end it.
        first: the token that begins a text; None if there is none.
        padding: the token that fills up short sequences; None if there is none.
    """

    name: str
    vocabulary: int
    encode: Callable[[str], Any] = field(repr=False)
    first: int | None = None
    padding: int | None = None

    @property
    def dtype(self) -> numpy.dtype[Any]:
        """Of tokens: the smallest of 16 and 32 bits that holds them all."""
        return numpy.dtype(numpy.uint16 if self.vocabulary <= 2**16 else numpy.uint32)

    def tokens_of(self, text: NDArray[numpy.uint8]) -> NDArray[Any]:
        """Return the tokens of a text, one piece of it after the other; see :func:`pieces_of`.

        Args:
            text: in UTF-8, (bytes,); what is no UTF-8 in it is replaced.

        Returns:
            Of :attr:`dtype`, (tokens,).

        Raises:
            InputError: it makes a token of it that the network does not have.
        """
        made = [self._tokens_of_piece(text[piece]) for piece in pieces_of(text)]
        return numpy.concatenate(made) if made else numpy.zeros(0, self.dtype)

    def memory_for(self, text: NDArray[numpy.uint8]) -> int:
        """Return how many bytes of memory are needed to make tokens of a text, those of a token for each byte of it."""
        largest = max((piece.stop - piece.start for piece in pieces_of(text)), default=0)
        return len(text) * self.dtype.itemsize + MEMORY * largest

    def _tokens_of_piece(self, piece: NDArray[numpy.uint8]) -> NDArray[Any]:
        found = numpy.asarray(self.encode(piece.tobytes().decode("utf-8", "replace")), numpy.int64)
        if len(found) and not 0 <= int(found.min()) <= int(found.max()) < self.vocabulary:
            raise InputError(
                f"{self.name} makes the token {int(found.max())}, and the model has {self.vocabulary}: give the "
                "tokenizer that the model was trained with."
            )
        return found.astype(self.dtype)


def pieces_of(text: NDArray[numpy.uint8]) -> list[slice]:
    """Return where a text is cut, so that the memory for its tokens does not grow with it.

    A piece ends with a line, the first after :data:`PIECE` bytes that has no space at its end, nor the next one at its
    beginning: tokenizers that divide text into words make the same tokens of the pieces as of the whole. One that puts
    a space before each text does so before each piece.

    Args:
        text: in UTF-8, (bytes,).
    """
    cuts = [0]
    while cuts[-1] < len(text):
        found = LINE.search(text.data, cuts[-1] + PIECE - 1)
        cuts.append(found.end() if found else len(text))
    return [slice(start, stop) for start, stop in itertools.pairwise(cuts)]


FindTokenizer = Callable[[], Tokenizer]
"""Loads a tokenizer, once."""
