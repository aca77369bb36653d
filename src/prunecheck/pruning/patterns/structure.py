"""What a pattern is in one network: which weights are kept together, and which of these can stand for each other."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from prunecheck.errors import InputError, field_name
from prunecheck.pruning.allocations import exact_ratio
from prunecheck.pruning.layers import Masks, Scores, Shapes
from prunecheck.pruning.masks import allocate, drawn_by_lot, thresholds

UNSTRUCTURED = "unstructured"

MOST_NAMED = 4
"""So many layers are named in an error."""

Combine = Literal["mean", "first"]
"""How the scores of weights that are kept together make one: their mean, or that of the first of them."""

Units = dict[str, Tensor]
"""Something of each unit by the name of its pool, (pools of this name, units of a pool)."""

Allocation = str | Mapping[str, float]


@dataclass(frozen=True)
class Choice:
    """Masks, and what of them was drawn by lot.

    Attributes:
        masks: boolean, by layer, True = kept.
        by_lot: the kept weights that were drawn among others of the same score, likewise.
    """

    masks: Masks
    by_lot: Masks


class Structure(ABC):
    """A pattern in one network.

    A unit is a set of weights that are kept or removed together; a pool is a set of units that can stand for each
    other: a mask is rearranged by other units of each pool being kept, as many as before.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """The pattern's name, by which users ask for it."""

    @property
    @abstractmethod
    def saves(self) -> str:
        """What such a mask saves, in a sentence without a full stop."""

    @property
    @abstractmethod
    def unit(self) -> str:
        """What a unit is, in the plural."""

    @property
    def counted(self) -> str:
        """What a table of units has a line for, in its head."""
        return f"{self.unit} of"

    @property
    def can_be_cut(self) -> bool:
        """Whether a smaller network of dense layers computes the same."""
        return False

    def pool_in_words(self, pool: str, kept: Tensor) -> str:
        """Return the name of a pool for a table, given which of its units are kept."""
        return pool

    @abstractmethod
    def kept_units(self, masks: Masks) -> Units:
        """Return, boolean, which units masks keep."""

    @abstractmethod
    def with_units(self, masks: Masks, kept: Units) -> Masks:
        """Return masks that keep other units.

        Args:
            masks: for their shapes and devices.
            kept: boolean, see :meth:`kept_units`.
        """

    @abstractmethod
    def choose(
        self, scores: Scores, sparsity: float, allocation: Allocation, generator: torch.Generator, combine: Combine
    ) -> Choice:
        """Keep the units with the largest scores.

        Args:
            scores: one per prunable weight, with an order.
            sparsity: share of all prunable weights to remove, in [0, 1).
            allocation: see :func:`prunecheck.pruning.allocate`.
            generator: draws among units of equal scores, on the CPU.
            combine: how the scores of a unit's weights make one.

        Raises:
            InputError: see :meth:`require_reachable`.
        """

    @abstractmethod
    def require_reachable(self, shapes: Shapes, sparsity: float, allocation: Allocation) -> None:
        """Raise :class:`InputError` if layers of these shapes cannot have the pattern, or not at this sparsity."""

    def choose_like(self, scores: Scores, masks: Masks, generator: torch.Generator, combine: Combine) -> Choice:
        """Keep as many units of each pool as other masks do: those with the largest scores."""
        units = self.unit_scores(scores, combine)
        kept, by_lot = {}, {}
        for pool, counted in self.kept_units(masks).items():
            kept[pool], by_lot[pool] = largest_of_rows(units[pool], counted.sum(1, keepdim=True), generator)
        return Choice(self.with_units(masks, kept), self.with_units(masks, by_lot))

    @abstractmethod
    def unit_scores(self, scores: Scores, combine: Combine) -> Units:
        """Return a score for each unit."""

    def rearranged(self, masks: Masks, generator: torch.Generator) -> Masks:
        """Return masks that keep other units of each pool, as many as before: the same ones in a random order."""
        moved = {}
        for pool, kept in self.kept_units(masks).items():
            moved[pool] = kept.gather(1, random_orders(kept.shape, generator).to(kept.device))
        return self.with_units(masks, moved)

    def redrawn(self, masks: Masks, generator: torch.Generator) -> Masks:
        """Return masks that keep as many units of each pool, drawn without a look at which ones these keep."""
        drawn = {}
        for pool, kept in self.kept_units(masks).items():
            ranks = torch.rand(kept.shape, generator=generator, dtype=torch.float64).argsort(1).argsort(1)
            drawn[pool] = ranks.to(kept.device) < kept.sum(1, keepdim=True)
        return self.with_units(masks, drawn)

    def require(self, name: str, masks: Masks) -> None:
        """Raise :class:`InputError` if masks do not have the pattern.

        Args:
            name: of what made them, for the sentence.
            masks: boolean, by layer.
        """
        again = self.with_units(masks, self.kept_units(masks))
        for layer, mask in masks.items():
            if not torch.equal(again[layer], mask):
                raise InputError(
                    f"{name} removes no whole {self.unit} of layer {layer}, as the pattern {self.name} does: leave "
                    f"{self.name} out, or give masks that have it."
                )

    def described(self) -> dict[str, Any]:
        """Return what another process makes the structure of again, as JSON can hold it."""
        return {"pattern": self.name}


