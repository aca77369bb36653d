"""Dependence followed through a recording, for one choice of masks: forwards, and by autograd backwards.

Per number of each tensor it is computed, as 0 or 1 in float64, whether it may depend on the input. Sums and
products of these are not negative and so never cancel; after each operation what is not 0 becomes 1. The same
is done on the way back, so that a gradient that is not 0 means that a weight has a part in what is asked.
"""

import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.autograd.graph import allow_mutation_on_saved_tensors
from torch.utils._pytree import tree_map

from prunecheck.pruning.dependence.recording import INPUT, NotKnown, Operation, Recording, Traced
from prunecheck.pruning.layers import Masks

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


@dataclass(frozen=True)
class Propagation:
    """What follows from one choice of masks.

    Attributes:
        reached: per output of the network for the first image, whether it may depend on that image.
        effective: which weights have a part in that; empty if it was not asked for.
    """

    reached: Tensor
    effective: Masks


def propagate(recording: Recording, masks: Masks, *, effective: bool) -> Propagation:
    """Follow the input of the first image through a recording.

    Args:
        recording: of the network.
        masks: True = kept, by layer name.
        effective: whether it is asked for which weights have a part in what is reached.

    Raises:
        NotKnown: something is written in place through views that cannot be followed, or the output
            has not one row for each image.
    """
    shape = recording.values[recording.output].shape
    if not shape or shape[0] != 2:
        raise NotKnown("its output has not one row for each image")
    weights = {layer: masks[layer].cpu().to(PRECISION).requires_grad_(effective) for layer in recording.weights}
    with (
        torch.set_grad_enabled(effective),
        allow_mutation_on_saved_tensors() if _shared(recording) else contextlib.nullcontext(),
    ):
        depends = _Follower(recording, weights).output().depends
        if depends is None:
            nothing = {layer: torch.zeros_like(mask, dtype=torch.bool) for layer, mask in masks.items()}
            return Propagation(torch.zeros(shape[1:], dtype=torch.bool), nothing if effective else {})
        reached = depends[0].detach() > 0
        return Propagation(reached, _with_gradients(depends[0].sum(), weights) if effective else {})


def _with_gradients(asked: Tensor, weights: dict[str, Tensor]) -> Masks:
    """Return where the weights have a gradient: their part in what is asked."""
    if not asked.requires_grad:
        return {layer: torch.zeros_like(weight, dtype=torch.bool) for layer, weight in weights.items()}
    gradients = torch.autograd.grad(asked, list(weights.values()), materialize_grads=True)
    return {layer: gradient > 0 for layer, gradient in zip(weights, gradients, strict=True)}


def _shared(recording: Recording) -> set[int]:
    """Return the storages that are written to and that several tensors share: there, writing is done in place."""
    written = {recording.storage(number) for operation in recording.operations for number in operation.writes}
    holders = Counter(recording.storage(number) for number in range(len(recording.values)))
    return {storage for storage in written if holders[storage] > 1}


class _Follower:
    def __init__(self, recording: Recording, weights: dict[str, Tensor]) -> None:
        self.recording = recording
        self.shared = _shared(recording)
        first = torch.zeros(recording.values[INPUT].shape, dtype=PRECISION)
        first[0] = 1
        self.flows = {INPUT: Flow(first)}
        for layer, number in recording.weights.items():
            self.flows[number] = Flow(nonzero=lambda weight=weights[layer]: weight)  # type: ignore[misc]
        if any(recording.storage(number) in self.shared for number in recording.weights.values()):
            raise NotKnown("it changes its weights in place")

    def output(self) -> Flow:
        for operation in self.recording.operations:
            self._follow(operation)
        return self.flows.get(self.recording.output, CONSTANT)

    def _follow(self, operation: Operation) -> None:
        from prunecheck.pruning.dependence.rules import everything, follow

        flows = {number: self.flows.get(number, CONSTANT) for number in operation.inputs}
        step = Step(operation, self.recording, flows)
        if operation.writes:
            # What is written beside what is returned, such as random noise, may be anything.
            beside = [number for number in operation.writes if number not in operation.outputs]
            found = dict(zip(operation.outputs, follow(step), strict=True))
            self._write(operation, found | dict(zip(beside, everything(step, beside), strict=True)))
            return
        is_view = operation.function.is_view
        if is_view and any(self._is_shared(number) for number in operation.outputs):
            self._view(operation)
            return
        is_constant = all(flow.is_constant for flow in flows.values())
        of_outputs = [CONSTANT] * len(operation.outputs) if is_constant else follow(step)
        for number, flow in zip(operation.outputs, of_outputs, strict=True):
            self.flows[number] = self._own(number, flow) if self._is_shared(number) else flow

    def _is_shared(self, number: int) -> bool:
        return self.recording.storage(number) in self.shared

    def _own(self, number: int, flow: Flow) -> Flow:
        """Return a flow with memory of its own, for later operations write into it."""
        if flow.depends is None:
            return Flow(torch.zeros(self.recording.values[number].shape, dtype=PRECISION))
        return Flow(flow.depends.clone())

    def _write(self, operation: Operation, found: dict[int, Flow]) -> None:
        for number, flow in found.items():
            if not self._is_shared(number):
                self.flows[number] = flow
            elif number in operation.writes:
                self._write_in_place(number, flow.depends)
            else:
                self.flows[number] = self._own(number, flow)

    def _write_in_place(self, number: int, new: Tensor | None) -> None:
        target = self.flows[number].depends
        if target is None:
            raise NotKnown("it writes into a view of a constant")
        target.copy_(torch.zeros_like(target) if new is None else new.expand(target.shape))

    def _view(self, operation: Operation) -> None:
        base = self.flows[operation.inputs[0]].depends
        if base is None:
            raise NotKnown("it writes into a view of a constant")
        args = tree_map(lambda item: base if isinstance(item, Traced) else item, operation.args)
        # A detached tensor leads on all the same: values count here, not what is learned through them.
        function = torch.ops.aten.alias.default if operation.name == "detach" else operation.function
        views = function(*args, **operation.kwargs)
        for number, view in zip(operation.outputs, [views] if isinstance(views, Tensor) else views, strict=True):
            if view.untyped_storage().data_ptr() != base.untyped_storage().data_ptr():
                raise NotKnown("it writes into a view that cannot be followed")
            self.flows[number] = Flow(view)


class Cut(torch.autograd.Function):
    """Makes 1 of what is not 0, forwards and backwards."""

    @staticmethod
    def forward(context: Any, counts: Tensor) -> Tensor:
        """Return 0 and 1."""
        return (counts > 0).to(counts.dtype)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(context: Any, gradient: Tensor) -> Tensor:
        """Return 0 and 1."""
        return (gradient > 0).to(gradient.dtype)


def cut(counts: Tensor) -> Tensor:
    """Return 1 where ``counts`` is not 0, differentiably in the sense of :class:`Cut`."""
    result: Tensor = Cut.apply(counts)  # type: ignore[no-untyped-call]
    return result
