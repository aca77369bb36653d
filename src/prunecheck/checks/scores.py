"""Checks that change the scores before the mask is made of them."""

import torch

from prunecheck.checks.registry import register_check
from prunecheck.pruning.layers import Scores
from prunecheck.pruning.methods import Method


def _has_no_scores(method: Method) -> str | None:
    return "the masks of {method} are those that a training ended with, without scores" if method.final_of else None


@register_check("invert-scores", changes="scores", information="which end of its scores it keeps", unfit=_has_no_scores)
def invert_scores(scores: Scores, generator: torch.Generator) -> Scores:
    """The weights with the smallest scores are kept.

    A method that relies on its scores gets the worst instead of the best of them. Under one
    threshold for the whole network the layerwise ratios change too.
    """
    return {layer: -score for layer, score in scores.items()}
