"""Dependence followed through a recording, for one choice of masks: forwards, and by autograd backwards.

Per number of each tensor it is computed, as 0 or 1 in float64, whether it may depend on the input. Sums and
products of these are not negative and so never cancel; after each operation what is not 0 becomes 1. The same
is done on the way back, so that a gradient that is not 0 means that a weight has a part in what is asked.
"""

import contextlib
from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import allow_mutation_on_saved_tensors
from torch.utils._pytree import tree_map

from prunecheck.pruning.dependence.flows import CONSTANT, PRECISION, Flow, Step
from prunecheck.pruning.dependence.recording import INPUT, NotKnown, Operation, Recording, Traced
from prunecheck.pruning.dependence.rules import everything, follow
from prunecheck.pruning.layers import Masks


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
    try:
        return _propagate(recording, masks, effective=effective)
    except NotKnown:
        raise
    except Exception as error:  # an operation is used as no rule expects
        raise NotKnown(f"it could not be followed ({type(error).__name__}: {error})".replace("\n", " ")) from error


def _propagate(recording: Recording, masks: Masks, *, effective: bool) -> Propagation:
    shape = recording.values[recording.output].shape
    if not shape or shape[0] != 2:
        raise NotKnown("its output has not one row for each image")
    weights = {layer: masks[layer].cpu().to(PRECISION).requires_grad_(effective) for layer in recording.weights}
    follower = _Follower(recording, weights)
    with (
        torch.set_grad_enabled(effective),
        allow_mutation_on_saved_tensors() if follower.shared else contextlib.nullcontext(),
    ):
        depends = follower.output().depends
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
        flows = {number: self.flows.get(number, CONSTANT) for number in operation.inputs}
        step = Step(operation, self.recording, flows)
        if operation.writes:
            # What is written beside what is returned, such as random noise, may be anything.
            beside = [number for number in operation.writes if number not in operation.outputs]
            numbers = [*operation.outputs, *beside]
            flows_of = [*follow(step), *(everything(step, beside) if beside else ())]
            self._write(operation, dict(zip(numbers, flows_of, strict=True)))
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
