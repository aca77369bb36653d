"""With nothing but the network: checks that corrupt the data have nothing to corrupt, and train nothing in vain."""

from prunecheck.pruning import prunable_weights


def size_within_layer(model):
    """Size of each weight in standard deviations of its layer."""
    weights = {layer: weight.detach() for layer, weight in prunable_weights(model).items()}
    return {layer: weight.abs() / weight.std() for layer, weight in weights.items()}
