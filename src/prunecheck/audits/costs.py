"""What a mask saves: multiply-adds and FLOPs, counted at the size of the images.

A weight is multiplied once for each position of its layer's output: so many multiply-adds has a layer for each
weight that is not 0. A multiply-add is two FLOPs. What is not prunable, attention and other products among it, is in
the total as torch counts it; additions of biases, norms and activations are not.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from prunecheck.data import blank_batch
from prunecheck.pruning.copying import copy_network
from prunecheck.pruning.layers import prunable_weights

FLOPS = 2
"""Of a multiply-add."""


@dataclass(frozen=True)
class Costs:
    """What one image costs the whole network.

    Attributes:
        positions: per prunable layer, how many times each of its weights is multiplied; None where that is not known,
            because the layer's weight is used by another module.
        sizes: per prunable layer, how many weights it has.
        multiply_adds: of the whole network, in all of its layers, prunable or not.
    """

    positions: dict[str, int | None]
    sizes: dict[str, int]
    multiply_adds: int

    def of_layer(self, layer: str, weights: float) -> float | None:
        """Return the multiply-adds of so many weights of a layer; None if that is not known."""
        positions = self.positions[layer]
        return None if positions is None else weights * positions

    def kept(self, weights: Mapping[str, float]) -> float:
        """Return the multiply-adds of the network with so many weights of each prunable layer.

        Layers of which it is not known count whole.
        """
        removed = (self.of_layer(layer, self.sizes[layer] - count) or 0 for layer, count in weights.items())
        return self.multiply_adds - sum(removed)


def costs_of(network: nn.Module, image_shape: tuple[int, ...]) -> Costs:
    """Return what an image, or a sequence of tokens, costs a network.

    Args:
        network: is left as it was.
        image_shape: channels, height and width; of tokens their :class:`~prunecheck.data.TokenShape`.
    """
    copy = copy_network(network).eval()
    weights = prunable_weights(copy)
    counts: dict[int, int] = {}
    x, _ = blank_batch(image_shape)
    # Attention in plain products, since torch does not count all of its fused kernels, which gradients keep away.
    plain = sdpa_kernel(SDPBackend.MATH)
    with _counted(copy, counts), FlopCounterMode(display=False) as counter, plain, torch.enable_grad():
        first = next(iter(weights.values()))
        copy(x[:1].to(first) if x.is_floating_point() else x[:1].to(first.device))
    positions = {layer: counts.get(id(weight)) for layer, weight in weights.items()}
    sizes = {layer: weight.numel() for layer, weight in weights.items()}
    known = sum(sizes[layer] * (count or 0) for layer, count in positions.items())
    return Costs(positions, sizes, max(counter.get_total_flops() // FLOPS, known))


@contextmanager
def _counted(network: nn.Module, counts: dict[int, int]) -> Iterator[None]:
    """Count how many times each weight of a Conv2d or Linear is multiplied, by its identity, over all calls."""

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        weight = module._parameters.get("weight")
        if not isinstance(output, Tensor) or weight is None:
            return
        channels = output.shape[1] if isinstance(module, nn.Conv2d) else output.shape[-1]
        counts[id(weight)] = counts.get(id(weight), 0) + output.numel() // channels

    def count_attention(module: nn.Module, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        projection = module.get_submodule("out_proj")
        weight = projection._parameters["weight"]
        if weight is not None:
            counts[id(weight)] = counts.get(id(weight), 0) + output[0].numel() // output[0].shape[-1]

    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    # It multiplies with the weight of its last projection without calling it.
    attention = [module for module in network.modules() if isinstance(module, nn.MultiheadAttention)]
    hooks += [module.register_forward_hook(count_attention) for module in attention]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
