"""Degenerate tickets: found when the mask is made, and carried along as a result."""

from dataclasses import dataclass

import torch
from torch import nn

from prunecheck.pruning.connectivity import Paths
from prunecheck.pruning.layers import Masks, Scores

NOT_FINITE = "scores that are not finite"
NO_WEIGHT = "no weight is left"
NO_PATH = "no path of kept weights leads from the input to the output"
ALL_EQUAL = "scores that are all equal, so that the choice is arbitrary"


@dataclass(frozen=True)
class Collapse:
    """Why a ticket cannot be judged, and the layer where it shows."""

    layer: str
    reason: str

    @property
    def is_of_scores(self) -> bool:
        """Whether the scores chose nothing, so that which weights the mask keeps means nothing."""
        return self.reason in (NOT_FINITE, ALL_EQUAL)

    def __str__(self) -> str:
        return f"{self.layer}: {self.reason}"


def collapse_of_scores(scores: Scores, masks: Masks) -> Collapse | None:
    """Return the first layer whose scores cannot choose: not finite, or cut though all equal.

    Args:
        scores: what the criterion returned.
        masks: what was kept by it.
    """
    for layer, score in scores.items():
        if not bool(score.isfinite().all()):
            return Collapse(layer, NOT_FINITE)
    for layer, score in scores.items():
        mask = masks[layer]
        is_cut = bool(mask.any()) and not bool(mask.all())
        if is_cut and bool((score == score.flatten()[0]).all()):
            return Collapse(layer, ALL_EQUAL)
    return None


def collapse_of_masks(model: nn.Module, masks: Masks, image_shape: tuple[int, int, int]) -> Collapse | None:
    """Return the layer where a network ends none of whose outputs can depend on its input; None otherwise.

    An empty layer alone is no collapse: a residual network works without some of its branches. Where
    it is not known what the outputs depend on, none is found.

    Args:
        model: whose weights the masks are for; it is left as it was.
        masks: True = kept.
        image_shape: channels, height and width of the input.

    Returns:
        The first empty layer that cuts all paths by itself, if there is one, or else the last layer.
    """
    paths = Paths(model, image_shape)
    if not _is_cut(paths, masks):
        return None
    whole = {layer: torch.ones_like(mask) for layer, mask in masks.items()}
    for layer in empty_layers(masks):
        if _is_cut(paths, whole | {layer: masks[layer]}):
            return Collapse(layer, NO_WEIGHT)
    return Collapse(list(masks)[-1], NO_PATH)


def _is_cut(paths: Paths, masks: Masks) -> bool:
    """Say whether it is known that no output can depend on the input."""
    reached = paths.reached_outputs(masks)
    return reached is not None and not bool(reached.any())


def empty_layers(masks: Masks) -> list[str]:
    """Return the layers of which no weight is kept, in order."""
    return [layer for layer, mask in masks.items() if not bool(mask.any())]
