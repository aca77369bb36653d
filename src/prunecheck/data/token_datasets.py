"""Data sets of tokens by name: Python's own source, a user's texts, a user's token arrays."""

from collections.abc import Mapping
from pathlib import Path

from prunecheck.data.datasets import OF_PATH, Dataset, Suggestion, register_dataset
from prunecheck.data.readers.text import BYTES, python_sources, read_text, read_tokens
from prunecheck.data.token_data import Stream, token_dataset

SEQUENCE_LENGTH = 128
"""Tokens, unless the user says otherwise."""

SIZES = {"train": 2**20, "calibration": 2**19, "test": 2**15}
"""Bytes of the parts of ``python-source``: a few minutes of training on one core, and a second of testing."""

KINDS = ("python-source", "text", "tokens")
"""Names of data sets below, or what stands in them before a path."""


def holds_tokens(name: str) -> bool:
    """Say of a data set's name whether it holds sequences of tokens, and no images."""
    return name.partition(":")[0] in KINDS


SUGGESTION = Suggestion(model="byte-transformer", width=64, epochs=2, batch_size=16, learning_rate=2e-3, recipe="adamw")


@register_dataset("python-source")
def python_source() -> Dataset:
    """Text: the source of Python's standard library as bytes, 1 MB to train on (another Python has another text)."""
    return _of_bytes("python-source", python_sources(SIZES))


@register_dataset("text" + OF_PATH)
def text(path: Path) -> Dataset:
    """Your own text, as bytes: a file, or a folder of texts."""
    return _of_bytes(f"text:{path}", read_text(path.expanduser()))


@register_dataset("tokens" + OF_PATH)
def tokens(path: Path) -> Dataset:
    """Your own tokens: an .npy or .bin file, or a folder with train, calibration and test of them."""
    streams, vocabulary = read_tokens(path.expanduser())
    return token_dataset(
        f"tokens:{path}", streams, vocabulary, SUGGESTION, sequence_length=SEQUENCE_LENGTH, metric="bits-per-token"
    )


def _of_bytes(name: str, streams: Mapping[str, Stream]) -> Dataset:
    return token_dataset(
        *(name, streams, BYTES, SUGGESTION), sequence_length=SEQUENCE_LENGTH, metric="bits-per-byte", is_text=True
    )
