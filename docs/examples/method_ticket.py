"""A ticket: the weights that training starts from, and the masks."""

import torch

from prunecheck.pruning import prunable_weights


def random_and_rescaled(model, sparsity, generator):
    """Keep random weights of each layer, and enlarge them so that outputs have the variance that they had."""
    state, masks = model.state_dict(), {}
    for layer, weight in prunable_weights(model).items():
        count = max(round((1 - sparsity) * weight.numel()), 1)
        mask = torch.zeros(weight.numel(), dtype=torch.bool)
        mask[torch.randperm(weight.numel(), generator=generator)[:count]] = True
        masks[layer] = mask.view(weight.shape)
        state[f"{layer}.weight"] = weight.detach() * (weight.numel() / count) ** 0.5
    return state, masks
