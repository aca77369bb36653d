"""The arithmetic of a training step, and the bytes that it moves at the least, counted from the network.

Arithmetic: the multiply-adds of convolutions and linear layers, forward once, backward once for the gradient
of the weights and once for that of the input, which the first layer does without. A position at the border
counts like any other. With kept weights only, each weight kept counts at each position of its layer's output,
all three times.

Bytes, each tensor moved as seldom as can be: the output of each convolution and linear layer is written and read
once forward and read once backward; its gradient is written once and read once. Batch norm, ReLU, additions and pooling
are taken to happen on the way, at no cost. Images are read once forward and once backward. Each weight is
read once forward and once backward, its gradient written and read once, and it and its momentum are read and
written once by the optimiser. Where a kept weight lies takes no bytes.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

FLOAT32_BYTES = 4
ACTIVATION_MOVES = 5
IMAGE_MOVES = 2
WEIGHT_MOVES = 8


@dataclass(frozen=True)
class StepWork:
    """What a step takes.

    Attributes:
        multiply_adds: forward and backward.
        activations: numbers in the outputs of convolutions and linear layers.
        image_values: numbers in the images.
        weights: parameters of all kinds.
    """

    multiply_adds: int
    activations: int
    image_values: int
    weights: int

    def least_bytes(self, activation_bytes: int = FLOAT32_BYTES) -> int:
        """Return the bytes moved.

        Args:
            activation_bytes: of a number in an image, an activation or its gradient; those of weights are float32.
        """
        values = ACTIVATION_MOVES * self.activations + IMAGE_MOVES * self.image_values
        return activation_bytes * values + FLOAT32_BYTES * WEIGHT_MOVES * self.weights


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
    multiply_adds, activations = 0, 0

    def count(name: str, layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        nonlocal multiply_adds, activations
        assert isinstance(layer.weight, Tensor)
        kept = int(masks[name].sum()) if name in masks else layer.weight.numel()
        positions = output.numel() // layer.weight.shape[0]
        times = 3 if inputs[0].requires_grad else 2
        multiply_adds += times * kept * positions
        activations += output.numel()

    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda *call, name=name: count(name, *call))
    with torch.enable_grad():
        image = torch.zeros(1, *image_shape)
        model(image)
    weights = sum(parameter.numel() for parameter in model.parameters())
    pruned = sum(int((~mask).sum()) for mask in masks.values())
    return StepWork(batch_size * multiply_adds, batch_size * activations, batch_size * image.numel(), weights - pruned)