@dataclass(frozen=True)
class Unstructured(Structure):
    """Each weight by itself."""

    @property
    def name(self) -> str:
        """The name."""
        return UNSTRUCTURED

    @property
    def saves(self) -> str:
        """What it saves."""
        return (
            "in torch a mask saves neither time nor memory, since dense kernels multiply by zeros, too; prunecheck's "
            "own kernels train with the kept weights alone on the CPU, and files shrink where zeros are not written"
        )

    @property
    def unit(self) -> str:
        """What a unit is."""
        return "weights"

    def kept_units(self, masks: Masks) -> Units:
        """Return the masks, each as one pool."""
        return {layer: mask.reshape(1, -1) for layer, mask in masks.items()}

    def with_units(self, masks: Masks, kept: Units) -> Masks:
        """Return pools as masks."""
        return {layer: kept[layer].view(mask.shape) for layer, mask in masks.items()}

    def unit_scores(self, scores: Scores, combine: Combine) -> Units:
        """Return the scores."""
        return {layer: score.reshape(1, -1) for layer, score in scores.items()}

    def choose(
        self, scores: Scores, sparsity: float, allocation: Allocation, generator: torch.Generator, combine: Combine
    ) -> Choice:
        """Keep the weights with the largest scores."""
        masks = allocate(scores, sparsity, allocation, generator)
        return Choice(masks, drawn_by_lot(scores, masks, allocation))

    def choose_like(self, scores: Scores, masks: Masks, generator: torch.Generator, combine: Combine) -> Choice:
        """Keep as many weights of each layer: those with the largest scores."""
        ratios = {layer: exact_ratio(int(mask.sum()), mask.numel()) for layer, mask in masks.items()}
        return self.choose(scores, 0.0, ratios, generator, combine)

    def require_reachable(self, shapes: Shapes, sparsity: float, allocation: Allocation) -> None:
        """Raise :class:`InputError` if the allocation cannot reach the sparsity."""
        list(thresholds(shapes, sparsity, allocation))


PLAIN = Unstructured()


def random_orders(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Return a random order of the columns for each row, int64; one row alone is a plain permutation."""
    rows, columns = shape
    if rows == 1:
        return torch.randperm(columns, generator=generator).view(1, -1)
    return torch.rand(rows, columns, generator=generator, dtype=torch.float64).argsort(1)


def largest_of_rows(scores: Tensor, counts: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Keep the largest scores of each row.

    Args:
        scores: with an order, (rows, columns).
        counts: how many of each row, int64 (rows, 1).
        generator: draws among equal scores.

    Returns:
        Which are kept, and which of these were drawn among others of the same score; boolean.
    """
    orders = random_orders(scores.shape, generator).to(scores.device)
    ranks = scores.gather(1, orders).argsort(dim=1, descending=True, stable=True).argsort(1)
    kept = torch.empty_like(scores, dtype=torch.bool).scatter_(1, orders, ranks < counts.to(scores.device))
    lowest = torch.finfo(torch.float64).min
    removed = scores.to(torch.float64).masked_fill(kept, -torch.inf).amax(1, keepdim=True)
    is_cut = ~kept.all(1, keepdim=True)
    values = scores.to(torch.float64).clamp(min=lowest)
    return kept, kept & is_cut & (values == removed.clamp(min=lowest))


def kept_dense(layers: Sequence[str]) -> str:
    """Return what a user can do about layers that cannot have a pattern, for the end of an error."""
    others = f" and {len(layers) - MOST_NAMED} more" if len(layers) > MOST_NAMED else ""
    return f"leave such layers whole with {field_name('keep_dense')} {','.join(layers[:MOST_NAMED])}{others}"


def combined(scores: Tensor, combine: Combine) -> Tensor:
    """Return one score for those of each unit, the last dimension, in float64 where they are averaged."""
    return scores[..., 0] if combine == "first" else scores.to(torch.float64).mean(-1)
