"""Masks: the method decides itself what is kept, True for a weight that stays."""

import torch
from torch.nn.functional import cross_entropy

from prunecheck.pruning import prunable_weights


def best_of_each_layer(model, batches, sparsity):
    """Keep the same share of every layer: the weights whose removal changes the loss the most."""
    weights = prunable_weights(model)
    loss = sum(cross_entropy(model(x), y) for x, y in batches)
    gradients = torch.autograd.grad(loss, list(weights.values()))
    masks = {}
    for (layer, weight), gradient in zip(weights.items(), gradients, strict=True):
        order = (weight.detach() * gradient).abs().flatten().argsort(descending=True)
        mask = torch.zeros(weight.numel(), dtype=torch.bool)
        mask[order[: round((1 - sparsity) * weight.numel())]] = True
        masks[layer] = mask.view(weight.shape)
    return masks
