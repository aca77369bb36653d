"""The kept weights of a convolution: a list, and how the kernels find each of them in a window."""

import ctypes

import torch
from torch import Tensor, nn

from prunecheck.training.sparse import kernels
from prunecheck.training.sparse.build import load_kernels
from prunecheck.training.sparse.kernels import LANES, pointer


class Arrangement:
    """Kept weights as a kernel reads them: row by row, each with its place in a window.

    Args:
        row: of each weight, int64 (kept,).
        place: of each weight in a window, in numbers, int64 (kept,).
        rows: how many there are.
        group: how many rows share their places; a row without a weight at one of them has a 0 there.
        dtype: of the weights.
    """

    def __init__(self, row: Tensor, place: Tensor, rows: int, group: int, dtype: torch.dtype) -> None:
        span = int(place.max()) + 1 if len(place) else 1
        shared, entry = torch.unique(row // group * span + place, return_inverse=True)
        self._position = entry * group + row % group
        groups = -(-rows // group)
        ends = torch.bincount(shared // span, minlength=groups).cumsum(0)
        self._start = torch.cat([torch.zeros(1, dtype=torch.int64), ends]).to(torch.int32)
        self._offset = (shared % span).to(torch.int32)
        self._values = torch.zeros(len(shared) * group, dtype=dtype)
        self._gradient = torch.zeros_like(self._values)
        self._group = group

    def __len__(self) -> int:
        """Return how many values the kernel reads, zeros of groups among them."""
        return len(self._values)

    def structure(self) -> kernels.Weights:
        """Return what the kernel is given; it reads what :meth:`fill` last wrote."""
        return kernels.Weights(self._group, pointer(self._start), pointer(self._offset), pointer(self._values))

    def fill(self, values: Tensor) -> None:
        """Take over the weights, (kept,)."""
        self._values.index_copy_(0, self._position, values)

    @property
    def gradient(self) -> Tensor:
        """What the kernel writes gradients to, in the order that it reads values."""
        return self._gradient

    def read_gradient(self, into: Tensor) -> None:
        """Write the gradient of each weight, (kept,)."""
        torch.index_select(self._gradient, 0, self._position, out=into)


class KeptWeights:
    """The kept weights of a convolution, which become the module's parameter: a vector in the mask's order.

    Args:
        module: its ``weight`` is replaced.
        mask: bool (outputs, inputs, height, width), True = kept.
        geometry: of the convolution; its blocks do not matter.
        group: how many rows are computed at once, if the kernel can; see :class:`Arrangement`.

    Attributes:
        mask: as given.
        values: the parameter, (kept,).
        forward: by output channel, placed in a window of the activation.
        transposed: by input channel and turned, placed in a window of the gradient.
        scratch: vectors of 16 numbers that the kernels need: one a value, and two windows.
    """

    def __init__(self, module: nn.Conv2d, mask: Tensor, geometry: kernels.Geometry, group: int) -> None:
        self.mask = mask
        self.values = nn.Parameter(module.weight.detach()[mask].clone(), module.weight.requires_grad)
        module.weight = self.values
        outputs, inputs, kernel, _ = mask.shape
        output, channel, row, column = mask.nonzero().unbind(1)
        window, spread, largest = _window_sizes(geometry, self.values.dtype)
        group = min(group, largest)
        place = _place(channel, row, column, window)
        self.forward = Arrangement(output, place, outputs, group, self.values.dtype)
        place = _place(output, kernel - 1 - row, kernel - 1 - column, spread)
        self.transposed = Arrangement(channel, place, inputs, group, self.values.dtype)
        areas = window[0] * window[1] * inputs + spread[0] * spread[1] * outputs
        self.scratch = len(self.forward) + areas

    def dense(self, values: Tensor) -> Tensor:
        """Return a tensor of the mask's shape with ``values`` where weights are kept, 0 elsewhere."""
        dense = torch.zeros(self.mask.shape, dtype=values.dtype)
        dense[self.mask] = values
        return dense


def _place(channel: Tensor, row: Tensor, column: Tensor, window: tuple[int, int]) -> Tensor:
    rows, pitch = window
    return (channel * rows * pitch + row * pitch + column) * LANES


def _window_sizes(geometry: kernels.Geometry, dtype: torch.dtype) -> tuple[tuple[int, int], tuple[int, int], int]:
    """Return rows and columns of the windows of activation and gradient, and the largest group of rows."""
    activation, gradient, group = (ctypes.c_int32 * 2)(), (ctypes.c_int32 * 2)(), ctypes.c_int32()
    library = load_kernels(kernels.NUMBERS[dtype])
    if not library.window_sizes(ctypes.byref(geometry), activation, gradient, ctypes.byref(group)):
        raise ValueError("there is no kernel for this convolution")
    return (activation[0], activation[1]), (gradient[0], gradient[1]), group.value


def has_kernel(module: nn.Conv2d) -> bool:
    """Say whether the kernels know a convolution of this size and stride."""
    return module.kernel_size[0] in (1, 3, 5) and module.stride[0] in (1, 2)
