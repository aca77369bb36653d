"""The steps of a trunk, forward and backward."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from prunecheck.training.sparse import kernels
from prunecheck.training.sparse.feature_maps import Batch, FeatureMap
from prunecheck.training.sparse.kernels import Call, Work


@dataclass(frozen=True)
class StepWork:
    """What a step does.

    Attributes:
        training: to write the output, with the statistics of the batch.
        evaluation: the same with running statistics.
        backward: to read the output's gradient, which is complete, and contribute to those of the inputs.
    """

    training: Sequence[Work]
    evaluation: Sequence[Work]
    backward: Sequence[Work]


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
    def bind(self, batch: Batch, scratch: Tensor, contributions: Sequence[kernels.InputGradient | None]) -> StepWork:
        """Return what it does, with the memory that there is room in.

        Args:
            batch: how many samples.
            scratch: to compute with.
            contributions: per input, how to add to its gradient; None where that is not needed.
        """


class Join(Step):
    """The sum of two feature maps, and ReLU if one follows."""

    def __init__(self, first: FeatureMap, second: FeatureMap) -> None:
        super().__init__([first, second], FeatureMap(first.channels, first.height, first.width))
        self.output.plain = True

    def bind(self, batch: Batch, scratch: Tensor, contributions: Sequence[kernels.InputGradient | None]) -> StepWork:
        """Return how it adds, and passes the gradient on to those inputs that do not share it."""
        shape = batch.shape(self.output.positions, self.output.channels)
        first, second = (feature_map.activation() for feature_map in self.inputs)
        add = Call(batch.dtype, "join_forward", shape, first, second, int(self.output.relu), self.output.z)
        backward = [
            Call(batch.dtype, "join_backward", shape, self.output.gradient, contribution)
            for contribution in contributions
            if contribution
        ]
        return StepWork([add], [add], backward)


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

    def bind(self, batch: Batch, scratch: Tensor, contributions: Sequence[kernels.InputGradient | None]) -> StepWork:
        """Return how it takes the largest, the positive ones if a ReLU follows; the first of them gets the gradient."""
        (source,), out, (contribution,) = self.inputs, self.output, contributions
        geometry = batch.geometry(
            *(source.channels, source.height, source.width),
            *(out.channels, out.height, out.width),
            self._size,
            self._size,
            0,
        )
        forward: list[Work] = [Call(batch.dtype, "pool_forward", geometry, source.activation(), out.z)]
        if out.relu:
            forward.append(out.z.relu_)
        backward = [Call(batch.dtype, "pool_backward", geometry, out.gradient, contribution)] if contribution else []
        return StepWork(forward, forward, backward)


class Mean(Step):
    """The mean over positions, which ends a trunk.

    Attributes:
        features: (samples, channels), written forward.
        gradient: (samples, channels), to be written before going backward.
    """

    def __init__(self, source: FeatureMap) -> None:
        super().__init__([source], FeatureMap(source.channels, 1, 1))

    def bind(self, batch: Batch, scratch: Tensor, contributions: Sequence[kernels.InputGradient | None]) -> StepWork:
        """Return how it takes the mean, and spreads the gradient over the positions."""
        (source,), (contribution,) = self.inputs, contributions
        shape = batch.shape(source.positions, source.channels)
        self.features = torch.zeros(batch.capacity, source.channels, dtype=batch.dtype)
        self.gradient = torch.zeros_like(self.features)
        take = Call(batch.dtype, "mean_forward", shape, source.activation(), self.features)
        backward = [Call(batch.dtype, "mean_backward", shape, self.gradient, contribution)] if contribution else []
        return StepWork([take], [take], backward)
