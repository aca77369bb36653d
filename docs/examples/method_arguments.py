"""With arguments of its own: whatever has a default and is not given by prunecheck."""

import torch
from torch.nn.functional import cross_entropy

from prunecheck.pruning import prunable_weights


def blend(model, batches, alpha: float = 0.5, keep_first: bool = False):
    """Size of the weight to the power of alpha, times that of its gradient to the power of 1 - alpha."""
    weights = prunable_weights(model)
    loss = sum(cross_entropy(model(x), y) for x, y in batches)
    gradients = torch.autograd.grad(loss, list(weights.values()))
    scores = {
        layer: weight.detach().abs() ** alpha * gradient.abs() ** (1 - alpha)
        for (layer, weight), gradient in zip(weights.items(), gradients, strict=True)
    }
    if keep_first:
        first = next(iter(scores))
        scores[first] = scores[first] + max(float(score.max()) for score in scores.values())
    return scores
