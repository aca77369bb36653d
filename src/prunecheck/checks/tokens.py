"""Checks that change the tokens which the method sees; what is trained, and tested on, stays.

For a method after training these are the calibration sequences; for others what it scores, or is trained, with.
"""

from dataclasses import replace

import numpy
import torch

from prunecheck.checks.registry import register_check
from prunecheck.data import Sequences, TokenDataset, load_dataset
from prunecheck.data.token_data import in_tokens, windows_from
from prunecheck.data.tokenized import as_read_by
from prunecheck.errors import InputError

PADDING = 0
"""The token that padding is made of: of text, the byte that no text has."""

WINDOW = 8
"""Tokens that change places among each other only."""


@register_check(
    "random-tokens",
    changes="data",
    information="what its tokens are",
    absorbs=("shuffled-tokens", "shuffled-windows", "one-sequence"),
    shows="tokens",
)
def random_tokens(sequences: Sequences, num_classes: int, generator: torch.Generator) -> Sequences:
    """The method sees tokens that are drawn uniformly from the vocabulary.

    A method that relies on the text in any way, the frequencies of its tokens among it, loses it.
    """
    windows = sequences.windows
    drawn = torch.randint(num_classes, windows.shape, generator=generator).numpy()
    return sequences.with_windows(drawn.astype(windows.dtype))


@register_check(
    "shuffled-tokens",
    changes="data",
    information="the order of its tokens",
    absorbs=("shuffled-windows",),
    shows="tokens",
)
def shuffled_tokens(sequences: Sequences, num_classes: int, generator: torch.Generator) -> Sequences:
    """The method sees the tokens of each sequence in random order, each sequence in its own.

    A method that relies on the order of tokens loses it; which tokens a sequence has, and how often, stays.
    """
    return sequences.with_windows(_shuffled(sequences.windows, generator))


@register_check(
    "shuffled-windows", changes="data", information="the order of its tokens within eight of them", shows="tokens"
)
def shuffled_windows(sequences: Sequences, num_classes: int, generator: torch.Generator) -> Sequences:
    """The method sees every eight tokens in a row in random order.

    A method that relies on which token follows which loses that; what a passage is about stays.
    """
    windows = sequences.windows
    pieces = [_shuffled(windows[:, at : at + WINDOW], generator) for at in range(0, windows.shape[1], WINDOW)]
    return sequences.with_windows(numpy.concatenate(pieces, axis=1))


@register_check("one-sequence", changes="data", information="having different sequences", shows="tokens")
def one_sequence(sequences: Sequences, num_classes: int, generator: torch.Generator) -> Sequences:
    """The method sees one of its sequences, as often as it would have seen others.

    A method that relies on the variety of its sequences loses that.
    """
    chosen = int(torch.randint(len(sequences), (), generator=generator))
    return sequences.with_windows(numpy.repeat(sequences.windows[chosen : chosen + 1], len(sequences), axis=0))


@register_check(
    "padding-only",
    changes="data",
    information="having any text",
    absorbs=("random-tokens", "shuffled-tokens", "shuffled-windows", "one-sequence"),
    shows="tokens",
)
def padding_only(sequences: Sequences, num_classes: int, generator: torch.Generator) -> Sequences:
    """The method sees sequences of padding alone: of the tokenizer's token for it, or of the token 0.

    A method that relies on its data in any way has nothing left but the positions.
    """
    known = sequences.tokenizer.padding if sequences.tokenizer else None
    return sequences.with_windows(numpy.full_like(sequences.windows, PADDING if known is None else known))


@register_check(
    "first-token-only",
    changes="data",
    information="having any text after the token that begins one",
    absorbs=("random-tokens", "shuffled-tokens", "shuffled-windows", "one-sequence", "padding-only"),
    shows="tokens",
)
def first_token_only(sequences: Sequences, num_classes: int, generator: torch.Generator) -> Sequences:
    """The method sees sequences of the tokenizer's token that begins a text (BOS), and nothing else.

    A method that relies on its data in any way has nothing left but the positions, and the large activations that this
    token alone has in many models.

    Raises:
        InputError: no tokenizer is known, or it has no such token.
    """
    known = sequences.tokenizer.first if sequences.tokenizer else None
    if known is None:
        of = sequences.tokenizer.name if sequences.tokenizer else "these data, whose tokenizer is not known,"
        raise InputError(
            f"{of} has no token that begins a text (BOS), which the check first-token-only shows alone: leave it out, "
            "or ask for padding-only."
        )
    return sequences.with_windows(numpy.full_like(sequences.windows, known))


@register_check("fewer-sequences", changes="selection", information="the number of its sequences", shows="tokens")
def fewer_sequences(
    sequences: Sequences, num_classes: int, generator: torch.Generator, *, share: float = 0.125
) -> Sequences:
    """The method sees the first eighth of its sequences (another share after @), one at least.

    A method that relies on how many sequences it sees loses most of them.
    """
    count = max(1, round(share * len(sequences)))
    return replace(sequences, pixels=sequences.pixels[:count], labels=sequences.labels[:count])


@register_check("shorter-sequences", changes="selection", information="the length of its sequences", shows="tokens")
def shorter_sequences(
    sequences: Sequences, num_classes: int, generator: torch.Generator, *, share: float = 0.125
) -> Sequences:
    """The method sees the beginnings of its sequences, an eighth of each (another share after @).

    A method that relies on tokens with many others before them loses these.
    """
    length = max(1, round(share * sequences.pixels.shape[1]))
    return replace(sequences, pixels=sequences.pixels[:, :length], labels=sequences.labels[:, :length])


@register_check(
    "other-corpus:<dataset>",
    changes="selection",
    information="which text its data are from",
    shows="tokens",
)
def other_corpus(sequences: Sequences, num_classes: int, generator: torch.Generator, *, dataset: str) -> Sequences:
    """The method sees as many sequences of another data set, of its calibration part: other-corpus:text:PATH.

    A method that relies on the text that the network was trained on, or is tested on, loses it.

    Raises:
        InputError: the other data set holds images, tokens that the network does not know, or too few of them.
    """
    tokenizer = sequences.tokenizer
    other = as_read_by(load_dataset(dataset), (lambda: tokenizer) if tokenizer else None)
    length = sequences.pixels.shape[1]
    if not isinstance(other, TokenDataset):
        raise InputError(f"{dataset} holds images: the check other-corpus takes a data set of text.")
    stream = other.streams["calibration"]
    if int(stream.max()) >= num_classes:
        raise InputError(
            f"{dataset} has the token {int(stream.max())}, and the network knows {num_classes}: give a text that was "
            "made into tokens by the network's own tokenizer."
        )
    if len(stream) <= length:
        raise InputError(
            f"the calibration part of {dataset} has {in_tokens(len(stream))}, too few for one sequence of {length}: "
            "give a longer text."
        )
    return sequences.with_windows(windows_from(stream, len(sequences), length, generator).windows)


def _shuffled(windows: numpy.ndarray, generator: torch.Generator) -> numpy.ndarray:
    """Return each row in a random order of its own."""
    orders = torch.rand(windows.shape, generator=generator, dtype=torch.float64).argsort(1).numpy()
    return numpy.take_along_axis(windows, orders, axis=1)
