"""Scores: a number for each weight; one threshold over the whole network keeps the largest."""

import torch
from torch.nn.functional import cross_entropy

from prunecheck.pruning import prunable_weights


def taylor(model, batches):
    """Square of weight times gradient, of each batch by itself (Molchanov et al., arXiv:1906.10771, equation 8)."""
    weights = prunable_weights(model)
    scores = {layer: torch.zeros_like(weight) for layer, weight in weights.items()}
    for x, y in batches:
        gradients = torch.autograd.grad(cross_entropy(model(x), y), list(weights.values()))
        for (layer, weight), gradient in zip(weights.items(), gradients, strict=True):
            scores[layer] += (weight.detach() * gradient).square()
    return scores
