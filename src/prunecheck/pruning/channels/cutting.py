"""Networks without the channels that masks remove: smaller ones, which compute the same."""

import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.pruning.channels.units import NONE, ChannelUnits, find_channel_units
from prunecheck.pruning.copying import copy_network
from prunecheck.pruning.layers import Masks, prunable_weights
from prunecheck.pruning.tied_weights import tied_in_network
from prunecheck.randomness import generator

TOLERANCE = 1e-4
"""By which logits of the two networks may differ, as a share of the largest: fewer terms are rounded otherwise."""

IMAGES = 4
"""So many are computed with both networks, to see that they agree."""


def cut_channels(model: nn.Module, masks: Masks, image_shape: tuple[int, ...]) -> nn.Module:
    """Return a network without the channels that masks remove; it computes what the masked one does.

    A channel is removed if no weight is kept that takes it in, in any layer. What else is pruned stays 0.

    Args:
        model: whose weights are meant, masked or not; it is left as it was.
        masks: boolean, by layer, True = kept.
        image_shape: channels, height and width of its images.

    Returns:
        A module of the same classes, whose layers have fewer channels, in evaluation mode on the CPU.

    Raises:
        InputError: the channels cannot be followed, none of them is removed, a layer keeps none, or a forward pass has
            sizes written in it that no longer fit.
    """
    units = find_channel_units(model, image_shape)
    is_kept = _kept_units(units, masks)
    if bool(is_kept.all()):
        raise InputError(
            "these masks remove no whole channel, so that there is nothing to cut out: prune with the pattern "
            "channels, such as magnitude-channels."
        )
    masked = copy_network(model).eval().cpu()
    _mask(masked, masks)
    smaller = copy_network(masked)
    _cut_layers(smaller, units, is_kept)
    _cut_others(smaller, units, is_kept)
    _require_same(masked, smaller, image_shape)
    return smaller


def _kept_units(units: ChannelUnits, masks: Masks) -> Tensor:
    """Return, per unit, whether any kept weight takes it in; the last stands for what always stays."""
    kept = torch.zeros(units.count + 1, dtype=torch.bool)
    is_taken = torch.zeros(units.count + 1, dtype=torch.bool)
    for layer, columns in units.columns.items():
        kept[columns[masks[layer].transpose(0, 1).flatten(1).any(1).cpu()]] = True
        is_taken[columns] = True
    kept |= ~is_taken  # what nothing takes in is not known to be without effect
    kept[NONE] = True
    return kept


@torch.no_grad()
def _mask(network: nn.Module, masks: Masks) -> None:
    for layer, weight in prunable_weights(network).items():
        weight.mul_(masks[layer].to(weight.device))


def _cut_layers(network: nn.Module, units: ChannelUnits, is_kept: Tensor) -> None:
    modules = dict(network.named_modules())
    weights = prunable_weights(network)
    tied = tied_in_network(weights, network)
    users: dict[str, list[nn.Module]] = {layer: [modules[layer]] for layer in weights}
    for name, layer in tied.items():
        users[layer].append(modules[name.removesuffix("weight").rstrip(".")])
    for layer, weight in weights.items():
        rows, columns = is_kept[units.rows[layer]], is_kept[units.columns[layer]]
        if not bool(rows.any()) or not bool(columns.any()):
            raise InputError(
                f"layer {layer} keeps no channel, and no network can be made without it: choose a lower sparsity, or a "
                "format that keeps masks."
            )
        cut = nn.Parameter(weight.detach()[rows][:, columns].clone(), requires_grad=weight.requires_grad)
        for module in users[layer]:
            module.weight = cut
            _resize(module, cut)


def _resize(module: nn.Module, weight: Tensor) -> None:
    """Have a layer say the sizes that it has."""
    if isinstance(module, nn.Conv2d):
        if module.groups > 1 and module.groups == module.in_channels:
            module.groups = len(weight) // (module.out_channels // module.in_channels)
        module.in_channels, module.out_channels = weight.shape[1] * module.groups, len(weight)
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = weight.shape


def _cut_others(network: nn.Module, units: ChannelUnits, is_kept: Tensor) -> None:
    """Cut biases, batch norms and whatever else has numbers of the channels."""
    replaced: dict[int, Tensor] = {}
    names = dict(units.others)
    for path, module in network.named_modules():
        for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            full = f"{path}.{name}" if path else name
            found = replaced.get(id(tensor))
            if found is None and full in names:
                found = _cut(full, tensor, is_kept[names[full]])
            if found is not None:
                replaced[id(tensor)] = found
                setattr(module, name, found)
                if isinstance(module, nn.modules.batchnorm._NormBase):
                    module.num_features = len(found)


def _cut(name: str, tensor: Tensor, is_kept: Tensor) -> Tensor:
    cut = tensor.detach()
    remaining = is_kept
    for place in range(tensor.dim()):
        others = [other for other in range(tensor.dim()) if other != place]
        along = is_kept.any(others) if others else is_kept  # torch takes no dimension for all of them
        index = along.nonzero().flatten()
        cut, remaining = cut.index_select(place, index), remaining.index_select(place, index)
    if not bool(remaining.all()):
        raise InputError(f"{name} has channels in places that cannot be cut out as a whole: choose another format.")
    return nn.Parameter(cut.clone(), requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else cut


@torch.no_grad()
def _require_same(masked: nn.Module, smaller: nn.Module, image_shape: tuple[int, ...]) -> None:
    """Raise :class:`InputError` unless two networks compute the same, in evaluation mode."""
    draws = generator(0, "images that compare networks")
    dtype = next(parameter.dtype for parameter in masked.parameters() if parameter.is_floating_point())
    images = torch.randn(IMAGES, *image_shape, generator=draws).to(dtype)
    expected = masked(images)
    try:
        found = smaller(images)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(
            f"the forward of this network does not work with fewer channels ({reason}): have it take sizes from its "
            "tensors, or choose a format that keeps masks."
        ) from error
    difference = float((found - expected).abs().max()) if found.shape == expected.shape else float("inf")
    if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):
        raise InputError(
            f"without the channels that are removed this network computes something else (by up to {difference:.2g}): "
            "choose a format that keeps masks."
        )
