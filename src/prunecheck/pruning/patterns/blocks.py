"""The pattern ``blocks-RxC``: blocks of R outputs by C inputs, of a layer's weights as a matrix."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from prunecheck.errors import InputError
from prunecheck.pruning.layers import Masks, Scores, Shapes, shapes_of
from prunecheck.pruning.masks import keep_largest, orderable, thresholds
from prunecheck.pruning.patterns.structure import (
    Allocation,
    Choice,
    Combine,
    Structure,
    Units,
    combined,
    kept_dense,
)


@dataclass(frozen=True)
class Blocks(Structure):
    """Blocks of a layer's weights are kept or removed whole.

    Weights are a matrix of outputs by (inputs x height x width), as ``weight.flatten(1)`` has it, cut into tiles.
    """

    rows: int
    columns: int

    @property
    def name(self) -> str:
        """The name."""
        return f"blocks-{self.rows}x{self.columns}"

    @property
    def saves(self) -> str:
        """What it saves."""
        return (
            "under the mask dense kernels multiply by zeros, too; kernels for block-sparse matrices (torch.sparse_bsr) "
            "do not"
        )

    @property
    def unit(self) -> str:
        """What a unit is."""
        return f"blocks of {self.rows}x{self.columns}"

    def kept_units(self, masks: Masks) -> Units:
        """Return which blocks keep any weight, one pool a layer."""
        return {layer: self._tiled(mask).any(-1).view(1, -1) for layer, mask in masks.items()}

    def with_units(self, masks: Masks, kept: Units) -> Masks:
        """Return blocks as masks."""
        return {layer: self._spread(kept[layer], mask.shape) for layer, mask in masks.items()}

    def unit_scores(self, scores: Scores, combine: Combine) -> Units:
        """Return the scores of each block made one."""
        return {layer: combined(self._tiled(score), combine).view(1, -1) for layer, score in scores.items()}

    def _tiled(self, tensor: Tensor) -> Tensor:
        """Return (blocks, weights of a block)."""
        matrix = tensor.flatten(1)
        across, down = matrix.shape[1] // self.columns, matrix.shape[0] // self.rows
        tiles = matrix.reshape(down, self.rows, across, self.columns).transpose(1, 2)
        return tiles.reshape(down * across, self.rows * self.columns)

    def _spread(self, kept: Tensor, shape: torch.Size) -> Tensor:
        down = shape[0] // self.rows
        tiles = kept.view(down, 1, -1, 1)
        return tiles.expand(down, self.rows, tiles.shape[2], self.columns).reshape(shape)

    def choose(
        self, scores: Scores, sparsity: float, allocation: Allocation, generator: torch.Generator, combine: Combine
    ) -> Choice:
        """Keep the blocks with the largest scores."""
        shapes = shapes_of(scores)
        self.require_reachable(shapes, sparsity, allocation)
        units = self.unit_scores({layer: orderable(layer, score) for layer, score in scores.items()}, combine)
        kept: Units = {}
        by_lot: Units = {}
        for layers, count in thresholds(shapes, sparsity, allocation):
            some = {layer: units[layer] for layer in layers}
            chosen = keep_largest(some, round(count / (self.rows * self.columns)), generator)
            removed = torch.cat([some[layer][~chosen[layer]] for layer in layers])
            for layer in layers:
                is_tied = some[layer] == removed.max() if len(removed) else torch.zeros_like(chosen[layer])
                kept[layer], by_lot[layer] = chosen[layer], chosen[layer] & is_tied
        return Choice(self.with_units(scores, kept), self.with_units(scores, by_lot))

    def require_reachable(self, shapes: Shapes, sparsity: float, allocation: Allocation) -> None:
        """Raise :class:`InputError` unless every layer is made of such blocks."""
        wrong = [
            layer for layer, (outputs, *rest) in shapes.items() if outputs % self.rows or math.prod(rest) % self.columns
        ]
        if wrong:
            outputs, *rest = shapes[wrong[0]]
            raise InputError(
                f"the weights of layer {wrong[0]}, {outputs} outputs by {math.prod(rest)} inputs, cannot be divided "
                f"into {self.unit}: {kept_dense(wrong)}.",
                field="keep_dense",
            )
        list(thresholds(shapes, sparsity, allocation))
