"""What networks are shown: images, or sequences of tokens; blank and random ones of a shape."""

from typing import NamedTuple

import torch
from torch import Tensor

from prunecheck.errors import InputError


class TokenShape(NamedTuple):
    """The shape of a sequence of tokens, where that of an image is (channels, height, width).

    Attributes:
        length: tokens in a sequence.
        vocabulary: how many tokens there are; each is a number from 0 to one less.
    """

    length: int
    vocabulary: int


InputShape = tuple[int, ...]
"""Channels, height and width of an image; or a :class:`TokenShape`."""


def blank_inputs(count: int, shape: InputShape) -> Tensor:
    """Return blank images, float32 (count, channels, height, width), or sequences of token 0, int64 (count, length)."""
    if isinstance(shape, TokenShape):
        return torch.zeros(count, shape.length, dtype=torch.int64)
    return torch.zeros(count, *shape)


def random_inputs(count: int, shape: InputShape, generator: torch.Generator) -> Tensor:
    """Return images of normal noise, or sequences of uniformly drawn tokens, as :func:`blank_inputs` does."""
    if isinstance(shape, TokenShape):
        return torch.randint(shape.vocabulary, (count, shape.length), generator=generator)
    return torch.randn(count, *shape, generator=generator, dtype=torch.float32, device="cpu")


def in_words(count: int, shape: InputShape) -> str:
    """Return what is shown in words: ``2 images of shape (3, 32, 32)``."""
    if isinstance(shape, TokenShape):
        return f"{count} sequences of {shape.length} tokens"
    return f"{count} images of shape {tuple(shape)}"


def require_images(shape: InputShape, what: str) -> None:
    """Raise :class:`InputError` if networks are shown tokens, and something is defined for images alone.

    Args:
        shape: of what they are shown.
        what: it is, for the sentence.
    """
    if isinstance(shape, TokenShape):
        raise InputError(f"{what} is defined for images, and these data are tokens: choose another.")
