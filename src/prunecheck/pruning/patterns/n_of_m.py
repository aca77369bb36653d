"""The pattern ``N:M``: N of every M weights that stand beside each other along the inputs of a layer."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from prunecheck.errors import InputError, field_name
from prunecheck.pruning.layers import Masks, Scores, Shapes, shapes_of
from prunecheck.pruning.masks import GLOBAL, GLOBAL_CONVOLUTIONS, orderable, ratios_by_layer
from prunecheck.pruning.patterns.structure import (
    Allocation,
    Choice,
    Combine,
    Structure,
    Units,
    kept_dense,
    largest_of_rows,
)

TOLERANCE = 5e-4
"""By which a sparsity may be written otherwise than 1 - N/M: 0.667 for 1:3."""


@dataclass(frozen=True)
class NOfM(Structure):
    """N of every M weights are kept: of M input channels in a row, for each output and each place of the kernel.

    These are the groups of sparse tensor cores for 2:4 (Mishra et al., arXiv:2104.08378): a layer's weights as a
    matrix of outputs (times positions of the kernel) by input channels, cut into pieces of M. With an allocation by
    ratios every layer has an N of its own, from 0 to M, and N:M is their mean.
    """

    kept: int
    of: int

    @property
    def name(self) -> str:
        """The name."""
        return f"{self.kept}:{self.of}"

    @property
    def saves(self) -> str:
        """What it saves."""
        if (self.kept, self.of) == (2, 4):
            return (
                "sparse tensor cores (NVIDIA, from Ampere on) multiply with 2 of 4 weights at up to twice the speed "
                "once a layer is stored so (torch.sparse.to_sparse_semi_structured); under a mask alone dense kernels "
                "multiply by zeros, too"
            )
        return (
            f"no kernel of torch makes use of {self.name}: under the mask dense kernels multiply by zeros, too; "
            "kernels for this pattern may not"
        )

    @property
    def unit(self) -> str:
        """What a unit is."""
        return f"{self.name} groups"

    @property
    def counted(self) -> str:
        """What a table of units has a line for."""
        return "weights of"

    def pool_in_words(self, pool: str, kept: Tensor) -> str:
        """Return a layer, and how many of every M it keeps."""
        return f"{pool} ({kept.sum() / max(1, len(kept)):g}:{self.of})"

    @property
    def sparsity(self) -> float:
        """The share of weights that it removes."""
        return 1 - self.kept / self.of

    def kept_units(self, masks: Masks) -> Units:
        """Return the masks by groups, (groups, M)."""
        return {layer: self._grouped(mask) for layer, mask in masks.items()}

    def with_units(self, masks: Masks, kept: Units) -> Masks:
        """Return groups as masks."""
        return {layer: self._ungrouped(kept[layer], mask.shape) for layer, mask in masks.items()}

    def unit_scores(self, scores: Scores, combine: Combine) -> Units:
        """Return the scores by groups."""
        return {layer: self._grouped(orderable(layer, score)) for layer, score in scores.items()}

    def _grouped(self, tensor: Tensor) -> Tensor:
        return tensor.movedim(1, -1).reshape(-1, self.of)

    def _ungrouped(self, groups: Tensor, shape: torch.Size) -> Tensor:
        moved = (shape[0], *shape[2:], shape[1])
        return groups.view(moved).movedim(-1, 1).contiguous()

    def choose(
        self, scores: Scores, sparsity: float, allocation: Allocation, generator: torch.Generator, combine: Combine
    ) -> Choice:
        """Keep the N largest scores of every M."""
        shapes = shapes_of(scores)
        self.require_reachable(shapes, sparsity, allocation)
        units = self.unit_scores(scores, combine)
        kept, by_lot = {}, {}
        for layer, count in self.counts(shapes, sparsity, allocation).items():
            counts = torch.full((len(units[layer]), 1), count)
            kept[layer], by_lot[layer] = largest_of_rows(units[layer], counts, generator)
        return Choice(self.with_units(scores, kept), self.with_units(scores, by_lot))

    def counts(self, shapes: Shapes, sparsity: float, allocation: Allocation) -> dict[str, int]:
        """Return how many of every M each layer keeps.

        With ratios it is the whole number below a layer's ratio times M, and one more in the layers whose ratio is
        farthest above it, as long as the network keeps no more than N of M in all.
        """
        if allocation in (GLOBAL, GLOBAL_CONVOLUTIONS):
            return dict.fromkeys(shapes, self.kept)
        return self._divided(shapes, ratios_by_layer(shapes, sparsity, allocation))

    def _divided(self, shapes: Shapes, ratios: Mapping[str, float]) -> dict[str, int]:
        groups = {layer: math.prod(shape) // self.of for layer, shape in shapes.items()}
        wanted = {layer: round(ratios[layer] * self.of, 6) for layer in shapes}
        counts = {layer: math.floor(wanted[layer]) for layer in shapes}
        left = sum(groups.values()) * self.kept - sum(groups[layer] * counts[layer] for layer in shapes)
        for layer in sorted(shapes, key=lambda layer: counts[layer] - wanted[layer]):
            if counts[layer] < wanted[layer] and groups[layer] <= left:
                counts[layer] += 1
                left -= groups[layer]
        return counts

    def require(self, name: str, masks: Masks) -> None:
        """Raise :class:`InputError` unless masks keep N of every M weights."""
        self.require_reachable(shapes_of(masks), self.sparsity, GLOBAL)
        for layer, groups in self.kept_units(masks).items():
            if wrong := sorted(set(groups.sum(1).tolist()) - {self.kept}):
                raise InputError(
                    f"{name} keeps {wrong[0]} of {self.of} weights somewhere in layer {layer}, and {self.name} keeps "
                    f"{self.kept} of every {self.of}: leave {self.name} out, or give masks that have it."
                )

    def require_reachable(self, shapes: Shapes, sparsity: float, allocation: Allocation) -> None:
        """Raise :class:`InputError` unless input channels come in groups of M, and the sparsity is 1 - N/M."""
        if wrong := [layer for layer, shape in shapes.items() if shape[1] % self.of]:
            inputs = shapes[wrong[0]][1]
            raise InputError(
                f"the {inputs} input channel{'' if inputs == 1 else 's'} of layer {wrong[0]} cannot be divided into "
                f"groups of {self.of}, as {self.name} asks: {kept_dense(wrong)}.",
                field="keep_dense",
            )
        if abs(sparsity - self.sparsity) > TOLERANCE:
            raise InputError(
                f"{self.name} keeps {self.kept} of every {self.of} weights, a sparsity of {self.sparsity:.4g}, and not "
                f"{sparsity:g}: give {field_name('sparsity')} {self.sparsity:.4g}.",
                field="sparsity",
            )
        if allocation == GLOBAL_CONVOLUTIONS and (
            linear := [name for name, shape in shapes.items() if len(shape) != 4]
        ):
            raise InputError(
                f"the linear layers are kept whole, so that the network cannot have {self.name} everywhere: "
                f"{kept_dense(linear)}.",
                field="keep_dense",
            )
        self.counts(shapes, sparsity, allocation)
