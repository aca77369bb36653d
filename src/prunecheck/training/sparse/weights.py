"""The kept weights of a convolution: a list, and how the kernels find each of them in a window."""

import ctypes

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prunecheck.training.sparse import kernels
from prunecheck.training.sparse.build import load_kernels
from prunecheck.training.sparse.kernels import kept_alive, lanes, pointer

Places = NDArray[numpy.int64]
"""A number for each kept weight, (kept,)."""


class KeptWeights:
    """The kept weights of a convolution, which become the module's parameter: a vector in the mask's order.

    Args:
        module: its ``weight`` is replaced.
        mask: bool (outputs, inputs, height, width), True = kept.
        geometry: of the convolution; its blocks do not matter.

    Attributes:
        mask: as given.
        values: the parameter, (kept,).
        scratch: vectors that the kernels need: one a weight, and two windows.
    """

    def __init__(self, module: nn.Conv2d, mask: Tensor, geometry: kernels.Geometry) -> None:
        self.mask = mask
        self.values = nn.Parameter(module.weight.detach()[mask], module.weight.requires_grad)
        module.weight = self.values
        outputs, inputs = mask.shape[:2]
        output, channel, row, column = numpy.unravel_index(numpy.flatnonzero(mask), mask.shape)
        block = lanes(self.values.dtype)
        window, spread = _window_sizes(geometry, self.values.dtype)
        self._start = _row_starts(output, outputs)
        self._offset = _numbers(_place(channel, row, column, window) * block)
        # The same weights by phase of the stride and input channel, turned.
        (phase_y, above), (phase_x, beside) = _phase_and_place(row, geometry), _phase_and_place(column, geometry)
        transposed_row = (phase_y * geometry.stride + phase_x) * inputs + channel
        order = transposed_row.argsort(kind="stable")
        self._order = _numbers(order)
        self._transposed_start = _row_starts(transposed_row, geometry.stride**2 * inputs)
        self._transposed_offset = _numbers((_place(output, above, beside, spread) * block)[order])
        self._transposed_values = torch.zeros_like(self.values.detach())
        self.scratch = len(output) + window[0] * window[1] * inputs + spread[0] * spread[1] * outputs

    def rows(self) -> kernels.Weights:
        """Return the weights by output channel, each with its place in a window of the activation."""
        return kept_alive(kernels.Weights(pointer(self._start), pointer(self._offset), pointer(self.values)), self)

    def transposed(self) -> kernels.Weights:
        """Return the weights by input channel, turned, each with its place in a window of the gradient.

        Their values are those that they had when what :meth:`transpose` returns was called last.
        """
        values = pointer(self._transposed_values)
        return kept_alive(
            kernels.Weights(pointer(self._transposed_start), pointer(self._transposed_offset), values), self
        )

    def transpose(self) -> kernels.Call:
        """Return what brings the values in the order of input channels."""
        values, transposed = self.values.detach(), self._transposed_values
        return kernels.Call(values.dtype, "reorder", len(values), self._order, values, transposed)

    def dense(self, values: Tensor) -> Tensor:
        """Return a tensor of the mask's shape with ``values`` where weights are kept, 0 elsewhere."""
        dense = torch.zeros(self.mask.shape, dtype=values.dtype)
        dense[self.mask] = values
        return dense


def has_kernel(module: nn.Conv2d) -> bool:
    """Say whether the kernels know a convolution of this size and stride."""
    return module.kernel_size[0] in (1, 3, 5) and module.stride[0] in (1, 2)


def _window_sizes(geometry: kernels.Geometry, dtype: torch.dtype) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return rows and columns of the windows that a convolution's kernels read of activation and gradient."""
    activation, gradient = (ctypes.c_int32 * 2)(), (ctypes.c_int32 * 2)()
    library = load_kernels(kernels.NUMBERS[dtype])
    if not library.window_sizes(ctypes.byref(geometry), activation, gradient):
        raise ValueError("there is no kernel for this convolution")
    return (activation[0], activation[1]), (gradient[0], gradient[1])


def _phase_and_place(tap: Places, geometry: kernels.Geometry) -> tuple[Places, Places]:
    """Return which input positions read a tap going backward, and at which row or column of the gradients' window.

    Input position ``stride * i + phase`` is read by output position ``i + (phase + padding - tap) / stride``, where
    that is whole; the window begins at the first that any tap reads.
    """
    stride, padding = geometry.stride, geometry.padding
    phase = (tap - padding) % stride
    return phase, (phase + padding - tap) // stride - (padding - geometry.kernel + 1) // stride


def _place(channel: Places, row: Places, column: Places, window: tuple[int, int]) -> Places:
    rows, pitch = window
    return channel * (rows * pitch) + row * pitch + column


def _row_starts(row: Places, count: int) -> Tensor:
    ends = numpy.bincount(row, minlength=count).cumsum()
    return _numbers(numpy.concatenate([[0], ends]))


def _numbers(places: Places) -> Tensor:
    """Return numbers as the kernels read them, int32."""
    return torch.from_numpy(places.astype(numpy.int32))
