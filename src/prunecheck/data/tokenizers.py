"""What makes tokens of text."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy
from numpy.typing import NDArray

from prunecheck.errors import InputError


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

    def tokens_of(self, text: bytes) -> NDArray[Any]:
        """Return the tokens of a text in UTF-8, unsigned integers; what is no UTF-8 in it is replaced.

        Raises:
            InputError: it makes none of it, or one that the network does not have.
        """
        found = numpy.asarray(self.encode(text.decode("utf-8", "replace")), numpy.int64)
        if len(found) and not 0 <= int(found.min()) <= int(found.max()) < self.vocabulary:
            raise InputError(
                f"{self.name} makes the token {int(found.max())}, and the model has {self.vocabulary}: give the "
                "tokenizer that the model was trained with."
            )
        return found.astype(numpy.uint16 if self.vocabulary <= 2**16 else numpy.uint32)


FindTokenizer = Callable[[], Tokenizer]
"""Loads a tokenizer, once."""
