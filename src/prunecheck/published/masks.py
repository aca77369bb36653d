"""Masks in files: the zeros of ``pruned.pth.tar``, and beside it the masks themselves.

The file beside tells a pruned weight from one that happens to be 0. It names the SHA-256 of the file that
it belongs to, so that it is not taken for another one's.
"""

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.files import write_whole
from prunecheck.pruning.layers import Masks, prunable_shapes, weight_name
from prunecheck.pruning.tickets import Weights
from prunecheck.published.checkpoints import Content, file_hash, read_checkpoint, to_bytes

ENDING = ".pth.tar"


def masks_file(path: Path) -> Path:
    """Return where the masks of a pruned checkpoint lie: ``pruned_masks.pth.tar`` for ``pruned.pth.tar``."""
    return path.with_name(f"{path.name.removesuffix(ENDING)}_masks{ENDING}")


def masked(weights: Weights, masks: Masks) -> Weights:
    """Return weights with those that are not kept at 0."""
    pruned = dict(weights)
    for layer, mask in masks.items():
        pruned[weight_name(layer)] = weights[weight_name(layer)].masked_fill(~mask, 0)
    return pruned


def write_pruned(path: Path, content: Content, masks: Masks) -> None:
    """Write a pruned checkpoint and, first, its masks: whoever finds the checkpoint finds both."""
    pruned = to_bytes(content)
    masks_content = {"masks": dict(masks), "of": hashlib.sha256(pruned).hexdigest()}
    write_whole(masks_file(path), to_bytes(masks_content))
    write_whole(path, pruned)


def masks_of(path: Path, weights: Weights, model: nn.Module) -> tuple[Masks, bool]:
    """Return the masks of a pruned checkpoint.

    Args:
        path: of the checkpoint.
        weights: what was read from it.
        model: whose prunable layers are meant.

    Returns:
        Masks, True = kept, and whether they were stored; else they are where weights are not 0.

    Raises:
        InputError: the file of its masks is damaged.
    """
    layers = prunable_shapes(model)
    beside = masks_file(path)
    if beside.is_file():
        content = read_checkpoint(beside, "the masks in")
        if content.get("of") == file_hash(path):
            return _require_masks(content.get("masks"), layers, beside), True
    return {layer: weights[weight_name(layer)] != 0 for layer in layers}, False


def _require_masks(masks: object, layers: dict[str, tuple[int, ...]], path: Path) -> Masks:
    fits = isinstance(masks, dict) and set(masks) == set(layers)
    if fits and isinstance(masks, dict):
        fits = all(_is_mask(masks[layer], shape) for layer, shape in layers.items())
    if not isinstance(masks, dict) or not fits:
        raise InputError(
            f"{path} does not hold the masks of this network: remove it, or make it anew with LT_prune.py."
        )
    return {layer: masks[layer] for layer in layers}


def _is_mask(mask: object, shape: tuple[int, ...]) -> bool:
    return isinstance(mask, Tensor) and mask.dtype == torch.bool and tuple(mask.shape) == shape
