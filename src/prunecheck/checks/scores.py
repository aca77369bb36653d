"""Checks that change the scores before the mask is made of them."""

import torch

from prunecheck.checks.registry import register_check
from prunecheck.pruning.layers import Scores


@register_check("invert-scores", changes="scores", information="which end of its scores it keeps")
def invert_scores(scores: Scores, generator: torch.Generator) -> Scores:
    """The weights with the smallest scores are kept.

    A method that relies on its scores gets the worst instead of the best of them. Under one
    threshold for the whole network the layerwise ratios change too.
    """
    return {layer: -score for layer, score in scores.items()}
