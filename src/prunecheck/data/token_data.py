"""Sequences of tokens: text as bytes, or what a tokenizer made of it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy
import torch
from numpy.typing import NDArray

from prunecheck.data.datasets import Augmentation, Dataset, Images, Suggestion
from prunecheck.data.inputs import TokenShape
from prunecheck.data.tokenizers import Tokenizer
from prunecheck.errors import InputError, field_name
from prunecheck.randomness import generator

Stream = NDArray[Any]
"""Tokens one after the other, unsigned integers (tokens,)."""

PARTS = ("train", "calibration", "test")

IN_WORDS = {"train": "training", "calibration": "calibration", "test": "test"}

TRAINED_PART, CALIBRATION_PART = 0.8, 0.1
"""Shares of tokens that have no parts of their own, from their beginning; the rest is the test part."""


@dataclass(frozen=True, eq=False)
class Sequences(Images):
    """Sequences of equal length, each token with the one that follows it.

    Attributes:
        pixels: the tokens, unsigned integers (N, T), in the place of an image's pixels.
        labels: the tokens that follow them, likewise.
        tokenizer: see :class:`TokenDataset`.
    """

    tokenizer: Tokenizer | None = None

    @staticmethod
    def of_windows(windows: NDArray[Any]) -> "Sequences":
        """Return sequences of T tokens from windows of one more, (N, T + 1)."""
        return Sequences(windows[:, :-1], windows[:, 1:])

    def with_windows(self, windows: NDArray[Any]) -> "Sequences":
        """Return others of the same tokenizer; see :meth:`of_windows`."""
        return replace(self, pixels=windows[:, :-1], labels=windows[:, 1:])

    @property
    def windows(self) -> NDArray[Any]:
        """The tokens, and the one that follows the last of them, (N, T + 1)."""
        return numpy.concatenate([self.pixels, self.labels[:, -1:]], axis=1)


@dataclass(frozen=True, eq=False)
class TokenDataset(Dataset):
    """A data set of tokens, of which networks are asked for the next one; its classes are the tokens.

    Attributes:
        streams: the tokens of the parts ``train``, ``calibration`` and ``test``; no method is shown the test part,
            and nothing is trained on the calibration part.
        sequence_length: tokens that a network is shown at a time.
        metric: what runs are judged by unless the user says otherwise.
        is_text: whether the tokens are bytes of text, of which a network's own tokenizer makes others.
        tokenizer: that made the tokens; None where it is not known, or there is none.
    """

    streams: Mapping[str, Stream] = field(default_factory=dict)
    sequence_length: int = 0
    metric: str = "bits-per-token"
    is_text: bool = False
    tokenizer: Tokenizer | None = None

    @property
    def image_shape(self) -> TokenShape:
        """The shape of a sequence."""
        return TokenShape(self.sequence_length, self.num_classes)

    @property
    def usual_metric(self) -> str:
        """The name of what runs are judged by unless the user says otherwise."""
        return self.metric

    def shortened(self, train_images: int | None, test_images: int | None) -> "TokenDataset":
        """Return the data set with the first sequences of each part.

        Args:
            train_images: sequences of the training part; None for all.
            test_images: likewise, of the test part.

        Raises:
            InputError: a part has fewer.
        """
        return replace(
            self,
            train=_first(self, "train", train_images),
            test=_first(self, "test", test_images),
        )

    def of_length(self, sequence_length: int | None) -> "TokenDataset":
        """Return the same tokens, whole, in sequences of another length; None for that which they have.

        Raises:
            InputError: a part has too few tokens for one sequence.
        """
        length = self.sequence_length if sequence_length is None else sequence_length
        cut = {part: _cut(self.name, part, self.streams[part], length) for part in ("train", "test")}
        _require_one_sequence(self.name, "calibration", self.streams["calibration"], length)
        return replace(self, sequence_length=length, train=cut["train"], test=cut["test"])


LEAST_TOKENS = 2
"""Of a part: a token that is shown, and the one after it."""


def token_dataset(
    name: str,
    streams: Mapping[str, Stream],
    vocabulary: int,
    suggestion: Suggestion,
    *,
    sequence_length: int,
    metric: str,
    is_text: bool = False,
) -> TokenDataset:
    """Return a data set of tokens, known by its content.

    Args:
        name: of the data set.
        streams: by part, see :class:`TokenDataset`.
        vocabulary: how many tokens there are.
        suggestion: a good start.
        sequence_length: tokens in a sequence.
        metric: what runs are judged by unless the user says otherwise.
        is_text: see :class:`TokenDataset`.

    Returns:
        Cut into sequences, unless a part has too few tokens for one of this length: then it has none until it is given
        a smaller one.

    Raises:
        InputError: a part has less than two tokens, or one that is not in the vocabulary.
    """
    for part in PARTS:
        if len(streams[part]) < LEAST_TOKENS:
            raise InputError(
                f"the {IN_WORDS[part]} part of {name} has {in_tokens(len(streams[part]))}, too few for a sequence of "
                f"any length and the token after it, and {sequence_length} are usual: give a longer text."
            )
        if (largest := int(streams[part].max())) >= vocabulary:
            raise InputError(
                f"{name} has the token {largest}, and its vocabulary ends with {vocabulary - 1}: make it anew."
            )
    empty = Sequences.of_windows(numpy.zeros((0, sequence_length + 1), numpy.uint8))
    dataset = TokenDataset(
        name=name,
        train=empty,
        test=empty,
        num_classes=vocabulary,
        mean=(),
        deviation=(),
        augmentation=Augmentation(padding=0, flip=False),
        suggestion=suggestion,
        fingerprint=fingerprint(streams, vocabulary),
        streams=streams,
        sequence_length=sequence_length,
        metric=metric,
        is_text=is_text,
    )
    is_enough = all(len(streams[part]) > sequence_length for part in PARTS)
    return dataset.of_length(None) if is_enough else dataset


def fingerprint(streams: Mapping[str, Stream], vocabulary: int) -> str:
    """Return the SHA-256 of the tokens of each part; that they are cut to sequences is no part of it."""
    digest = hashlib.sha256(f"tokens of {vocabulary}\n".encode())
    for part in PARTS:
        stream = numpy.ascontiguousarray(streams[part])
        digest.update(f"{part} {stream.dtype} {stream.shape}\n".encode())
        digest.update(stream.data)
    return digest.hexdigest()


def parts_of_stream(stream: Stream) -> dict[str, Stream]:
    """Return the parts of tokens that have none of their own: the first 80 %, 10 %, and the last 10 %."""
    first, second = (int(share * len(stream)) for share in (TRAINED_PART, TRAINED_PART + CALIBRATION_PART))
    return {"train": stream[:first], "calibration": stream[first:second], "test": stream[second:]}


def calibration_sequences(dataset: Dataset, count: int, seed: int) -> Sequences:
    """Draw the sequences that a method after training sees: windows of the calibration part, from anywhere in it.

    As in the code published with SparseGPT and Wanda each begins at a place of its own, drawn uniformly; they may
    overlap.

    Args:
        dataset: of tokens.
        count: how many sequences.
        seed: the run's.

    Raises:
        InputError: the data set holds images.
    """
    if not isinstance(dataset, TokenDataset):
        raise InputError(f"{dataset.name} holds images, and calibration data are tokens: choose a data set of text.")
    source = generator(seed, "calibration data")
    drawn = windows_from(dataset.streams["calibration"], count, dataset.sequence_length, source)
    return replace(drawn, tokenizer=dataset.tokenizer)


def windows_from(stream: Stream, count: int, length: int, source: torch.Generator) -> Sequences:
    """Return sequences of tokens that begin at places drawn uniformly; see :func:`calibration_sequences`."""
    starts = torch.randint(len(stream) - length, (count, 1), generator=source).numpy()
    return Sequences.of_windows(stream[starts + numpy.arange(length + 1)])


def _cut(name: str, part: str, stream: Stream, length: int) -> Sequences:
    """Return all whole sequences of a part, side by side."""
    _require_one_sequence(name, part, stream, length)
    count = (len(stream) - 1) // length
    tokens, following = stream[: count * length], stream[1 : count * length + 1]
    return Sequences(tokens.reshape(count, length), following.reshape(count, length))


def _require_one_sequence(name: str, part: str, stream: Stream, length: int) -> None:
    if len(stream) <= length:
        raise InputError(
            f"the {IN_WORDS[part]} part of {name} has {in_tokens(len(stream))}, too few for one sequence of {length} "
            f"and the token after it: give a longer text, or a smaller {field_name('sequence_length')}.",
            field="sequence_length",
        )


def in_tokens(count: int) -> str:
    """Return a number of tokens in words."""
    return "1 token" if count == 1 else f"{count:,} tokens"


def _first(dataset: Dataset, part: str, count: int | None) -> Images:
    images: Images = getattr(dataset, part)
    field_of_part = f"{part}_images"
    if count is not None and count > len(images):
        raise InputError(
            f"{dataset.name} has {len(images)} {IN_WORDS[part]} sequences of {in_tokens(dataset.image_shape[0])}, and "
            f"{field_name(field_of_part)} asks for {count}: give {len(images)} or less.",
            field=field_of_part,
        )
    return images if count is None else images[numpy.arange(count)]
