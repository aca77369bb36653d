"""The arithmetic of a training step, and what it must move through memory, counted from the network.

Arithmetic: the multiply-adds of convolutions and linear layers, forward once, backward once for the gradient
of the weights and once for that of the input, which the first layer does without. A position at the border
counts like any other. With kept weights only, each weight kept counts at each position of its layer's output,
all three times. The least that they can be computed with: a 3x3 convolution of stride 1 with all weights takes a
quarter of the products by Winograd's F(4x4, 3x3) (Lavin and Gray, CVPR 2016), 36 for 16 positions instead of 144;
whatever it takes to transform is not counted, and nor are larger tiles, whose rounding nobody trains with.

Memory: what must be held from forward to backward, and from step to step: the output of each convolution and linear
layer, the images, and each weight with its momentum. What of it no cache holds is written once and read
once. All else (gradients, batch norm, ReLU, additions) may happen in the caches, and is not counted. Where a kept
weight lies takes no bytes.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

FLOAT32_BYTES = 4
WINOGRAD_SAVES = 4
"""Products of a direct convolution for one of Winograd's F(4x4, 3x3)."""


@dataclass(frozen=True)
class StepWork:
    """What a step takes.

    Attributes:
        multiply_adds: forward and backward, one for each weight and position.
        least_multiply_adds: those by whichever way takes fewest, layer by layer.
        activations: numbers in the outputs of convolutions and linear layers.
        image_values: numbers in the images.
        weights: parameters of all kinds.
    """

    multiply_adds: int
    least_multiply_adds: int
    activations: int
    image_values: int
    weights: int

    def held_bytes(self, activation_bytes: int = FLOAT32_BYTES) -> int:
        """Return the bytes that are held from forward to backward or from step to step.

        Args:
            activation_bytes: of a number in an image or an activation; weights and momentum are float32.
        """
        return activation_bytes * (self.activations + self.image_values) + 2 * FLOAT32_BYTES * self.weights

    def moved_bytes(self, cache: int, activation_bytes: int = FLOAT32_BYTES) -> int:
        """Return the bytes that must go to memory and come back, for a cache of so many bytes."""
        return 2 * max(0, self.held_bytes(activation_bytes) - cache)


def count_work(
    model: nn.Module, masks: Mapping[str, Tensor], image_shape: tuple[int, int, int], batch_size: int
) -> StepWork:
    """Count the work of a step.

    Args:
        model: run once on a single blank image; a copy of it is.
        masks: by layer name; of a layer that has one, only the weights kept count.
        image_shape: channels, height, width.
        batch_size: images per step.
    """
    model = copy.deepcopy(model).eval()
    multiply_adds, least, activations = 0, 0, 0

    def count(name: str, layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        nonlocal multiply_adds, least, activations
        assert isinstance(layer.weight, Tensor)
        kept = int(masks[name].sum()) if name in masks else layer.weight.numel()
        positions = output.numel() // layer.weight.shape[0]
        times = 3 if inputs[0].requires_grad else 2
        multiply_adds += times * kept * positions
        saves = WINOGRAD_SAVES if _has_winograd(layer) else 1
        least += times * min(saves * kept, layer.weight.numel()) * positions // saves
        activations += output.numel()

    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda *call, name=name: count(name, *call))
    with torch.enable_grad():
        image = torch.zeros(1, *image_shape)
        model(image)
    weights = sum(parameter.numel() for parameter in model.parameters())
    pruned = sum(int((~mask).sum()) for mask in masks.values())
    return StepWork(
        multiply_adds=batch_size * multiply_adds,
        least_multiply_adds=batch_size * least,
        activations=batch_size * activations,
        image_values=batch_size * image.numel(),
        weights=weights - pruned,
    )


def _has_winograd(layer: nn.Module) -> bool:
    """Say whether a layer is a 3x3 convolution of stride 1."""
    return isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3) and layer.stride == layer.dilation == (1, 1)
