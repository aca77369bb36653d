"""Text as the tokens of a network's own tokenizer."""

import hashlib
from dataclasses import replace
from weakref import WeakKeyDictionary

from prunecheck.data.datasets import Dataset
from prunecheck.data.token_data import TokenDataset, token_dataset
from prunecheck.data.tokenizers import FindTokenizer, Tokenizer
from prunecheck.process_limits import require_memory

OF_TOKENS = "bits-per-token"
"""What runs on tokens are judged by, that are no bytes."""

_made: "WeakKeyDictionary[Dataset, dict[Tokenizer, Dataset]]" = WeakKeyDictionary()
"""What was made of texts so far: once for all questions about them, and for all runs that a process does."""


def as_read_by(dataset: Dataset, find_tokenizer: FindTokenizer | None) -> Dataset:
    """Return a text as the tokens that a network reads; what is no text, or is read as bytes, as it is.

    Each part is made into tokens by itself, so that none of them knows anything of another.

    Args:
        dataset: whole.
        find_tokenizer: returns the network's; None for one that reads bytes, or has none.

    Raises:
        InputError: the tokenizer does not fit the network, a part has too few tokens for one sequence, or there is too
            little memory.
    """
    if find_tokenizer is None or not isinstance(dataset, TokenDataset) or not dataset.is_text:
        return dataset
    made, tokenizer = _made.setdefault(dataset, {}), find_tokenizer()
    if tokenizer not in made:
        needed = sum(tokenizer.memory_for(stream) for stream in dataset.streams.values())
        require_memory(f"{tokenizer.name} on {dataset.name}", needed, "give a shorter text, or one with more lines")
        streams = {part: tokenizer.tokens_of(stream) for part, stream in dataset.streams.items()}
        tokens = token_dataset(
            dataset.name,
            streams,
            tokenizer.vocabulary,
            dataset.suggestion,
            sequence_length=dataset.sequence_length,
            metric=OF_TOKENS,
        )
        made[tokenizer] = replace(tokens, tokenizer=tokenizer, fingerprint=_fingerprint(tokens, tokenizer))
    return made[tokenizer]


def _fingerprint(tokens: TokenDataset, tokenizer: Tokenizer) -> str:
    """Return the SHA-256 of tokens and of those two of their tokenizer that checks show to methods."""
    return hashlib.sha256(f"{tokens.fingerprint} {tokenizer.first} {tokenizer.padding}".encode()).hexdigest()
