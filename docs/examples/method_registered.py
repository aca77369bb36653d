"""Under a name of its own, which tables show and which a package can offer by an entry point."""

from prunecheck.pruning import prunable_weights, register_method


@register_method("changed-signs")
def changed_signs(model, trained_model):
    """The size of trained weights; that of weights whose sign training has changed counts ten times."""
    before, after = prunable_weights(model), prunable_weights(trained_model)
    return {
        layer: after[layer].detach().abs() * (1 + 9 * (after[layer] * weight < 0)) for layer, weight in before.items()
    }
