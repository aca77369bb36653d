"""The kept weights of a convolution: a list, and where each of them is read in a window."""

import ctypes

import torch
from torch import Tensor, nn

from prunecheck.training.sparse import kernels
from prunecheck.training.sparse.build import load_kernels
from prunecheck.training.sparse.kernels import LANES, pointer


class KeptWeights:
    """The kept weights of a convolution, which become the module's parameter: a vector in the mask's order.

    Args:
        module: its ``weight`` is replaced.
        mask: bool (outputs, inputs, height, width), True = kept.

    Attributes:
        mask: as given.
        values: the parameter, (kept,).
    """

    def __init__(self, module: nn.Conv2d, mask: Tensor) -> None:
        self.mask = mask
        self.values = nn.Parameter(module.weight.detach()[mask].clone(), module.weight.requires_grad)
        module.weight = self.values
        self._outputs, self._inputs, self._kernel, _ = mask.shape
        output, self._channel, self._row, self._column = mask.nonzero().unbind(1)
        self._output = output
        self._row_start = _row_start(output, self._outputs)
        # The same weights, by input channel.
        self._order = torch.argsort(self._channel, stable=True)
        self._transposed_start = _row_start(self._channel, self._inputs)
        self._transposed_values = torch.zeros_like(self.values.detach())

    def rows(self, geometry: kernels.Geometry) -> kernels.Weights:
        """Return the weights by output channel, each with its place in a window of the activation."""
        (rows, pitch), _ = window_sizes(geometry, self.values.dtype)
        self._offset = self._place(self._channel, self._row, self._column, rows * pitch, pitch)
        return kernels.Weights(pointer(self._row_start), pointer(self._offset), pointer(self.values))

    def transposed(self, geometry: kernels.Geometry) -> kernels.Weights:
        """Return the weights by input channel, turned, each with its place in a window of the gradient.

        Their values are those of the last :meth:`transpose`.
        """
        _, (rows, pitch) = window_sizes(geometry, self.values.dtype)
        output, row, column = (part[self._order] for part in (self._output, self._row, self._column))
        last = self._kernel - 1
        self._transposed_offset = self._place(output, last - row, last - column, rows * pitch, pitch)
        return kernels.Weights(
            pointer(self._transposed_start), pointer(self._transposed_offset), pointer(self._transposed_values)
        )

    @staticmethod
    def _place(channel: Tensor, row: Tensor, column: Tensor, area: int, pitch: int) -> Tensor:
        return ((channel * area + row * pitch + column) * LANES).to(torch.int32)

    def transpose(self) -> None:
        """Bring the values in the order of input channels."""
        torch.index_select(self.values.detach(), 0, self._order, out=self._transposed_values)

    def scratch(self, geometry: kernels.Geometry) -> int:
        """Return how many vectors the kernels need: one a weight, and two windows."""
        activation, gradient = window_sizes(geometry, self.values.dtype)
        areas = (rows * pitch for rows, pitch in (activation, gradient))
        return len(self.values) + sum(
            area * channels for area, channels in zip(areas, (self._inputs, self._outputs), strict=True)
        )

    def dense(self, values: Tensor) -> Tensor:
        """Return a tensor of the mask's shape with ``values`` where weights are kept, 0 elsewhere."""
        dense = torch.zeros(self.mask.shape, dtype=values.dtype)
        dense[self.mask] = values
        return dense


def window_sizes(geometry: kernels.Geometry, dtype: torch.dtype) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return rows and columns of the windows that a convolution's kernels read of activation and gradient."""
    activation, gradient = (ctypes.c_int32 * 2)(), (ctypes.c_int32 * 2)()
    library = load_kernels(kernels.NUMBERS[dtype])
    if not library.window_sizes(ctypes.byref(geometry), activation, gradient):
        raise ValueError("there is no kernel for this convolution")
    return (activation[0], activation[1]), (gradient[0], gradient[1])


def has_kernel(module: nn.Conv2d) -> bool:
    """Say whether the kernels know a convolution of this size and stride."""
    return module.kernel_size[0] in (1, 3, 5) and module.stride[0] in (1, 2)


def _row_start(row: Tensor, count: int) -> Tensor:
    ends = torch.bincount(row, minlength=count).cumsum(0)
    return torch.cat([torch.zeros(1, dtype=torch.int64), ends]).to(torch.int32)
