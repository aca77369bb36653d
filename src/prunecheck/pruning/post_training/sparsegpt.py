"""SparseGPT: weights are removed column by column, and the columns that are left make up for what is lost."""

import torch
from torch import Tensor

from prunecheck.errors import InputError
from prunecheck.pruning.patterns.n_of_m import NOfM
from prunecheck.pruning.post_training.choosing import Target

BLOCK = 128
"""Columns whose masks are chosen together, as published."""

DAMPING = 0.01
"""What is added to the diagonal of the Hessian, in multiples of its mean, as published."""


def sparsegpt(weight: Tensor, products: Tensor, target: Target) -> tuple[Tensor, Tensor]:
    """Remove weights so that the layer's outputs change least, and adjust the others to it.

    Frantar and Alistarh, arXiv:2301.00774, algorithm 1. With inputs X (features, tokens), the Hessian of each row's
    squared error is H = X X^T + lambda I, lambda 1 % of the mean of its diagonal, and U is the upper Cholesky factor of
    its inverse, H^-1 = U^T U. Columns are visited in order. In each block of 128 those weights are removed whose

        w_ij^2 / U_jj^2

    is least, over all rows of the block; with N:M, M - N of every M, chosen when their first column is reached.
    Removing w_ij changes the columns k >= j of its row by -w_ij / U_jj * U_jk. Features that are always 0 are given
    H_jj = 1 and weights of 0.

    Args:
        weight: float32 (outputs, inputs).
        products: mean products of the layer's inputs, float32 (inputs, inputs); its scale does not matter.
        target: how many weights stay.

    Returns:
        The weights afterwards, 0 where they are removed, float32, and the mask, boolean; both (outputs, inputs).

    Raises:
        InputError: the inputs are not finite, or their Hessian cannot be inverted.
    """
    weight = weight.clone()
    is_dead = products.diagonal() == 0
    weight[:, is_dead] = 0
    factor = _factor_of_inverse(products, is_dead)
    mask = torch.ones_like(weight, dtype=torch.bool)
    outputs, inputs = weight.shape
    width = _width_of_blocks(target)
    for first in range(0, inputs, width):
        last = min(first + width, inputs)
        block, within = weight[:, first:last], factor[first:last, first:last]
        kept = target.kept_of(outputs * last) - target.kept_of(outputs * first)
        errors, mask[:, first:last] = _prune_block(block, within, target, kept)
        weight[:, last:] -= errors @ factor[first:last, last:]
    return weight, mask


def _factor_of_inverse(products: Tensor, is_dead: Tensor) -> Tensor:
    """Return the upper Cholesky factor of the inverse of the damped Hessian."""
    hessian = products.clone()
    diagonal = hessian.diagonal()
    damping = DAMPING * diagonal.mean()  # before the next line, so that it follows the scale of the inputs
    diagonal[is_dead] = 1
    diagonal += damping
    try:
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
        factor: Tensor = torch.linalg.cholesky(inverse, upper=True)
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        raise InputError(
            "the Hessian of this layer's inputs cannot be inverted, as where the network's activations are not finite "
            "or of very different sizes: give the network in float32, or choose a method without it, such as wanda."
        ) from error
    return factor


def _width_of_blocks(target: Target) -> int:
    """Return how many columns are a block: 128, or the nearest number below that is made of whole groups."""
    of = target.structure.of if isinstance(target.structure, NOfM) else 1
    return max(of, BLOCK - BLOCK % of)


def _prune_block(weight: Tensor, factor: Tensor, target: Target, kept: int) -> tuple[Tensor, Tensor]:
    """Remove weights of a block of columns, in place.

    Args:
        weight: of the block, (outputs, columns).
        factor: the part of the Cholesky factor for its columns.
        target: the pattern.
        kept: how many weights of the block stay, if it has none.

    Returns:
        What each removal cost, in multiples of the factor's row, by which the columns behind the block are changed, and
        the mask of the block.
    """
    errors = torch.zeros_like(weight)
    group = target.structure.of if isinstance(target.structure, NOfM) else weight.shape[1]
    mask = torch.ones_like(weight, dtype=torch.bool)
    for column in range(weight.shape[1]):
        if column % group == 0:
            chosen = slice(column, column + group)
            scores = (weight[:, chosen] / factor.diagonal()[chosen]).square()
            mask[:, chosen] = target.keep(scores, "layer", kept)
        removed = weight[:, column].masked_fill(mask[:, column], 0)
        errors[:, column] = removed / factor[column, column]
        weight[:, column:] -= errors[:, column, None] * factor[column, column:]
    weight.masked_fill_(~mask, 0)
    return errors, mask
