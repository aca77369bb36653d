"""What lies between the steps of a trunk: feature maps in blocks of samples, and their gradients."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from prunecheck.training.sparse import kernels
from prunecheck.training.sparse.kernels import kept_alive, lanes, pointer
from prunecheck.training.sparse.memory import gradient_of, zeros_in_huge_pages

if TYPE_CHECKING:
    from prunecheck.training.sparse.steps import Step


class Batch:
    """How many samples are computed with; whatever depends on it is told when it changes.

    Args:
        capacity: samples that there is room for.
        dtype: of all numbers.
    """

    def __init__(self, capacity: int, dtype: torch.dtype) -> None:
        self.capacity = capacity
        self.dtype = dtype
        self.lanes = lanes(dtype)
        self.size = 0
        self._told: list[kernels.Geometry | kernels.Shape] = []
        self._norms: list[tuple[kernels.Normalisation, int]] = []

    @property
    def blocks(self) -> int:
        """The blocks that there is room for."""
        return -(-self.capacity // self.lanes)

    def geometry(self, *fields: int) -> kernels.Geometry:
        """Return a geometry whose blocks follow the batch; ``fields`` are the others, in their order."""
        made = kernels.Geometry(0, 0, *fields)
        self._told.append(made)
        return made

    def shape(self, positions: int, channels: int) -> kernels.Shape:
        """Return a shape whose blocks follow the batch."""
        made = kernels.Shape(0, 0, positions, channels)
        self._told.append(made)
        return made

    def follow(self, norm: kernels.Normalisation, positions: int) -> None:
        """Let the count of a batch norm follow the batch."""
        self._norms.append((norm, positions))

    def resize(self, size: int) -> None:
        """Compute with so many samples from now on, at most :attr:`capacity`."""
        if size == self.size:
            return
        self.size = size
        for told in self._told:
            told.blocks, told.last_lanes = -(-size // self.lanes), (size - 1) % self.lanes + 1
        for norm, positions in self._norms:
            norm.count = size * positions

    def require_variance(self) -> None:
        """Raise :class:`ValueError` where a channel of a batch norm has a single value, which has no variance."""
        if self.size == 1 and any(positions == 1 for _, positions in self._norms):
            raise ValueError("a batch norm needs more than 1 value per channel when training")


class Sums:
    """Two sums per channel that a kernel takes of a feature map or its gradient.

    Args:
        channels: of the feature map.
        dtype: of the numbers that are summed; the sums are float64.
    """

    def __init__(self, channels: int, dtype: torch.dtype) -> None:
        self.sums = torch.zeros(channels, 2, lanes(dtype), dtype=torch.float64)
        self.around = torch.zeros(channels, dtype=dtype)
        """What is subtracted before multiplying."""


class Norm:
    """A batch norm of a convolution's output.

    Args:
        module: whose parameters and running statistics are used in place.
    """

    def __init__(self, module: nn.BatchNorm2d) -> None:
        self.module = module
        count = module.num_features
        names = ("mean", "inverse_deviation", "scale", "shift", "by_gradient", "by_output", "constant")
        self.tensors = {name: torch.zeros(count, dtype=module.weight.dtype) for name in names}

    @cached_property
    def structure(self) -> kernels.Normalisation:
        """What the kernels compute with: tensors that stay where they are from now on, gradients too."""
        module = self.module
        assert module.momentum is not None and module.running_mean is not None and module.running_var is not None
        self._gradients = gradient_of(module.weight), gradient_of(module.bias)  # kept alive
        made = kernels.Normalisation(
            module.num_features,
            0,
            module.eps,
            module.momentum,
            pointer(module.weight),
            pointer(module.bias),
            pointer(module.running_mean),
            pointer(module.running_var),
            *(pointer(tensor) for tensor in (*self.tensors.values(), *self._gradients)),
        )
        return kept_alive(made, self)


class FeatureMap:
    """A feature map: a convolution's output z and what batch norm and ReLU make of it, or plain numbers.

    Args:
        channels: at each position.
        height: pixels.
        width: pixels.

    Attributes:
        norm: the batch norm of z; None if there is none.
        relu: whether a ReLU follows.
        plain: whether z is the feature map itself; its ReLU, if any, is in z already.
        consumers: the steps that read it.
        needs_gradient: False for the images.
        statistics: what the last contribution to its gradient sums: at most two, each with the feature map whose z
            is multiplied with the gradient.
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        self.channels, self.height, self.width = channels, height, width
        self.norm: Norm | None = None
        self.relu = False
        self.plain = False
        self.needs_gradient = True
        self.consumers: list[Step] = []
        self.statistics: list[tuple[FeatureMap, Sums]] = []
        self.z: Tensor
        self.gradient: Tensor
        self.own_sums: Sums

    @property
    def size(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.channels, self.height, self.width

    @property
    def positions(self) -> int:
        """The number of positions."""
        return self.height * self.width

    def allocate(self, batch: Batch) -> None:
        """Make room for the numbers."""
        self.z = zeros_in_huge_pages((batch.blocks, self.height, self.width, self.channels, batch.lanes), batch.dtype)
        self.own_sums = Sums(self.channels, batch.dtype)
        if self.norm:
            self.own_sums.around = self.norm.tensors["mean"]
            batch.follow(self.norm.structure, self.positions)
        elif self.relu and not self.plain:
            self._one, self._zero = (
                torch.ones(self.channels, dtype=batch.dtype),
                torch.zeros(self.channels, dtype=batch.dtype),
            )

    def activation(self) -> kernels.Activation:
        """Return how a kernel reads it."""
        if self.norm:
            scale, shift = self.norm.tensors["scale"], self.norm.tensors["shift"]
        elif self.relu and not self.plain:
            scale, shift = self._one, self._zero
        else:
            return kept_alive(kernels.Activation(pointer(self.z), None, None, self.relu), self)
        return kept_alive(kernels.Activation(pointer(self.z), pointer(scale), pointer(shift), self.relu), self)

    def output_gradient(self) -> kernels.OutputGradient:
        """Return how a kernel reads the gradient of z."""
        made = kernels.OutputGradient(pointer(self.gradient), pointer(self.z), None, None, None)
        if self.norm:
            for name in ("by_gradient", "by_output", "constant"):
                setattr(made, name, pointer(self.norm.tensors[name]))
        return kept_alive(made, self)

    def input_gradient(self, accumulate: bool, finish: bool) -> kernels.InputGradient:
        """Return how a kernel contributes to the gradient: added to others or the first, the last or not."""
        made = kernels.InputGradient(
            pointer(self.gradient), accumulate, finish, self.activation(), len(self.statistics)
        )
        for place, (source, sums) in enumerate(self.statistics):
            made.statistic[place] = kernels.Statistic(pointer(source.z), pointer(sums.around), pointer(sums.sums))
        return kept_alive(made, self)


class Buffer:
    """Room for a gradient, which several feature maps may hold at once."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.holders = 1


class BufferPool:
    """Gradients' room, used again once nobody reads it."""

    def __init__(self) -> None:
        self._free: list[Buffer] = []

    def take(self, like: Tensor) -> Buffer:
        """Return room of a tensor's shape."""
        for buffer in self._free:
            if buffer.tensor.shape == like.shape:
                self._free.remove(buffer)
                buffer.holders = 1
                return buffer
        return Buffer(zeros_in_huge_pages(like.shape, like.dtype))

    def share(self, buffer: Buffer) -> Buffer:
        """Count one more holder."""
        buffer.holders += 1
        return buffer

    def give_back(self, buffer: Buffer) -> None:
        """Let one holder go."""
        buffer.holders -= 1
        if not buffer.holders:
            self._free.append(buffer)
