"""Where channels must not lie innermost in memory."""

from torch import nn

FEWEST_INNERMOST = 8
"""Input channels of a strided 1x1 convolution, below which channels must not be innermost on the CPU.

The weight gradient that oneDNN (of torch 2.13) then computes on one thread with AVX2 writes beside its buffers.
"""


def is_safe(convolution: nn.Conv2d) -> bool:
    """Return whether the weights of a convolution can be trained on the CPU with channels innermost."""
    strided_1x1 = set(convolution.kernel_size) == {1} and max(convolution.stride) > 1
    return not strided_1x1 or convolution.in_channels >= FEWEST_INNERMOST


def unsafe_layer(model: nn.Module) -> str | None:
    """Return the first layer whose training on the CPU is not safe with channels innermost; None if all are."""
    layers = model.named_modules()
    return next((name for name, layer in layers if isinstance(layer, nn.Conv2d) and not is_safe(layer)), None)
