"""How much two masks of one network have in common, beside what chance gives at the same keep ratios."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prunecheck.pruning.layers import Masks
from prunecheck.pruning.patterns import PLAIN, Structure


@dataclass(frozen=True)
class LayerOverlap:
    """Two masks of one layer.

    Attributes:
        total: weights of the layer.
        first: weights that the first mask keeps.
        second: weights that the second mask keeps.
        common: weights that both keep.
        groups: into how many pools of one size they fall, of each of which either mask keeps as many: one, or for N:M
            the groups of M.
    """

    total: int
    first: int
    second: int
    common: int
    groups: int = 1

    @property
    def expected(self) -> float:
        """Mean of ``common`` if either mask were drawn at random within each group: first x second / total."""
        return self.first * self.second / self.total

    @property
    def variance(self) -> float:
        """Variance of ``common`` if either mask were drawn at random: that of a hypergeometric variable per group."""
        if self.total < 2 * self.groups:
            return 0.0
        share = self.second / self.total
        return self.first * share * (1 - share) * (self.total - self.first) / (self.total - self.groups)

    @property
    def most(self) -> int:
        """The largest ``common`` that the two counts allow."""
        return min(self.first, self.second)


@dataclass(frozen=True)
class Agreement:
    """How much two masks, or several pairs of masks, have in common.

    All are shares of the kept weights in [0, 1], twice what is common by what the two masks keep
    (the Dice coefficient): 1 for equal masks, and whatever both keep of what each keeps if they keep
    equally many. The denominator does not depend on which weights are kept, so that what chance
    gives is exact.

    Attributes:
        observed: what the masks have in common.
        chance: what they would have in common on average if the kept weights of each layer were
            drawn at random, as many as before.
        std: standard deviation of that, for the mean over the pairs; two pairs that share a
            mask are uncorrelated by chance.
        most: what they would have in common if each layer's smaller mask were a part of its larger
            one: less than 1 where the masks keep unequally many of a layer.
    """

    observed: float
    chance: float
    std: float
    most: float


def overlaps(first: Masks, second: Masks, structure: Structure = PLAIN) -> dict[str, LayerOverlap]:
    """Compare two masks of one network: which weights both keep, by layer, or which units of a pattern, by pool.

    Args:
        first: boolean, True = kept.
        second: of the same layers and shapes, on the same device.
        structure: the pattern that both have.
    """
    others = structure.kept_units(second)
    return {
        pool: LayerOverlap(
            kept.numel(), int(kept.sum()), int(others[pool].sum()), int((kept & others[pool]).sum()), len(kept)
        )
        for pool, kept in structure.kept_units(first).items()
    }


def agreement(pairs: Sequence[Mapping[str, LayerOverlap]]) -> Agreement | None:
    """Return the agreement of pairs of masks, averaged over the pairs.

    Args:
        pairs: the overlaps by layer of each pair; one layer alone makes the agreement of that layer.

    Returns:
        None if there is no pair in which anything is kept.
    """
    found = [_of_pair(list(pair.values())) for pair in pairs]
    counted = [pair for pair in found if pair]
    if not counted:
        return None
    return Agreement(
        observed=math.fsum(pair.observed for pair in counted) / len(counted),
        chance=math.fsum(pair.chance for pair in counted) / len(counted),
        std=math.hypot(*(pair.std for pair in counted)) / len(counted),
        most=math.fsum(pair.most for pair in counted) / len(counted),
    )


def _of_pair(layers: Sequence[LayerOverlap]) -> Agreement | None:
    kept = sum(layer.first + layer.second for layer in layers)
    if not kept:
        return None
    return Agreement(
        observed=2 * sum(layer.common for layer in layers) / kept,
        chance=2 * math.fsum(layer.expected for layer in layers) / kept,
        std=2 * math.sqrt(math.fsum(layer.variance for layer in layers)) / kept,
        most=2 * sum(layer.most for layer in layers) / kept,
    )
