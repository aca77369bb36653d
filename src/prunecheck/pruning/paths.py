"""Paths through a network: which output channels of its layers lead to which input channels of others.

Followed through a recording of one forward pass, as the channels that can only be removed together are. Where two
tensors are added, the sum leads on from both, but for what the other one was made of: the shortcut of a residual block
is no way by itself, unless it has weights of its own.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.pruning.channels.labels import CONSTANT, FIXED, Labels, compact
from prunecheck.pruning.channels.rules import shape_of
from prunecheck.pruning.channels.units import Tracer
from prunecheck.pruning.copying import copy_network
from prunecheck.pruning.dependence.recording import NotKnown, Operation, Recording, Traced, record
from prunecheck.pruning.layers import choose_prunable

Channel = tuple[str, int]
"""A layer and the number of one of its channels."""

IMAGE = ""
"""Stands in the place of a layer for the image."""

NORMS = {"native_layer_norm": "input", "native_group_norm": "input"}
"""What looks at several channels and leaves each where it is, and its argument."""


@dataclass(frozen=True, eq=False)
class Paths:
    """Which channels lead to which.

    Attributes:
        groups: per layer that is used, pruned or not, in how many groups its channels fall; 1 for linear layers.
        sources: per layer and input channel (of all groups), the output channels that lead to it; of the image, none.
        entries: the input channels that the image leads to, layer by layer.
        exits: the output channels that lead to the network's output, in its order.
    """

    groups: Mapping[str, int]
    sources: Mapping[str, tuple[tuple[Channel, ...], ...]]
    entries: tuple[Channel, ...]
    exits: tuple[Channel, ...]

    def onward(self) -> dict[Channel, dict[str, list[int]]]:
        """Return per output channel the layers that it leads to, and which of their input channels."""
        found: dict[Channel, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for layer, columns in self.sources.items():
            for column, channels in enumerate(columns):
                for channel in channels:
                    found[channel][layer].append(column)
        return {channel: dict(layers) for channel, layers in found.items()}


def find_paths(model: nn.Module, image_shape: tuple[int, ...], name: str) -> Paths:
    """Return the paths through a network, by layers that may be pruned and by those that may not.

    Args:
        model: with any weights; it is left as it was.
        image_shape: channels, height and width of the input.
        name: of the method that needs them, for the error.

    Raises:
        InputError: the network cannot be followed.
    """
    channels, height, width = image_shape
    try:
        labels = _Sources(record(choose_prunable(copy_network(model)), (channels, height, width)))
        tracer = _PathTracer(labels)
        for operation in labels.recording.operations:
            tracer.follow(operation)
        return labels.paths(tracer.groups)
    except InputError:
        raise
    except Exception as error:  # NotKnown, or an operation is used as no rule expects
        reason = str(error) if isinstance(error, NotKnown) else f"{type(error).__name__}: {error}"
        raise InputError(
            f"the paths through this network cannot be followed, which {name} walks "
            f"({' '.join(reason.split())[:200]}): choose another method, such as synflow."
        ) from error


class _Sources(Labels):
    """Labels that say which channels a number comes from: every output channel has one, and every set of them."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording)
        self._members: dict[int, frozenset[Channel]] = {FIXED: frozenset({(IMAGE, 0)})}
        self._label_of: dict[frozenset[Channel], int] = {}
        self._before: dict[str, frozenset[str]] = {IMAGE: frozenset()}

    def give_out(self, layer: str) -> None:
        """Give the output channels of a layer, whose input channels are known, labels of their own."""
        count = self.recording.values[self.recording.weights[layer]].shape[0]
        self.rows[layer] = self.new(count)
        for row, label in enumerate(self.rows[layer].to(torch.int64).tolist()):
            self._members[label] = frozenset({(layer, row)})
        leading = {found[0] for label in set(self.columns[layer].tolist()) for found in self._members[int(label)]}
        self._before[layer] = frozenset(leading.union(*(self._before[other] for other in leading)))

    def join(self, first: Tensor, second: Tensor) -> None:
        """Leave labels apart: channels that meet are ways of their own."""

    def fix(self, labels: Tensor) -> None:
        """Refuse what mixes channels otherwise than a layer does."""
        raise NotKnown("it has an operation on channels that is not known")

    def meeting(self, first: Tensor, second: Tensor) -> Tensor:
        """Return labels of the channels from which either comes."""
        a, b = numpy.broadcast_arrays(compact(first).numpy(), compact(second).numpy())
        met = numpy.where(a < 0, b, a)
        are_two = (a != b) & (a >= 0) & (b >= 0)
        if are_two.any():
            pairs, places = numpy.unique(numpy.stack([a[are_two], b[are_two]]), axis=1, return_inverse=True)
            both = [self._both(int(one), int(other)) for one, other in pairs.T]
            met[are_two] = numpy.asarray(both, dtype=met.dtype)[places.reshape(-1)]
        return torch.from_numpy(met)

    def _both(self, first: int, second: int) -> int:
        found = self._members[first] | self._members[second]
        earlier = frozenset().union(*(self._before[layer] for layer, _ in found))
        found = frozenset(channel for channel in found if channel[0] not in earlier)
        if found not in self._label_of:
            known = (label for label in (first, second) if self._members[label] == found)
            label = next(known, None)
            self._label_of[found] = int(self.new(1)) if label is None else label
            self._members[self._label_of[found]] = found
        return self._label_of[found]

    def _of_constant(self, tensor: Tensor) -> Tensor:
        return self.same(tensor.shape, CONSTANT)

    def paths(self, groups: Mapping[str, int]) -> Paths:
        """Return what leads where, once all operations have been followed."""

        def channels(label: float) -> tuple[Channel, ...]:
            return tuple(sorted(self._members[int(label)] - {(IMAGE, 0)})) if label >= 0 else ()

        sources = {layer: tuple(map(channels, self.columns[layer].tolist())) for layer in groups}
        entries = [
            (layer, column)
            for layer in groups
            for column, label in enumerate(self.columns[layer].tolist())
            if (IMAGE, 0) in self._members[int(label)]
        ]
        output = self.tensors[self.recording.output][0].flatten().tolist()
        exits = dict.fromkeys(channel for label in output for channel in channels(label))
        return Paths(dict(groups), sources, tuple(entries), tuple(exits))


