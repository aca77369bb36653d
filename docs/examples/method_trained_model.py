"""With the trained network, which prunecheck trains once for each seed, beside the network at initialisation."""

from prunecheck.pruning import prunable_weights


def grown(model, trained_model):
    """How much each weight has grown in training: the magnitude increase of Zhou et al. (arXiv:1905.01067)."""
    before, after = prunable_weights(model), prunable_weights(trained_model)
    return {layer: after[layer].detach().abs() - weight.detach().abs() for layer, weight in before.items()}
