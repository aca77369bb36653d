"""Degenerate tickets: found when the mask is made, and carried along as a result."""

from dataclasses import dataclass

from torch import nn

from prunecheck.pruning.connectivity import reached_outputs
from prunecheck.pruning.layers import Masks, Scores

NOT_FINITE = "scores that are not finite"
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
    """Return the first layer with nothing left, or the last one if no kept path leads through the network.

    Args:
        model: whose weights the masks are for; it is left as it was.
        masks: True = kept.
        image_shape: channels, height and width of the input.
    """
    for layer, mask in masks.items():
        if not bool(mask.any()):
            return Collapse(layer, "no weight is left")
    if not bool(reached_outputs(model, masks, image_shape).any()):
        return Collapse(list(masks)[-1], "no path of kept weights leads from the input to the output")
    return None
