"""What a training minimises."""

from collections.abc import Callable, Sequence

import numpy
from torch import Tensor
from torch.nn import functional

from prunecheck.randomness import derive_seed


def training_loss(
    network: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    label_smoothing: float = 0.0,
    mixed: float | Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the mean cross entropy of a batch (nats), and its logits.

    Args:
        network: gives logits (batch, classes).
        x: images (batch, channels, height, width).
        y: labels, int64 (batch,).
        label_smoothing: as in ``torch.nn.functional.cross_entropy``.
        mixed: the share of each image in its mixture with another of the batch, the one in its place when the batch is
            turned round; the losses of both labels are mixed likewise (mixup, arXiv:1710.09412). None for no mixing.
    """
    if mixed is None:
        logits = network(x)
        return functional.cross_entropy(logits, y, label_smoothing=label_smoothing), logits
    logits = network(x * mixed + x.flip(0) * (1 - mixed))
    own, other = (
        functional.cross_entropy(logits, labels, label_smoothing=label_smoothing) for labels in (y, y.flip(0))
    )
    return own * mixed + other * (1 - mixed), logits


def mixing_shares(alpha: float, seed: int, epoch: int, steps: int) -> Sequence[float]:
    """Draw the shares of an epoch's batches, from Beta(alpha, alpha), on a generator of their own."""
    shares = numpy.random.default_rng(derive_seed(seed, "mixup", epoch)).beta(alpha, alpha, steps)
    return [float(share) for share in shares]
