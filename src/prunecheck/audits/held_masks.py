"""Does a mask hold? Which pruned weights are no longer 0 in a trained checkpoint."""

from dataclasses import dataclass

from torch import Tensor

from prunecheck.pruning.layers import Masks, weight_name
from prunecheck.pruning.tickets import Weights


@dataclass(frozen=True)
class HeldLayer:
    """One layer of a trained network beside its mask.

    Attributes:
        total: its weights.
        pruned: that the mask removes.
        returned: of those, which are not 0 in the checkpoint.
        nonzero: of all, which are not 0.
    """

    total: int
    pruned: int
    returned: int
    nonzero: int


@dataclass(frozen=True)
class HeldMask:
    """A trained network beside its mask.

    Attributes:
        checkpoint: what was read.
    """

    seed: int
    checkpoint: str
    layers: dict[str, HeldLayer]

    @property
    def all(self) -> HeldLayer:
        """All layers together."""
        layers = list(self.layers.values())
        return HeldLayer(
            sum(layer.total for layer in layers),
            sum(layer.pruned for layer in layers),
            sum(layer.returned for layer in layers),
            sum(layer.nonzero for layer in layers),
        )

    @property
    def holds(self) -> bool:
        """Whether every pruned weight is 0."""
        return self.all.returned == 0

    @property
    def density(self) -> float:
        """Share of prunable weights that are not 0."""
        return self.all.nonzero / self.all.total

    @property
    def verdict(self) -> str:
        """What follows, in a sentence without a full stop."""
        found = self.all
        if self.holds:
            return f"the mask holds: all {found.pruned:,} pruned weights are 0 in {self.checkpoint}"
        return (
            f"{found.returned:,} of {found.pruned:,} pruned weights are not 0 in {self.checkpoint}: the network that "
            f"was trained is {100 * self.density:.3g} % dense"
        )


def held_mask(seed: int, checkpoint: str, masks: Masks, weights: Weights) -> HeldMask:
    """Compare the weights of a trained network with the mask that it was trained with.

    Args:
        seed: of the mask.
        checkpoint: where the weights were read.
        masks: boolean, True = kept.
        weights: a state dict of the trained network, with 0 where it has a mask of its own that prunes.
    """
    return HeldMask(
        seed, checkpoint, {layer: _held(mask, weights[weight_name(layer)]) for layer, mask in masks.items()}
    )


def _held(mask: Tensor, weight: Tensor) -> HeldLayer:
    nonzero = weight.cpu() != 0
    return HeldLayer(mask.numel(), int((~mask).sum()), int((nonzero & ~mask).sum()), int(nonzero.sum()))
