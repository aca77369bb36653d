"""Gem-Miner: a criterion that learns which weights to keep, while the weights stay as they are.

It is the positive control among the methods at initialisation: it does use the data and which weights
are kept, so that a check that does not notice has no power.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.pruning.allocations import require_sparsity
from prunecheck.pruning.criteria import register_criterion
from prunecheck.pruning.layers import Masks, Scores
from prunecheck.pruning.masks import allocate
from prunecheck.pruning.scoring import BatchSource, copy_for_scoring, logits_and_labels

ROUNDING = 0.5
"""A weight is in the network while its score is at least this; scores are in [0, 1]."""

LEARNING_RATE = 0.05
MOMENTUM = 0.9
REGULARISATION = 0.1
"""Weight decay of the scores, as a share of their gradient's root mean square of 1."""

LOGIT_DEVIATION = 3.0
"""To which the logits of a batch are scaled."""

SHARE_OF_FREEZING = 0.8
"""The share of the epochs after which the target sparsity is reached; the rest learns within it."""


@register_criterion("gem-miner", sees="training set", argument="epochs")
def gem_miner(
    model: nn.Module,
    batches: BatchSource,
    *,
    generator: torch.Generator,
    sparsity: float,
    epochs: int = 20,
) -> Scores:
    """Scores learned on the training set with the weights at initialisation; in 20 epochs.

    Gem-Miner (Sreenivasan et al., NeurIPS 2022, arXiv:2202.12002, algorithm 1). Scores begin uniform in
    [0, 1]. Each step takes the network of the weights whose score rounds to 1 and descends the loss
    with respect to the scores, straight through the rounding, with momentum, a learning rate that
    falls along a cosine, L2 regularisation, and a projection onto [0, 1]. After each epoch the weights
    with the least scores in the whole network are removed for good, by an exponential schedule that
    ends at the target sparsity.

    Departures from the paper, for which 20 epochs of a small data set would be too few steps: the
    scores' gradient is divided by its root mean square in each layer; the logits are scaled to a
    standard deviation of 3 in each batch, for a linear layer of small initial weights would leave
    the loss flat; and regularisation ends with the freezing. The weights and batch norm are the
    model's own, not of constant magnitude and without parameters. Of the weights that are not removed
    all are kept, those too (a few) whose score is below one half in the end.

    Args:
        model: with the weights that stay as they are; a copy is used, in training mode.
        batches: the training set; each epoch goes through it once.
        generator: draws the first scores, on the CPU.
        sparsity: what the freezing leads to, in [0, 1).
        epochs: at least 1; the first four fifths of them remove weights.

    Returns:
        The last scores in [0, 1]; those of removed weights below 0, the earlier removed the lower.
        Where the loss is not finite they are not either.

    Raises:
        InputError: no batch, no epochs, or no such sparsity.
    """
    require_sparsity(sparsity)
    if epochs < 1:
        raise InputError(f"gem-miner needs at least 1 epoch, not {epochs}.")
    network, weights = copy_for_scoring(model, batches)
    search = _Search.begin(list(weights.values()), generator)
    freezing = max(1, math.floor(SHARE_OF_FREEZING * epochs))
    finished, steps = 0, epochs * len(batches)
    for epoch in range(epochs):
        decay = REGULARISATION if epoch < freezing else 0.0
        for batch in batches:
            rate = LEARNING_RATE * (1 + math.cos(math.pi * finished / steps)) / 2
            search.step(network, batch, rate, decay)
            finished += 1
        if not all(bool(score.isfinite().all()) for score in search.scores):
            break
        if epoch < freezing:
            search.freeze(1 - math.pow(1 - sparsity, (epoch + 1) / freezing), epoch - freezing)
    return dict(zip(weights, search.final_scores(), strict=True))


@dataclass
class _Search:
    """The scores on their way; all lists have one tensor per layer, of the weights' shape.

    Attributes:
        weights: of the network, overwritten in each step.
        dense: what they were.
        scores: float32 in [0, 1].
        alive: 1 for weights not removed for good, else 0.
        removed: the returned score of a removed weight.
    """

    weights: list[Tensor]
    dense: list[Tensor]
    scores: list[Tensor]
    momentum: list[Tensor]
    alive: list[Tensor]
    removed: list[Tensor]

    @classmethod
    def begin(cls, weights: list[Tensor], generator: torch.Generator) -> "_Search":
        dense = [weight.detach().clone() for weight in weights]
        drawn = [
            torch.rand(weight.shape, generator=generator, dtype=torch.float32, device="cpu").to(weight)
            for weight in dense
        ]
        zeros, more_zeros = ([torch.zeros_like(weight) for weight in dense] for _ in range(2))
        return cls(weights, dense, drawn, zeros, [torch.ones_like(weight) for weight in dense], more_zeros)

    def step(self, network: nn.Module, batch: Batch, rate: float, decay: float) -> None:
        """Descend the loss of a batch with respect to the scores."""
        with torch.no_grad():
            for weight, dense, score, alive in zip(self.weights, self.dense, self.scores, self.alive, strict=True):
                torch.mul(dense, alive * (score >= ROUNDING), out=weight)
        gradient = torch.autograd.grad(_scaled_loss(network, batch), self.weights, materialize_grads=True)
        with torch.no_grad():
            slopes = torch._foreach_mul(torch._foreach_mul(list(gradient), self.dense), self.alive)
            torch._foreach_div_(slopes, [_root_mean_square(*pair) for pair in zip(slopes, self.alive, strict=True)])
            torch._foreach_add_(slopes, self.scores, alpha=decay)
            torch._foreach_mul_(self.momentum, MOMENTUM)
            torch._foreach_add_(self.momentum, slopes)
            torch._foreach_add_(self.scores, self.momentum, alpha=-rate)
            torch._foreach_clamp_min_(self.scores, 0.0)
            torch._foreach_clamp_max_(self.scores, 1.0)

    def freeze(self, sparsity: float, removed_as: float) -> None:
        """Remove the least scores for good, so that the share ``sparsity`` is gone, under a score below 0."""
        named = {str(number): score for number, score in enumerate(self.final_scores())}
        kept: Masks = allocate(named, sparsity)
        for alive, mask, removed in zip(self.alive, kept.values(), self.removed, strict=True):
            removed[(alive > 0) & ~mask] = removed_as
            alive.mul_(mask)

    def final_scores(self) -> list[Tensor]:
        """Return the scores, those of removed weights below 0."""
        triples = zip(self.alive, self.scores, self.removed, strict=True)
        return [torch.where(alive > 0, score, removed) for alive, score, removed in triples]


def _scaled_loss(network: nn.Module, batch: Batch) -> Tensor:
    logits, labels = logits_and_labels(network, batch)
    scale = LOGIT_DEVIATION / logits.detach().std().clamp(min=torch.finfo(logits.dtype).tiny)
    return functional.cross_entropy(logits * scale, labels)


def _root_mean_square(slope: Tensor, alive: Tensor) -> Tensor:
    """Return that of the weights that are not removed; 1 if all of it is 0."""
    value = slope.norm() / alive.sum().clamp(min=1).sqrt()
    return torch.where(value == 0, torch.ones_like(value), value)
