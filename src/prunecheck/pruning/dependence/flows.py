"""What is followed of tensors: whether their numbers may depend on the input, and whether they may be other than 0."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from prunecheck.pruning.dependence.recording import Operation, Recording, Traced

PRECISION = torch.float64
"""In float32, convolutions may be computed by transforms that round 0 to something else."""


class Flow:
    """What is followed of one tensor.

    Attributes:
        depends: of the tensor's shape, 1 where it may depend on the input; None if it does not anywhere.
    """

    def __init__(self, depends: Tensor | None = None, nonzero: Callable[[], Tensor | None] | None = None) -> None:
        self.depends = depends
        self._nonzero = nonzero

    @property
    def nonzero(self) -> Tensor | None:
        """1 where it may be other than 0; None if that is everywhere and has nothing to do with prunable weights.

        Computed when it is first asked for: what only passes through layers and norms never is.
        """
        if callable(self._nonzero):
            self._nonzero = self._nonzero()  # type: ignore[assignment]
        return self._nonzero  # type: ignore[return-value]

    @property
    def is_constant(self) -> bool:
        """Whether it is neither computed from the input nor from a prunable weight."""
        return self.depends is None and self._nonzero is None


CONSTANT = Flow()


@dataclass(frozen=True)
class Step:
    """An operation, with what is followed of its inputs."""

    operation: Operation
    recording: Recording
    flows: dict[int, Flow]

    def flow(self, argument: object) -> Flow:
        """Return what is followed of an argument; of anything else than a traced tensor, that it is constant."""
        return self.flows[argument.number] if isinstance(argument, Traced) else CONSTANT

    def of(self, name: str) -> Flow:
        """Return what is followed of the argument of this name."""
        return self.flow(self.operation.argument(name))

    def shape(self, argument: Any) -> torch.Size:
        """Return the shape of an argument that is a tensor."""
        tensor: Tensor = self.recording.values[argument.number] if isinstance(argument, Traced) else argument
        return tensor.shape

    @property
    def output_shapes(self) -> list[torch.Size]:
        """Shapes of the outputs."""
        return [self.recording.values[number].shape for number in self.operation.outputs]

    @property
    def inputs(self) -> list[tuple[torch.Size, Flow]]:
        """Shape and flow of each input that is not constant."""
        found = [(self.recording.values[number].shape, self.flows[number]) for number in self.operation.inputs]
        return [(shape, flow) for shape, flow in found if not flow.is_constant]

    def is_all_in(self, *names: str) -> bool:
        """Whether nothing but the arguments of these names is computed from the input or a prunable weight."""
        expected = {number for name in names for number in numbers_in(self.operation.argument(name))}
        return all(self.flows[number].is_constant or number in expected for number in self.operation.inputs)


def numbers_in(argument: Any) -> list[int]:
    """Return the numbers of the traced tensors in an argument."""
    items = argument if isinstance(argument, list | tuple) else [argument]
    return [item.number for item in items if isinstance(item, Traced)]


class Cut(torch.autograd.Function):
    """Makes 1 of what is not 0, forwards and backwards."""

    @staticmethod
    def forward(context: Any, counts: Tensor) -> Tensor:
        """Return 0 and 1."""
        return (counts > 0).to(counts.dtype)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> Tensor:
        """Return 0 and 1."""
        return (gradient > 0).to(gradient.dtype)


def cut(counts: Tensor) -> Tensor:
    """Return 1 where ``counts`` is not 0, differentiably in the sense of :class:`Cut`."""
    if not counts.requires_grad:
        return (counts > 0).to(counts.dtype)
    result: Tensor = Cut.apply(counts)  # type: ignore[no-untyped-call]
    return result


def mapped(flow: Flow, change: Callable[[Tensor], Tensor]) -> Flow:
    """Return a flow changed by what numbers are joined with, to which a constant may be added."""

    def nonzero() -> Tensor | None:
        return None if flow.nonzero is None else cut(change(flow.nonzero) + 1)

    return Flow(None if flow.depends is None else cut(change(flow.depends)), nonzero)


def expanded(flow: Flow, shape: torch.Size) -> Flow:
    """Return a flow repeated to a larger shape."""

    def nonzero() -> Tensor | None:
        return None if flow.nonzero is None else flow.nonzero.expand(shape)

    return Flow(None if flow.depends is None else flow.depends.expand(shape), nonzero)
