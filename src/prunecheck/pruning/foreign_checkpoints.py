"""Weights and masks for a network out of a checkpoint, whichever tool wrote it.

Tools wrap a state dict (``state_dict``, ``model``, ``net``, ...), and put the network into another module, whose name
then begins all names (``module.``, ``_orig_mod.``, ``backbone.``, ...). Both are the same here: a checkpoint is a tree
of names, and the network is where all of its names are found below one prefix.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.pruning.checkpoint_files import Content
from prunecheck.pruning.checkpoint_mismatch import COUNTERS, mismatch, other_layout
from prunecheck.pruning.checkpoint_names import Entries, Named, masks_by_weight, read_entries
from prunecheck.pruning.layers import Masks, prunable_weights, weight_name
from prunecheck.pruning.tickets import Weights
from prunecheck.pruning.tied_weights import tied_in_network

MOST_NAMED = 4
"""How many of several networks an error names."""


@dataclass(frozen=True)
class ForeignCheckpoint:
    """What a checkpoint holds of a network.

    Attributes:
        weights: a state dict for the network, of its dtypes, on the CPU, not yet masked: where a stored mask prunes
            stands what the file has there. None of a file that holds masks only.
        masks: boolean, True = kept, of every prunable layer: the stored mask of the layer, else where its weight
            is not 0.
        stored: the layers whose masks are stored.
        place: below which prefix the network was found, such as ``state_dict.model.``; empty for none.
        left_out: names of tensors beside the network in the same state dict, which were not read.
    """

    weights: Weights | None
    masks: Masks
    stored: frozenset[str]
    place: str
    left_out: tuple[str, ...]


def fit_checkpoint(
    content: Content, model: nn.Module, path: Path, network: str, choice: str = "the network"
) -> ForeignCheckpoint:
    """Find the weights and masks of a network in a checkpoint.

    Batch norm's counters may be missing. Masks are read in the forms of ``torch.nn.utils.prune`` (``weight_orig`` and
    ``weight_mask``), of buffers beside a weight (``weight`` and ``weight_mask``) or beside the network
    (``model.conv.weight`` and ``mask_conv___weight``), of parametrisations that hold a mask and nothing else, and from
    a group ``masks`` by layer or by weight. Masks of biases and norms are multiplied in. A file of nothing but masks is
    read, too.

    Args:
        content: what :func:`~prunecheck.pruning.checkpoint_files.read_checkpoint` returned.
        model: the network.
        path: where it was read, for the error.
        network: its name and classes, likewise.
        choice: what the user chooses the network by, likewise.

    Raises:
        InputError: names are missing or too many, a shape differs, a value is not finite, a mask has other values
            than 0 and 1, or several parts of the file fit and differ.
    """
    expected = {name: tensor for name, tensor in model.state_dict().items() if isinstance(tensor, Tensor)}
    weights = prunable_weights(model)
    layers = {layer: weight_name(layer) for layer in weights}
    unmasked = {*layers.values(), *tied_in_network(weights, model)}
    entries = read_entries(content, expected, layers, path)
    required = {name for name in expected if not name.endswith(COUNTERS)}
    places = entries.places(required)
    whole = [place for place, count in places.items() if count == len(required)]
    fitting = [place for place in whole if _has_shapes(entries.below(place), expected)]
    if masks := _masks_alone(entries, expected, layers, path, is_whole=bool(whole)):
        return ForeignCheckpoint(None, masks, frozenset(masks), "", ())
    if not fitting:
        likely = [place for place, count in places.items() if 2 * count >= len(required)]
        raise mismatch(entries, (whole or likely or [""])[0], expected, path, network, choice)
    if len(fitting) == 1 and entries.surplus(fitting[0], expected):
        raise mismatch(entries, fitting[0], expected, path, network, choice)
    found = [_read(entries, place, expected, layers, unmasked, path) for place in fitting]
    if not all(_equal(found[0], other) for other in found[1:]):
        names = ", ".join(place.removesuffix(".") or "the top" for place in fitting[:MOST_NAMED])
        raise InputError(
            f"{path} holds several networks that fit and differ ({names}): save the state_dict of the one that is "
            "meant with torch.save, and give that."
        )
    return found[0]


def _has_shapes(found: Mapping[str, Named], expected: Weights) -> bool:
    return all(found[name].shape in (None, like.shape) for name, like in expected.items() if name in found)


def _equal(one: ForeignCheckpoint, other: ForeignCheckpoint) -> bool:
    pairs = [((one.weights or {}), (other.weights or {})), (one.masks, other.masks)]
    return all(torch.equal(tensor, others[name]) for tensors, others in pairs for name, tensor in tensors.items())


def _read(
    entries: Entries, place: str, expected: Weights, layers: Mapping[str, str], unmasked: Collection[str], path: Path
) -> ForeignCheckpoint:
    """Return the weights and masks below a prefix, where all names and shapes are right.

    Args:
        entries: of the file.
        place: the prefix.
        expected: the network's state dict.
        layers: the names of the prunable weights.
        unmasked: these names, and others of the same weights, into which masks are not multiplied.
        path: for errors.
    """
    found = entries.below(place)
    values = {name: _plain(found[name], path) for name in expected if name in found}
    stored = {
        name: _mask(masks, expected[name], path)
        for name, masks in entries.masks_below(place).items()
        if name in expected
    }
    weights: Weights = {}
    for name, like in expected.items():
        if name not in values:
            weights[name] = like.detach().clone()
            continue
        _require_known_parametrization(found[name], name in stored, path)
        weight = _as(values[name], like, found[name], path)
        weights[name] = weight.masked_fill(~stored[name], 0) if name in stored and name not in unmasked else weight
    # Compared in the file's own type: a small number in float64 is not 0, and may be in the network's.
    masks = {layer: stored[name] if name in stored else _widened(values[name]) != 0 for layer, name in layers.items()}
    explicit = frozenset(layer for layer, name in layers.items() if name in stored)
    return ForeignCheckpoint(weights, masks, explicit, place, entries.left_out(place, expected))


def _masks_alone(
    entries: Entries, expected: Weights, layers: Mapping[str, str], path: Path, *, is_whole: bool
) -> Masks:
    """Return the masks of a file that holds nothing but masks, one for each prunable layer; empty if it does not.

    A file without a group of masks is taken for one if all of its values lie between 0 and 1; where its names
    are those of the whole network, which then has nothing but prunable weights, if all are 0 or 1. Masks of what is not
    prunable are left out.
    """
    found = entries.grouped
    if entries.masks or (found and entries.values):
        return {}
    if not found:
        found = masks_by_weight(entries.values, expected, layers) or {}
        named = [mask for masks in found.values() for mask in masks]
        if not all(_may_be_mask(one, exactly=is_whole) for one in named):
            return {}
    is_of_layers = any(name in found for name in layers.values())
    if is_of_layers and (missing := [layer for layer, name in layers.items() if name not in found]):
        raise InputError(f"{path} holds masks and none for layer {missing[0]}: add one, of ones if it is whole.")
    return {layer: _mask(found[name], expected[name], path) for layer, name in layers.items() if name in found}


def _may_be_mask(named: Named, *, exactly: bool) -> bool:
    """Say whether all values are 0 or 1, or, unless ``exactly``, lie between."""
    if named.unreadable or named.shape is None:
        return False
    if exactly:
        return not bool(_other_than_0_and_1(named).any())
    value = _widened(named.dense())
    return bool(((value >= 0) & (value <= 1)).all())


def _is_mask(named: Named, like: Tensor) -> bool:
    return named.shape == like.shape and not named.unreadable and not bool(_other_than_0_and_1(named).any())


def _other_than_0_and_1(named: Named) -> Tensor:
    value = _widened(named.dense())
    return (value != 0) & (value != 1)


def _mask(masks: list[Named], like: Tensor, path: Path) -> Tensor:
    """Return what all masks of a weight keep."""
    kept = torch.ones(like.shape, dtype=torch.bool)
    for named in masks:
        if not _is_mask(named, like):
            raise _not_a_mask(named, like, path)
        kept &= _widened(named.dense()) != 0
    return kept


def _not_a_mask(named: Named, like: Tensor, path: Path) -> InputError:
    if "parametrizations" in named.keys[-1].split("."):
        return _other_parametrization(named, path)
    if named.shape != like.shape:
        what = f"of shape {named.shape} for weights of shape {tuple(like.shape)}"
        remedy = other_layout(named.shape, like.shape) or "give a checkpoint of this network"
        return InputError(f"{path} has a mask {named.name} {what}: {remedy}.")
    wrong = _plain(named, path)[_other_than_0_and_1(named)][0].item()
    return InputError(
        f"{path} has a mask {named.name} with values other than 0 and 1 (such as {wrong:g}): threshold it, so that it "
        "is 0 where a weight is pruned and 1 where it is kept."
    )


def _other_parametrization(named: Named, path: Path) -> InputError:
    return InputError(
        f"{path} has a weight that is computed by a parametrisation which is no mask or stores none ({named.name}): "
        "call torch.nn.utils.parametrize.remove_parametrizations before you save the state_dict."
    )


def _require_known_parametrization(named: Named, has_mask: bool, path: Path) -> None:
    """Raise :class:`InputError` for a weight that something without tensors of its own computes."""
    if not has_mask and "parametrizations" in named.keys[-1].split("."):
        raise _other_parametrization(named, path)


def _plain(named: Named, path: Path) -> Tensor:
    """Return a tensor of real numbers with all of its values.

    Raises:
        InputError: it has no values, or such that stand for others.
    """
    if named.unreadable:
        raise InputError(
            f"{path} has {named.unreadable} in {named.name}, where real numbers are expected: save the state_dict of "
            "the network in float32, and give that."
        )
    return named.dense()


def _as(value: Tensor, like: Tensor, named: Named, path: Path) -> Tensor:
    """Return a tensor in the type of the network's own.

    Raises:
        InputError: it has integers for weights, or values that are not finite.
    """
    if like.is_floating_point() and not value.is_floating_point():
        raise InputError(
            f"{path} has values of type {str(value.dtype).removeprefix('torch.')} in {named.name}, where weights are "
            "expected: save the state_dict of the network in float32, and give that."
        )
    converted = value.to(like.dtype)
    if not bool(converted.isfinite().all()):
        raise InputError(
            f"{path} has values that are not finite in {named.name}: its training diverged, train it anew."
        )
    return converted.clone(memory_format=torch.contiguous_format)


def _widened(value: Tensor) -> Tensor:
    """Return narrow floating-point numbers in float32, which is exact; those of 8 bits cannot be compared."""
    return value.float() if value.is_floating_point() and value.itemsize < torch.float.itemsize else value
