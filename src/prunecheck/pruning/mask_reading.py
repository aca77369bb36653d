"""Tickets read from masks in files, and the weights of trained checkpoints."""

from pathlib import Path

from torch import Tensor, nn

from prunecheck.errors import InputError, field_name
from prunecheck.pruning.checkpoint_files import read_checkpoint
from prunecheck.pruning.foreign_checkpoints import ForeignCheckpoint, fit_checkpoint
from prunecheck.pruning.layers import Masks, weight_name
from prunecheck.pruning.mask_files import INITIAL, MaskFiles
from prunecheck.pruning.mask_places import first_model, mask_file, models_in
from prunecheck.pruning.returned import MOST_OFF
from prunecheck.pruning.tickets import Ticket, Weights, copy_weights

SPARSITY_DECIMALS = 6
"""To which the sparsity of a mask is rounded, so that it is the same number everywhere."""

CHOICE = f"the {field_name('model')} and {field_name('width')}"
"""What chooses the network that a file has to fit."""


def read_ticket(files: MaskFiles, model: nn.Module, seed: int, network: str = "this network") -> Ticket:
    """Return the ticket of a seed: the masks of its file, and the weights that training starts from.

    Where the file's own weights are 0 below its mask, those of the model stand in their place, for checks that move the
    mask to them.

    Args:
        files: where the masks lie.
        model: with the initial weights of the run; it is left as it was.
        seed: the run's.
        network: its name and classes, for the error.

    Raises:
        InputError: there is no file, it cannot be read, does not fit the network, prunes nothing or
            everything, or has no weights to start from.
    """
    place = files.place(seed)
    found = _fit(mask_file(place), model, network)
    if all(bool(mask.all()) for mask in found.masks.values()):
        why = "its masks keep every weight" if found.stored else "no weight of it is 0"
        raise InputError(f"{place} has no mask, because {why}: give a network that was pruned.")
    if not _kept(found.masks):
        why = "its masks are 0 everywhere" if found.stored else "all of its prunable weights are 0"
        raise InputError(f"{place} prunes every weight, because {why}: give a mask that is 1 where a weight is kept.")
    if files.start == INITIAL:
        return Ticket(copy_weights(model), found.masks)
    weights = found.weights
    if place.is_dir():
        first = first_model(place)
        weights = _fit(first, model, network).weights if first else None
    if weights is None:
        raise InputError(
            f"{place} holds masks and no weights, so that training cannot start from the file's own: leave "
            f"{field_name('start')} out, or give a checkpoint that holds the network, too."
        )
    return Ticket(_filled(weights, found.masks, model.state_dict()), found.masks)


def _filled(weights: Weights, masks: Masks, initial: dict[str, Tensor]) -> Weights:
    """Return weights with others where a mask has left zeros."""
    filled = dict(weights)
    for layer, mask in masks.items():
        name = weight_name(layer)
        is_left = mask.to(weights[name].device) | (weights[name] != 0)
        filled[name] = weights[name].where(is_left, initial[name].detach().to(weights[name]))
    return filled


def sparsity_of_file(masks: Masks) -> float:
    """Return the share of weights that masks remove, to 6 decimals."""
    return round(1 - _kept(masks) / _total(masks), SPARSITY_DECIMALS)


def require_sparsity(place: Path, masks: Masks, sparsity: float) -> None:
    """Raise :class:`InputError` if masks keep more than 1 % more or fewer weights than a sparsity asks for.

    Args:
        place: of the masks.
        masks: what is in the file.
        sparsity: what is asked for.
    """
    kept, asked = _kept(masks), round((1 - sparsity) * _total(masks))
    if abs(kept - asked) > max(MOST_OFF * asked, len(masks)):
        raise InputError(
            f"{place} keeps {kept:,} of {_total(masks):,} weights, a sparsity of {sparsity_of_file(masks):g}, and "
            f"{field_name('sparsity')} is {sparsity:g}: leave that out, for a mask has its own, and give files of one "
            "sparsity.",
            field="sparsity",
        )


def agreed_sparsity(
    files: MaskFiles, model: nn.Module, seed: int, sparsity: float | None, network: str = "this network"
) -> float:
    """Return the sparsity of a seed's masks; or the one that is asked for, which must be theirs.

    Raises:
        InputError: see :func:`read_ticket` and :func:`require_sparsity`.
    """
    masks = read_ticket(files, model, seed, network).masks
    if sparsity is None:
        return sparsity_of_file(masks)
    require_sparsity(files.place(seed), masks, sparsity)
    return sparsity


def trained_weights(place: Path, model: nn.Module, network: str) -> Weights:
    """Return the weights that the network of a trained checkpoint computes with: 0 where a stored mask prunes.

    Args:
        place: a file, or a folder of open_lth, of which the last model is read.
        model: the network.
        network: its name and classes, for the error.

    Raises:
        InputError: there are no weights there, or they do not fit.
    """
    models = models_in(place) if place.is_dir() else [place]
    if not models:
        raise InputError(f"the folder {place} holds no model_epN_itN.pth of open_lth: give a checkpoint.")
    found = _fit(models[-1], model, network)
    if found.weights is None:
        raise InputError(f"{place} holds masks and no weights: give the checkpoint of a trained network.")
    weights = dict(found.weights)
    for layer in found.stored:
        weights[weight_name(layer)] = weights[weight_name(layer)].masked_fill(~found.masks[layer], 0)
    return weights


def _fit(file: Path, model: nn.Module, network: str) -> ForeignCheckpoint:
    return fit_checkpoint(read_checkpoint(file), model, file, network, CHOICE)


def _kept(masks: Masks) -> int:
    return sum(int(mask.sum()) for mask in masks.values())


def _total(masks: Masks) -> int:
    return sum(mask.numel() for mask in masks.values())