class _PathTracer(Tracer):
    """Follows labels through layers, which are used once."""

    labels: _Sources

    def __init__(self, labels: _Sources) -> None:
        super().__init__(labels)
        self.groups: dict[str, int] = {}

    def follow(self, operation: Operation) -> None:
        """Label an operation's outputs."""
        found = self.labels.of(operation.argument(NORMS.get(operation.name, "")))
        if found is None:
            super().follow(operation)
            return
        shapes = [self.labels.recording.values[number].shape for number in operation.outputs]
        self.labels.set_outputs(operation, [found, *(self.labels.same(shape, CONSTANT) for shape in shapes[1:])])

    def _convolve(self, operation: Operation) -> bool:
        if (convolved := self._convolved(operation)) is None:
            return False
        layer, labels = convolved
        self._take_in(layer, self._channels(labels))
        self.groups[layer] = operation.argument("groups")
        rows = self._give_out(layer, None)
        shape = shape_of(self.labels, Traced(operation.outputs[0]))
        self.labels.set_outputs(operation, [rows.reshape(1, -1, *(1 for _ in shape[2:])).expand(shape)])
        return True

    def _take_in(self, layer: str, columns: Tensor, *, is_fixing: bool = True) -> None:
        if layer in self.labels.columns:
            raise NotKnown(f"the weights of layer {layer} are used twice")
        self.labels.columns[layer] = columns
        self.groups[layer] = 1

    def _give_out(self, layer: str, rows: Tensor | None, groups: int = 1) -> Tensor:
        self.labels.give_out(layer)
        return self.labels.rows[layer]

    def _meet_bias(self, rows: Tensor, bias: object) -> None:
        """Leave biases out: no path leads through them."""

    def _spoil(self, layer: str) -> None:
        raise NotKnown(f"the weights of layer {layer} are used otherwise than to multiply with")
