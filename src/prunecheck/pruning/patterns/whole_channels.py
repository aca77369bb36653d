"""The pattern ``channels``: whole output channels, with what leaves with them."""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import Tensor

from prunecheck.errors import InputError, field_name
from prunecheck.pruning.channels.units import NONE, ChannelUnits
from prunecheck.pruning.layers import Masks, Scores, Shapes
from prunecheck.pruning.masks import GLOBAL, GLOBAL_CONVOLUTIONS, kept_of_convolutions, orderable, ratios_by_layer
from prunecheck.pruning.patterns.structure import (
    Allocation,
    Choice,
    Combine,
    Structure,
    Units,
    largest_of_rows,
    random_orders,
)

CHANNELS = "channels"


@dataclass(frozen=True)
class Channels(Structure):
    """Whole channels are kept or removed, in all layers at once that they go through.

    A weight is kept if the channel that it begins at and the one that it ends at are: the masked network computes
    what one without these channels does. A channel is worth what its rows of weights are, in all layers.
    """

    units: ChannelUnits

    @property
    def name(self) -> str:
        """The name."""
        return CHANNELS

    @property
    def saves(self) -> str:
        """What it saves."""
        return (
            "a network without these channels computes the same and costs no more than that: the formats cut-program, "
            "cut-onnx and cut-state-dict of `prunecheck export` write it; under the mask alone dense kernels multiply "
            "by zeros, too"
        )

    @property
    def unit(self) -> str:
        """What a unit is."""
        return "channels"

    @property
    def can_be_cut(self) -> bool:
        """Whether a smaller network computes the same: yes."""
        return True

    def pool_in_words(self, pool: str, kept: Tensor) -> str:
        """Return the first of the layers whose channels these are, and how many others there are."""
        first, *others = pool.split("+")
        return f"{first} and {len(others)} more" if len(others) > 1 else pool

    def described(self) -> dict[str, Any]:
        """Return the units, too, which nothing but the network tells."""
        units = self.units
        tensors = {"rows": units.rows, "columns": units.columns, "pools": units.pools}
        # Pairs, since the order matters, and a file's description is sorted.
        lists = {kind: [[name, one.tolist()] for name, one in named.items()] for kind, named in tensors.items()}
        return super().described() | {"channels": lists}

    def kept_units(self, masks: Masks) -> Units:
        """Return which units have a row of which any weight is kept."""
        kept = torch.zeros(self._count + 1, dtype=torch.bool)
        for layer, rows in self.units.rows.items():
            kept[rows[masks[layer].flatten(1).any(1).cpu()]] = True
        return {pool: kept[units].view(1, -1) for pool, units in self.units.pools.items()}

    def with_units(self, masks: Masks, kept: Units) -> Masks:
        """Return units as masks: a weight is kept if both of its channels are."""
        flags = self._flags(kept)
        found = {}
        for layer, mask in masks.items():
            rows, columns = flags[self.units.rows[layer]], flags[self.units.columns[layer]]
            both = (rows.view(-1, 1) & columns).view(*mask.shape[:2], *(1 for _ in mask.shape[2:]))
            device = "cpu" if mask.is_meta else mask.device
            found[layer] = both.expand(mask.shape).contiguous().to(device)
        return found

    def unit_scores(self, scores: Scores, combine: Combine) -> Units:
        """Return the mean score of the weights in a unit's rows, or that of the first of them."""
        values = {layer: orderable(layer, score).flatten(1).cpu().to(torch.float64) for layer, score in scores.items()}
        found = self._first_of_rows(values) if combine == "first" else self._mean_of_rows(values)
        return {pool: found[units].view(1, -1) for pool, units in self.units.pools.items()}

    def _mean_of_rows(self, values: Scores) -> Tensor:
        total, count = torch.zeros(2, self._count + 1, dtype=torch.float64)
        for layer, rows in self.units.rows.items():
            places = rows % (self._count + 1)  # the last stands for what is no unit
            total.index_add_(0, places, values[layer].sum(1))
            count.index_add_(0, places, torch.full((len(rows),), values[layer].shape[1], dtype=torch.float64))
        mean: Tensor = total / count
        return mean

    def _first_of_rows(self, values: Scores) -> Tensor:
        found = numpy.zeros(self._count + 1)
        for layer, rows in reversed(list(self.units.rows.items())):
            found[rows.numpy()[::-1]] = values[layer][:, 0].numpy()[::-1]  # of equal places the last is taken
        return torch.from_numpy(found)

    @property
    def _count(self) -> int:
        return self.units.count

    def _flags(self, kept: Units) -> Tensor:
        """Return, per unit, whether it is kept; the last, which :data:`NONE` finds, is what always stays."""
        flags = torch.ones(self._count + 1, dtype=torch.bool)
        for pool, units in self.units.pools.items():
            flags[units] = kept[pool].view(-1).cpu()
        assert NONE == -1
        return flags

    def kept_weights(self, kept: Units) -> int:
        """Return how many weights are left with these units."""
        flags = self._flags(kept)
        return sum(
            int(flags[self.units.rows[layer]].sum())
            * int(flags[self.units.columns[layer]].sum())
            * math.prod(shape[2:])
            for layer, shape in self.units.shapes.items()
        )

    def choose(
        self, scores: Scores, sparsity: float, allocation: Allocation, generator: torch.Generator, combine: Combine
    ) -> Choice:
        """Keep the channels with the largest scores, so many that the weights left come nearest to the sparsity."""
        self.require_reachable(self.units.shapes, sparsity, allocation)
        units = self.unit_scores(scores, combine)
        if isinstance(allocation, str) and allocation in (GLOBAL, GLOBAL_CONVOLUTIONS):
            kept, by_lot = self._of_all(units, sparsity, allocation, generator)
        else:
            kept, by_lot = {}, {}
            for pool, count in self.counts(sparsity, allocation).items():
                kept[pool], by_lot[pool] = largest_of_rows(units[pool], torch.tensor([[count]]), generator)
        return Choice(self.with_units(scores, kept), self._drawn(scores, kept, by_lot))

    def _drawn(self, scores: Scores, kept: Units, by_lot: Units) -> Masks:
        """Return the kept weights in rows of channels that were drawn by lot."""
        masks, others = self.with_units(scores, kept), {pool: kept[pool] & ~by_lot[pool] for pool in kept}
        flags = self._flags(others)
        return {
            layer: mask & ~flags[self.units.rows[layer]].to(mask.device).view(-1, *(1 for _ in mask.shape[1:]))
            for layer, mask in masks.items()
        }

    def _of_all(
        self, units: Units, sparsity: float, allocation: str, generator: torch.Generator
    ) -> tuple[Units, Units]:
        """Compare the channels of all layers."""
        free = [pool for pool in units if allocation == GLOBAL or not self._is_linear(pool)]
        always = {pool: torch.ones_like(score, dtype=torch.bool) for pool, score in units.items() if pool not in free}
        joined = torch.cat([units[pool] for pool in free], dim=1)
        orders = random_orders(joined.shape, generator)
        order = orders.gather(1, joined.gather(1, orders).argsort(dim=1, descending=True, stable=True))
        sizes = [units[pool].shape[1] for pool in free]

        def first(count: int) -> Units:
            flags = torch.zeros_like(joined, dtype=torch.bool).scatter_(1, order[:, :count], True)
            return always | dict(zip(free, torch.split(flags, sizes, dim=1), strict=True))

        count = _nearest(sum(sizes), self._goal(sparsity), lambda count: self.kept_weights(first(count)))
        removed = joined.gather(1, order[:, count:])
        tied = joined == removed.max() if removed.numel() else torch.zeros_like(joined, dtype=torch.bool)
        chosen = first(count)
        drawn = dict(zip(free, torch.split(tied, sizes, dim=1), strict=True))
        return chosen, {pool: kept & drawn.get(pool, torch.zeros_like(kept)) for pool, kept in chosen.items()}

    def _is_linear(self, pool: str) -> bool:
        units = self.units
        members = units.pools[pool]
        return any(
            bool(torch.isin(rows, members).any()) and len(units.shapes[layer]) == 2
            for layer, rows in units.rows.items()
        )

    def _goal(self, sparsity: float) -> int:
        return round(self._total * (1 - sparsity))

    @property
    def _total(self) -> int:
        return sum(math.prod(shape) for shape in self.units.shapes.values())

    def counts(self, sparsity: float, allocation: Allocation) -> dict[str, int]:
        """Return how many channels of each pool an allocation by ratios keeps, at least one.

        A weight is left if both of its channels are, so that the shares of channels are in proportion to the roots of
        the shares of weights: those of the layers whose output channels they are, averaged over their weights.
        One factor for all leaves the weights that the sparsity asks for, as nearly as whole channels can.
        """
        ratios = ratios_by_layer(self.units.shapes, sparsity, allocation)
        shares = {pool: math.sqrt(self._mean_ratio(units, ratios)) for pool, units in self.units.pools.items()}

        def scaled(factor: float) -> dict[str, int]:
            sizes = {pool: len(units) for pool, units in self.units.pools.items()}
            return {pool: min(size, max(1, round(factor * shares[pool] * size))) for pool, size in sizes.items()}

        return self._fill(scaled, sorted(self._steps(shares)), self._goal(sparsity))

    def _steps(self, shares: Mapping[str, float]) -> set[float]:
        """Return the factors at which a pool keeps one channel more, and 0."""
        return {0.0} | {
            (count + 0.5) / (share * len(self.units.pools[pool])) * (1 + 1e-9)
            for pool, share in shares.items()
            if share > 0
            for count in range(1, len(self.units.pools[pool]))
        }

    def _fill(self, scaled: Callable[[float], dict[str, int]], steps: list[float], goal: int) -> dict[str, int]:
        def weights(index: int) -> int:
            return self.kept_weights(self._first_of_pools(scaled(steps[index])))

        return scaled(steps[_nearest(len(steps) - 1, goal, weights)])

    def _first_of_pools(self, counts: Mapping[str, int]) -> Units:
        """Return so many units of each pool, whichever: those of a pool leave equally many weights."""
        return {pool: (torch.arange(len(units)) < counts[pool]).view(1, -1) for pool, units in self.units.pools.items()}

    def _mean_ratio(self, members: Tensor, ratios: Mapping[str, float]) -> float:
        sizes = {
            layer: int(torch.isin(rows, members).sum()) * math.prod(self.units.shapes[layer][1:])
            for layer, rows in self.units.rows.items()
        }
        return sum(size * ratios[layer] for layer, size in sizes.items()) / sum(sizes.values())

    def require_reachable(self, shapes: Shapes, sparsity: float, allocation: Allocation) -> None:
        """Raise :class:`InputError` if more is left, with one channel of each kind, than the sparsity asks for."""
        if allocation == GLOBAL_CONVOLUTIONS:
            kept_of_convolutions(shapes, sparsity)
        elif allocation != GLOBAL:
            ratios_by_layer(shapes, sparsity, allocation)
        least = self._least
        if self._goal(sparsity) < least:
            highest = math.floor((1 - least / self._total) * 1e4) / 1e4
            raise InputError(
                f"sparsity {sparsity:g} cannot be reached by removing channels, for with one of each kind that is left "
                f"the network has {least:,} of {self._total:,} weights: give {field_name('sparsity')} {highest:g} or "
                "less.",
                field="sparsity",
            )

    @functools.cached_property
    def _least(self) -> int:
        return self.kept_weights(self._first_of_pools(dict.fromkeys(self.units.pools, 1)))


def _nearest(most: int, goal: int, weights: Callable[[int], int]) -> int:
    """Return the number from 0 to ``most`` whose weights, which grow with it, come nearest to the goal."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if weights(middle) <= goal else (low, middle - 1)
    if low < most and weights(low + 1) - goal < goal - weights(low):
        return low + 1
    return low
