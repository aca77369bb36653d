"""Which kept weights have a part in what leads from the input to the output, and which channels none leads through.

A weight that has none is kept and yet pruned: the output depends on the input without it (effective sparsity,
Vysogorets and Kempe, arXiv:2107.02306).
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from prunecheck.data.inputs import TokenShape
from prunecheck.pruning.dependence import NotKnown, Propagation, Recording, propagate, record
from prunecheck.pruning.layers import Masks, prunable_weights
from prunecheck.pruning.networks_alike import found_once


@dataclass(frozen=True)
class LayerConnectivity:
    """What is left of one layer.

    A channel (of a convolution; a unit, of a linear layer) is dead if no effective weight begins or
    ends there: none of its weights is kept, nothing reaches it, or it leads to nothing. It is empty
    if none of its weights is kept.

    Attributes:
        total: weights of the layer.
        kept: weights that the mask keeps.
        effective: weights that are kept and have a part in a path from the input to the output; like
            dead channels, None where that is not known.
        inputs: channels that the layer takes in.
        outputs: channels that it gives out.
    """

    total: int
    kept: int
    effective: int | None
    inputs: int
    outputs: int
    empty_inputs: int
    empty_outputs: int
    dead_inputs: int | None
    dead_outputs: int | None


class Paths:
    """The paths from the input to the output of one network, for any masks.

    A path leads from a pixel to an output through kept weights, whatever their values, and through
    whatever else the network computes: a normalisation over channels joins these channels, one of
    each channel by itself does not. A kernel position that only ever meets the padding lies on no
    path. Biases and other constants carry nothing of the input and make no path; but a weight that
    they are multiplied with has a part in one if the product is multiplied with what depends on the
    input, as the query of a class token is.

    In a chain of convolutions, element-wise norms and activations the weights on paths are those
    whose SynFlow saliency on an image of ones is not 0, by which Vysogorets and Kempe
    (arXiv:2107.02306, section 3) define effective sparsity.

    What operations do is looked up in :mod:`prunecheck.pruning.dependence`; of one that is not known
    there, every output may depend on every input. So a path may be seen that is none, and none is
    overlooked.
    """

    def __init__(self, model: nn.Module, image_shape: tuple[int, ...]) -> None:
        """Follow a network once.

        Args:
            model: whose paths are meant; it is left as it was.
            image_shape: channels, height and width of the input.
        """
        modules = dict(model.named_modules())
        self._groups = {layer: getattr(modules[layer], "groups", 1) for layer in prunable_weights(model)}
        self._recording: Recording | None = None
        self._obstacle: str | None = None
        try:
            if isinstance(image_shape, TokenShape):
                raise NotKnown("it reads tokens")
            self._recording = record(model, image_shape)
        except NotKnown as error:
            self._obstacle = str(error)

    @cached_property
    def not_known(self) -> str | None:
        """Why paths cannot be told in this network, in a few words; None if they can.

        They cannot, among others, if not every output is seen to depend on the input with all weights kept.
        """
        if self._recording is None:
            return self._obstacle
        layers = self._recording.weights.items()
        whole = {layer: torch.ones_like(self._recording.values[number], dtype=torch.bool) for layer, number in layers}
        try:
            reached = propagate(self._recording, whole, effective=False).reached
        except NotKnown as error:
            return str(error)
        return None if reached.all() else "with all weights kept it shows outputs that no path leads to"

    def reached_outputs(self, masks: Masks) -> Tensor | None:
        """Return, per output of the network, whether it may depend on the input; None if that is not known.

        Args:
            masks: True = kept.
        """
        found = self._found(masks, effective=False)
        return None if found is None else found.reached

    def effective_masks(self, masks: Masks) -> Masks | None:
        """Return the masks without the weights that have no part in any path; None if that is not known.

        Args:
            masks: True = kept.

        Returns:
            Boolean masks of the same shapes on the same devices, each a part of the given one.
        """
        found = self._found(masks, effective=True)
        if found is None:
            return None
        return {layer: mask & found.effective[layer].to(mask.device) for layer, mask in masks.items()}

    def layer_connectivity(self, masks: Masks) -> dict[str, LayerConnectivity]:
        """Return what is left of each layer, in order.

        Args:
            masks: True = kept.
        """
        effective = self.effective_masks(masks)
        return {
            layer: _of_layer(mask, effective[layer] if effective else None, self._groups[layer])
            for layer, mask in masks.items()
        }

    def _found(self, masks: Masks, *, effective: bool) -> Propagation | None:
        if self._recording is None:
            return None
        try:
            found = propagate(self._recording, masks, effective=effective)
        except NotKnown as error:
            self._obstacle = str(error)
            return None
        # More weights make no fewer paths: where all outputs are reached, they are with all weights, too.
        return found if found.reached.all() or self.not_known is None else None


def paths_of(model: nn.Module, image_shape: tuple[int, ...]) -> Paths:
    """Return the paths of a network, which is followed once for all that are built alike; see :class:`Paths`."""
    return found_once(model, ("paths", type(image_shape), image_shape), lambda: Paths(model, image_shape))


def effective_masks(model: nn.Module, masks: Masks, image_shape: tuple[int, ...]) -> Masks | None:
    """Return the masks without the weights on no path; see :meth:`Paths.effective_masks`."""
    return paths_of(model, image_shape).effective_masks(masks)


def reached_outputs(model: nn.Module, masks: Masks, image_shape: tuple[int, ...]) -> Tensor | None:
    """Return which outputs may depend on the input; see :meth:`Paths.reached_outputs`."""
    return paths_of(model, image_shape).reached_outputs(masks)


def layer_connectivity(model: nn.Module, masks: Masks, image_shape: tuple[int, ...]) -> dict[str, LayerConnectivity]:
    """Return what is left of each layer, in order; see :class:`Paths` for the arguments."""
    return paths_of(model, image_shape).layer_connectivity(masks)


def _of_layer(mask: Tensor, effective: Tensor | None, groups: int) -> LayerConnectivity:
    used_inputs, used_outputs = _used_channels(mask, groups)
    live = None if effective is None else _used_channels(effective, groups)
    return LayerConnectivity(
        total=mask.numel(),
        kept=int(mask.sum()),
        effective=None if effective is None else int(effective.sum()),
        inputs=len(used_inputs),
        outputs=len(used_outputs),
        empty_inputs=int((~used_inputs).sum()),
        empty_outputs=int((~used_outputs).sum()),
        dead_inputs=None if live is None else int((~live[0]).sum()),
        dead_outputs=None if live is None else int((~live[1]).sum()),
    )


def _used_channels(mask: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Return, per input and per output channel, whether a weight of the mask begins or ends there."""
    outputs, inputs_of_group = mask.shape[:2]
    by_group = mask.reshape(groups, outputs // groups, inputs_of_group, -1)
    return by_group.any(dim=3).any(dim=1).flatten(), mask.flatten(1).any(dim=1)
