"""Labels of channels: which numbers of each tensor belong to one channel, followed through a recording.

Every number of a tensor has a label. The output channels of each prunable layer have new ones; what moves numbers moves
their labels; where numbers of two labels meet in one place, as in a residual sum, the labels are joined, for their
channels can only be removed together. What mixes channels otherwise than a prunable layer does (a norm over
channels, attention, a layer that is not pruned) makes them fixed: removing one would change what is computed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy
import torch
from torch import Tensor

from prunecheck.pruning.dependence.recording import INPUT, Operation, Recording, Traced

FIXED = 0
"""The label of what cannot be removed: pixels, outputs, and what is mixed with them."""

CONSTANT = -1
"""The label of a constant of the forward pass, such as padding, which goes with whatever it meets."""


@dataclass
class Labels:
    """Labels of a network's tensors, and which of them are joined.

    Labels are whole numbers in float64, in which every operation that moves numbers can be done to them.

    Attributes:
        rows: per prunable layer, the labels of its output channels, (outputs,).
        columns: per prunable layer, those of its input channels, (inputs of a group,): fixed for a depthwise
            convolution, whose input channels are its output channels.
        others: per other parameter or buffer that was met, those of its numbers, of its shape.
    """

    recording: Recording
    tensors: dict[int, Tensor] = field(default_factory=dict)
    rows: dict[str, Tensor] = field(default_factory=dict)
    columns: dict[str, Tensor] = field(default_factory=dict)
    others: dict[str, Tensor] = field(default_factory=dict)
    count: int = 1
    _pairs: list[numpy.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tensors[INPUT] = self.same(self.recording.values[INPUT].shape, FIXED)
        self._places = {
            tensor.untyped_storage().data_ptr(): name
            for name, tensor in self.recording.constants.items()
            if tensor.numel() and tensor.is_contiguous() and tensor.storage_offset() == 0
        }

    def new(self, count: int) -> Tensor:
        """Return so many new labels."""
        self.count += count
        return torch.arange(self.count - count, self.count, dtype=torch.float64)

    @staticmethod
    def same(shape: Sequence[int], label: int) -> Tensor:
        """Return one label for all numbers of a tensor."""
        return torch.full((), label, dtype=torch.float64).expand(tuple(shape))

    def join(self, first: Tensor, second: Tensor) -> None:
        """Join the labels that stand in the same places of two tensors; a constant is joined with nothing."""
        a, b = numpy.broadcast_arrays(compact(first).numpy(), compact(second).numpy())
        together = (a != b) & (a >= 0) & (b >= 0)
        pairs = numpy.stack([a[together], b[together]]).astype(numpy.int64)
        if pairs.size:
            self._pairs.append(numpy.unique(pairs, axis=1))

    def meeting(self, first: Tensor, second: Tensor) -> Tensor:
        """Join what meets in the same places, and return what stands there then: the older label."""
        first, second = compact(first), compact(second)
        self.join(first, second)
        both = torch.minimum(first, second)
        return torch.where(first < 0, second, torch.where(second < 0, first, both))

    def fix(self, labels: Tensor) -> None:
        """Say that what has these labels cannot be removed."""
        self.join(labels, self.same((), FIXED))

    def components(self) -> numpy.ndarray:
        """Return, per label, the smallest of those that it is joined with, directly or not."""
        smallest = numpy.arange(self.count)
        first, second = numpy.concatenate([numpy.zeros((2, 1), numpy.int64), *self._pairs], axis=1)
        while True:
            lower = numpy.minimum(smallest[first], smallest[second])
            before = smallest.copy()
            for side in (first, second, before[first], before[second]):
                numpy.minimum.at(smallest, side, lower)
            smallest = smallest[smallest]
            if numpy.array_equal(smallest, before):
                return smallest

    def of(self, argument: object) -> Tensor | None:
        """Return the labels of an argument that is a tensor; None for a constant that is not known by name."""
        if isinstance(argument, Traced):
            return self.tensors[argument.number]
        if isinstance(argument, Tensor):
            return self._of_constant(argument)
        return None

    def _of_constant(self, tensor: Tensor) -> Tensor | None:
        name = self._places.get(tensor.untyped_storage().data_ptr())
        if name is None or tensor.numel() != self.recording.constants[name].numel() or not tensor.is_contiguous():
            return None
        if name not in self.others:
            shape = self.recording.constants[name].shape
            self.others[name] = self.new(math.prod(shape)).reshape(shape)
        return self.others[name].reshape(tensor.shape)

    def set_outputs(self, operation: Operation, labels: Sequence[Tensor]) -> None:
        """Give an operation's outputs their labels; what shares memory and is written to becomes fixed, if they change.

        Args:
            operation: whose outputs are meant.
            labels: one tensor for each.
        """
        for number, found in zip(operation.outputs, labels, strict=True):
            expanded = found.expand(self.recording.values[number].shape)
            before = self.tensors.get(number)
            if before is not None and not torch.equal(before, expanded):
                expanded = self._written(number, before, expanded)
            self.tensors[number] = expanded
        for number in operation.writes:
            if number not in operation.outputs:
                self.fix_all([number])

    def fix_all(self, numbers: Sequence[int]) -> None:
        """Fix the labels of tensors, and whatever they get later: their numbers are what cannot be followed."""
        for number in numbers:
            if number in self.tensors:
                self.fix(self.tensors[number])
            self.tensors[number] = self.same(self.recording.values[number].shape, FIXED)

    def _written(self, number: int, before: Tensor, after: Tensor) -> Tensor:
        storage = self.recording.storage(number)
        beside = [one for one in self.tensors if one != number and self.recording.storage(one) == storage]
        if not beside:
            return after
        self.fix(before)
        self.fix(after)
        self.fix_all(beside)
        return self.same(after.shape, FIXED)


def is_same_along(labels: Tensor, dimensions: Sequence[int]) -> bool:
    """Say whether all numbers that stand beside each other along some dimensions have one label."""
    labels = compact(labels)
    return all(bool((labels == labels.narrow(place, 0, 1)).all()) for place in dimensions if labels.shape[place])


def compact(labels: Tensor) -> Tensor:
    """Return labels without the dimensions along which they are repeated, but for one place of each."""
    for place in range(labels.dim()):
        if labels.stride(place) == 0 and labels.shape[place] > 1:
            labels = labels.narrow(place, 0, 1)
    return labels
