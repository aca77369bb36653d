"""Which weights of a layer are kept: as many as a sparsity says, in the layer, in each row or of every M."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.pruning.masks import keep_largest
from prunecheck.pruning.patterns import PLAIN, UNSTRUCTURED, Structure, find_pattern
from prunecheck.pruning.patterns.n_of_m import NOfM
from prunecheck.pruning.patterns.structure import largest_of_rows

Within = Literal["layer", "row"]
"""Whose scores are compared with each other's: those of a layer, or those of an output, which are a row."""


@dataclass(frozen=True)
class Target:
    """How many weights of a layer stay, and in which pattern.

    Attributes:
        sparsity: share of the layer's weights that is removed, in [0, 1).
        structure: unstructured or N:M.
        generator: draws among equal scores, on the CPU.
    """

    sparsity: float
    structure: Structure
    generator: torch.Generator

    def kept_of(self, weights: int) -> int:
        """Return how many of so many weights that are compared with each other stay: the nearest whole number."""
        return round(weights * (1 - self.sparsity))

    def keep(self, scores: Tensor, within: Within, kept: int | None = None) -> Tensor:
        """Keep the largest scores.

        Args:
            scores: of each weight, (outputs, inputs).
            within: whose scores are compared with each other's; with N:M those of M neighbouring inputs always are.
            kept: how many of those that are compared stay; None for what the sparsity says. Not with N:M.

        Returns:
            A boolean mask, (outputs, inputs), True = kept.
        """
        scores = scores.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
        if isinstance(self.structure, NOfM):
            groups = scores.reshape(-1, self.structure.of)
            return largest_of_each(groups, self.structure.kept, self.generator).view(scores.shape)
        if within == "row":
            return largest_of_each(scores, self.kept_of(scores.shape[1]) if kept is None else kept, self.generator)
        return keep_largest({"": scores}, self.kept_of(scores.numel()) if kept is None else kept, self.generator)[""]


def largest_of_each(scores: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Keep the ``count`` largest scores of each row; which of those equal to the least one kept is drawn.

    Rows in which nothing is to be drawn, nearly all of them, are done at once and without a random number.

    Args:
        scores: with an order, (rows, columns).
        count: from 0 to the number of columns.
        generator: draws, on the CPU.

    Returns:
        A boolean mask, (rows, columns).
    """
    columns = scores.shape[1]
    if count in (0, columns):
        return torch.full_like(scores, count > 0, dtype=torch.bool)
    least = scores.kthvalue(columns - count + 1, dim=1, keepdim=True).values
    kept = scores >= least
    undecided = (kept.sum(1) > count).nonzero().flatten()
    if len(undecided):
        counts = torch.full((len(undecided), 1), count)
        kept[undecided] = largest_of_rows(scores[undecided], counts, generator)[0]
    return kept


def structure_of(pattern: str | Structure | None) -> Structure:
    """Return what a pattern is in linear layers.

    Args:
        pattern: ``unstructured``, ``N:M``, or such a structure; None for unstructured.

    Raises:
        InputError: there is no such pattern, or it is another kind.
    """
    if pattern is None:
        return PLAIN
    name = pattern if isinstance(pattern, str) else pattern.name
    found = find_pattern(name)
    if not found.depends_on_network:
        structure = found.fit(nn.Identity(), ())
        if structure == PLAIN or isinstance(structure, NOfM):
            return structure
    raise InputError(
        f"pruning after training has the patterns {UNSTRUCTURED} and N:M, and not {name}: choose one of these, such as "
        "2:4."
    )
