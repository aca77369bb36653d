"""The steps of a trunk, forward and backward."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from prunecheck.training.sparse import kernels
from prunecheck.training.sparse.feature_maps import Batch, FeatureMap
from prunecheck.training.sparse.kernels import Call


class Step(ABC):
    """One step from feature maps to another.

    Args:
        inputs: what it reads.
        output: what it writes.
    """

    def __init__(self, inputs: Sequence[FeatureMap], output: FeatureMap) -> None:
        self.inputs = list(inputs)
        self.output = output
        # What no parameter lies before needs none.
        output.needs_gradient = any(feature_map.needs_gradient for feature_map in inputs)
        for feature_map in inputs:
            feature_map.consumers.append(self)

    @property
    def sums_gradient(self) -> bool:
        """Whether it needs sums of its output's gradient to go backward."""
        return False

    def scratch(self, batch: Batch) -> int:
        """Return how many vectors, of a number for each sample of a block, it needs to compute with."""
        return 0

    @abstractmethod
    def bind(self, batch: Batch, scratch: Tensor, contributions: Sequence[kernels.InputGradient | None]) -> None:
        """Prepare the calls.

        Args:
            batch: how many samples.
            scratch: to compute with.
            contributions: per input, how to add to its gradient; None where that is not needed.
        """

    @abstractmethod
    def forward(self, training: bool) -> None:
        """Write the output."""

    @abstractmethod
    def backward(self) -> None:
        """Read the output's gradient, which is complete, and contribute to those of the inputs."""


class Join(Step):
    """The sum of two feature maps, and ReLU if one follows."""

    def __init__(self, first: FeatureMap, second: FeatureMap) -> None:
        super().__init__([first, second], FeatureMap(first.channels, first.height, first.width))
        self.output.plain = True

    def bind(self, batch: Batch, scratch: Tensor, contributions: Sequence[kernels.InputGradient | None]) -> None:
        """Prepare the calls."""
        shape = batch.shape(self.output.positions, self.output.channels)
        first, second = (feature_map.activation() for feature_map in self.inputs)
        self._forward = Call(batch.dtype, "join_forward", shape, first, second, int(self.output.relu), self.output.z)
        self._backward = [
            Call(batch.dtype, "join_backward", shape, self.output.gradient, contribution)
            for contribution in contributions
            if contribution
        ]

    def forward(self, training: bool) -> None:
        """Add."""
        self._forward()

    def backward(self) -> None:
        """Pass the gradient on to those inputs that do not share it."""
        for contribute in self._backward:
            contribute()


class MaxPool(Step):
    """The largest of windows that lie side by side.

    Args:
        source: what it reads.
        size: of a window, pixels.
    """

    def __init__(self, source: FeatureMap, size: int) -> None:
        super().__init__([source], FeatureMap(source.channels, source.height // size, source.width // size))
        self.output.plain = True
        self._size = size

    def bind(self, batch: Batch, scratch: Tensor, contributions: Sequence[kernels.InputGradient | None]) -> None:
        """Prepare the calls."""
        (source,), out = self.inputs, self.output
        geometry = batch.geometry(
            *(source.channels, source.height, source.width),
            *(out.channels, out.height, out.width),
            self._size,
            self._size,
            0,
        )
        self._forward = Call(batch.dtype, "pool_forward", geometry, source.activation(), out.z)
        (contribution,) = contributions
        self._backward = contribution and Call(batch.dtype, "pool_backward", geometry, out.gradient, contribution)

    def forward(self, training: bool) -> None:
        """Take the largest, and of these the positive ones if a ReLU follows."""
        self._forward()
        if self.output.relu:
            self.output.z.relu_()

    def backward(self) -> None:
        """Give the gradient to the first of the largest."""
        if self._backward:
            self._backward()


class Mean(Step):
    """The mean over positions, which ends a trunk.

    Attributes:
        features: (samples, channels), written forward.
        gradient: (samples, channels), to be written before going backward.
    """

    def __init__(self, source: FeatureMap) -> None:
        super().__init__([source], FeatureMap(source.channels, 1, 1))

    def bind(self, batch: Batch, scratch: Tensor, contributions: Sequence[kernels.InputGradient | None]) -> None:
        """Prepare the calls."""
        (source,), (contribution,) = self.inputs, contributions
        shape = batch.shape(source.positions, source.channels)
        self.features = torch.zeros(batch.capacity, source.channels, dtype=batch.dtype)
        self.gradient = torch.zeros_like(self.features)
        self._forward = Call(batch.dtype, "mean_forward", shape, source.activation(), self.features)
        self._backward = contribution and Call(batch.dtype, "mean_backward", shape, self.gradient, contribution)

    def forward(self, training: bool) -> None:
        """Take the mean."""
        self._forward()

    def backward(self) -> None:
        """Spread the gradient over the positions."""
        if self._backward:
            self._backward()
