"""The metrics that come with prunecheck; one more is one more function."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from prunecheck.errors import InputError
from prunecheck.metrics.quantity import ACCURACY
from prunecheck.metrics.registry import register_metric

TOP = 5

MARGIN_OF_BITS = 0.02
"""Bits for each token: 1.4 % of perplexity."""


@register_metric(
    ACCURACY.name,
    unit=ACCURACY.unit,
    higher_is_better=ACCURACY.higher_is_better,
    has_chance_level=True,
    counts_images=True,
    column="test_accuracy",
)
def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Test images whose largest logit is their class's, percent."""
    return 100 * (logits.argmax(dim=1) == labels).double().mean().item()


@register_metric("cross-entropy", unit="nats", higher_is_better=False, has_chance_level=True, column="test_loss")
def cross_entropy(logits: Tensor, labels: Tensor) -> float:
    """Mean negative logarithm of what the softmax gives the true class, nats; lower is better."""
    return functional.cross_entropy(logits.double(), labels).item()


@register_metric("balanced-accuracy", unit="%", higher_is_better=True, has_chance_level=True)
def balanced_accuracy(logits: Tensor, labels: Tensor) -> float:
    """Mean over the classes of the share of their images that is found, percent.

    Classes that the test part does not have are left out (Brodersen et al., ICPR 2010).
    """
    hits = (logits.argmax(dim=1) == labels).double()
    images = torch.bincount(labels)
    found = torch.zeros(len(images), dtype=torch.float64, device=labels.device).index_add_(0, labels, hits)
    there = images > 0
    return 100 * (found[there] / images[there]).mean().item()


@register_metric("top5-accuracy", unit="%", higher_is_better=True, has_chance_level=True, counts_images=True)
def top5_accuracy(logits: Tensor, labels: Tensor) -> float:
    """Test images whose class is among those of the five largest logits, percent."""
    if logits.shape[1] <= TOP:
        raise InputError(
            f"top5-accuracy is 100 % for any network that tells no more than {TOP} classes apart, and these data have "
            f"{logits.shape[1]}: choose accuracy."
        )
    return 100 * (logits.topk(TOP, dim=1).indices == labels[:, None]).any(dim=1).double().mean().item()


def _bits(nats: float) -> float:
    return nats / math.log(2)


def _perplexity(nats: float) -> float:
    """Return the exponential of a loss; of one that it is too large for, infinity, which is no value of a run."""
    return math.exp(nats) if nats < MOST_NATS else math.inf


MOST_NATS = 700.0
"""The exponential of more is no number of double precision."""


@register_metric(
    "bits-per-byte",
    unit="",
    higher_is_better=False,
    has_chance_level=True,
    column="test_loss",
    of_column=_bits,
    usual_margin=MARGIN_OF_BITS,
)
def bits_per_byte(logits: Tensor, labels: Tensor) -> float:
    """Mean cross entropy of the next byte, bits; lower is better (of text as bytes)."""
    return _bits(cross_entropy(logits, labels))


@register_metric(
    "bits-per-token",
    unit="",
    higher_is_better=False,
    has_chance_level=True,
    column="test_loss",
    of_column=_bits,
    usual_margin=MARGIN_OF_BITS,
)
def bits_per_token(logits: Tensor, labels: Tensor) -> float:
    """Mean cross entropy of the next token, bits; lower is better."""
    return _bits(cross_entropy(logits, labels))


@register_metric(
    "perplexity",
    unit="",
    higher_is_better=False,
    has_chance_level=True,
    column="test_loss",
    of_column=_perplexity,
)
def perplexity(logits: Tensor, labels: Tensor) -> float:
    """Exponential of the mean cross entropy of the next token; lower is better."""
    return _perplexity(cross_entropy(logits, labels))
