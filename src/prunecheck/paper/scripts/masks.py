"""Networks and masks in files: of any tool's checkpoint, or the zeros of ``pruned.pth.tar`` with masks beside it.

The file beside tells a pruned weight from one that happens to be 0. It names the SHA-256 of the file that
it belongs to, so that it is not taken for another one's.
"""

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.io import atomic_write
from prunecheck.paper.scripts.checkpoints import file_hash, to_bytes
from prunecheck.pruning.checkpoint_files import Content, read_checkpoint
from prunecheck.pruning.checkpoint_mismatch import listed
from prunecheck.pruning.foreign_checkpoints import ForeignCheckpoint, fit_checkpoint
from prunecheck.pruning.layers import Masks, prunable_shapes, weight_name
from prunecheck.pruning.tickets import Weights

ENDING = ".pth.tar"

CHOICE = "the --arch, --depth and --dataset"
"""What chooses the network that a checkpoint has to fit."""

USUAL_PLACES = ("", "state_dict.")
"""Where the published files hold a network, which nobody needs to be told."""


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
    atomic_write(masks_file(path), to_bytes(masks_content))
    atomic_write(path, pruned)


def network_in(path: Path, content: Content, model: nn.Module, name: str) -> ForeignCheckpoint:
    """Return what a checkpoint holds of a network.

    Args:
        path: where it was read, for errors.
        content: of the checkpoint.
        model: the network.
        name: of the network and its classes, likewise.

    Raises:
        InputError: the checkpoint does not fit.
    """
    return fit_checkpoint(content, model, path, name, CHOICE)


def start_weights(path: Path, found: ForeignCheckpoint) -> Weights:
    """Return the weights of a checkpoint as they stand in it, those below its mask included.

    Raises:
        InputError: it holds masks only.
    """
    if found.weights is None:
        raise InputError(f"{path} holds masks and no weights: give a checkpoint that holds the network, too.")
    return found.weights


def network_weights(path: Path, found: ForeignCheckpoint) -> Weights:
    """Return the weights that the network of a checkpoint computes with: 0 where a stored mask prunes.

    Raises:
        InputError: it holds masks only.
    """
    return masked(start_weights(path, found), {layer: found.masks[layer] for layer in found.stored})


def what_was_read(path: Path, found: ForeignCheckpoint) -> str | None:
    """Say where in a file the network was found, which masks count, and what was left; None if that is as usual."""
    said = [] if found.place in USUAL_PLACES else [f"the network is below {found.place.removesuffix('.')}"]
    if found.stored:
        said.append(f"the masks of {len(found.stored)} of {len(found.masks)} layers are stored in it")
    if found.left_out:
        said.append(f"not read: {listed(found.left_out)}")
    return f"{path}: {'; '.join(said)}" if said else None


def masks_of(path: Path, found: ForeignCheckpoint, model: nn.Module) -> tuple[Masks, bool]:
    """Return the masks of a pruned checkpoint.

    Args:
        path: of the checkpoint.
        found: what was read from it.
        model: whose prunable layers are meant.

    Returns:
        Masks, True = kept, and whether any were stored, beside the file or in it; else they are where weights are
        not 0.

    Raises:
        InputError: the file of its masks is damaged.
    """
    beside = masks_file(path)
    if beside.is_file():
        content = read_checkpoint(beside, "the masks in")
        if content.get("of") == file_hash(path):
            return _require_masks(content.get("masks"), prunable_shapes(model), beside), True
    return found.masks, bool(found.stored)


def _require_masks(masks: object, layers: dict[str, tuple[int, ...]], path: Path) -> Masks:
    if isinstance(masks, dict) and set(masks) == set(layers):
        found = {layer: masks[layer] for layer in layers}
        if all(_is_mask(found[layer], shape) for layer, shape in layers.items()):
            return found
    raise InputError(f"{path} does not hold the masks of this network: remove it, or make it anew with LT_prune.py.")


def _is_mask(mask: object, shape: tuple[int, ...]) -> bool:
    if not isinstance(mask, Tensor):
        return False
    has_values = mask.layout == torch.strided and not mask.is_meta
    return has_values and mask.dtype == torch.bool and tuple(mask.shape) == shape
