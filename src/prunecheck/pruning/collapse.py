"""Degenerate tickets: found when the mask is made, and carried along as a result."""

from dataclasses import dataclass

import torch
from torch import nn

from prunecheck.pruning.connectivity import Paths, paths_of
from prunecheck.pruning.layers import Masks, Scores
from prunecheck.pruning.logits import require_logits
from prunecheck.pruning.masks import orderable

NOT_FINITE = "scores that are not finite"
NO_WEIGHT = "no weight is left"
NO_PATH = "no path of kept weights leads from the input to the output"
ALL_EQUAL = "scores that are all equal, so that the choice is arbitrary"


BY_LOT = "scores that leave at least half of the kept weights to chance"

MOST_BY_LOT = 0.5
"""Share of the kept weights that may be drawn by lot among equal scores."""


@dataclass(frozen=True)
class Collapse:
    """Why a ticket cannot be judged, and the layer where it shows."""

    layer: str
    reason: str

    @property
    def is_of_scores(self) -> bool:
        """Whether the scores chose nothing, so that which weights the mask keeps means nothing."""
        return self.reason in (NOT_FINITE, ALL_EQUAL, BY_LOT)

    def __str__(self) -> str:
        return f"{self.layer}: {self.reason}"


def collapse_of_scores(scores: Scores, masks: Masks) -> Collapse | None:
    """Return the first layer whose scores cannot choose: not finite, or cut though all equal.

    Args:
        scores: what the criterion returned.
        masks: what was kept by it.
    """
    for layer, score in scores.items():
        if not bool(orderable(layer, score).isfinite().all()):
            return Collapse(layer, NOT_FINITE)
    for layer, score in scores.items():
        mask = masks[layer]
        is_cut = bool(mask.any()) and not bool(mask.all())
        if is_cut and bool((score == score.flatten()[0]).all()):
            return Collapse(layer, ALL_EQUAL)
    return None


def collapse_of_ties(scores: Scores, masks: Masks, by_lot: Masks) -> Collapse | None:
    """Return the first layer that is cut, if the scores leave most of the choice to chance.

    They do if at least half of the kept weights were drawn by lot. Excepted are scores that are
    worth nothing, the least there are, where what is worth more is told apart: a method that finds
    weights without any effect may leave open which of them stay, as long as all others do.

    Args:
        scores: what the criterion returned.
        masks: what was kept by it.
        by_lot: which of them were drawn; see :func:`prunecheck.pruning.masks.drawn_by_lot`.
    """
    if share_of(by_lot, masks) < MOST_BY_LOT:
        return None
    ordered = {name: orderable(name, score) for name, score in scores.items()}
    drawn = torch.cat([score[by_lot[name]] for name, score in ordered.items()])
    better = torch.cat([score[masks[name] & ~by_lot[name]] for name, score in ordered.items()])
    least = torch.cat([score.flatten() for score in ordered.values()]).min()
    if bool((drawn == least).all()) and bool((better != better[:1]).any()):
        return None
    cut = next(layer for layer, mask in masks.items() if bool(mask.any()) and not bool(mask.all()))
    return Collapse(cut, BY_LOT)


def share_of(parts: Masks, masks: Masks) -> float:
    """Return the share, in [0, 1], of what masks keep that parts of them keep; 0 where they keep nothing."""
    kept = sum(int(mask.sum()) for mask in masks.values())
    return sum(int(part.sum()) for part in parts.values()) / kept if kept else 0.0


def collapse_of_masks(model: nn.Module, masks: Masks, image_shape: tuple[int, ...]) -> Collapse | None:
    """Return the layer where a network ends none of whose outputs can depend on its input; None otherwise.

    An empty layer alone is no collapse: a residual network works without some of its branches. Where
    it is not known what the outputs depend on, none is found.

    Args:
        model: whose weights the masks are for; it is left as it was.
        masks: True = kept.
        image_shape: channels, height and width of the input.

    Returns:
        The first empty layer that cuts all paths by itself, if there is one, or else the last layer.

    Raises:
        InputError: the network does not return logits.
    """
    paths = paths_of(model, image_shape)
    if paths.not_known:
        require_logits(model, image_shape)
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
