"""Channels that can only be removed together, found in any network by following labels through its operations."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor, nn

from prunecheck.errors import InputError
from prunecheck.pruning.channels.labels import FIXED, Labels
from prunecheck.pruning.channels.rules import follow, shape_of
from prunecheck.pruning.dependence.recording import NotKnown, Operation, Traced, record
from prunecheck.pruning.layers import Shapes, prunable_shapes

NONE = -1
"""In the place of a unit's number: what is no channel that can be removed."""

TURNING = ("t", "transpose", "permute")

KEEPING = ("detach", "alias", "clone", "_to_copy", "view", "_unsafe_view", "_reshape_alias")


@dataclass(frozen=True, eq=False)
class ChannelUnits:
    """Which channels of a network can be removed, and what leaves with each.

    A unit is a set of output channels that are only removed together: those that meet in a residual sum, the
    channels of a depthwise convolution and those that it takes, the channels of the same number in each
    group of a convolution in groups. With a unit go its rows of weights, the columns of the layers that take it in, and
    its numbers of other parameters and buffers, such as batch norm's.

    Attributes:
        shapes: of the prunable weights by layer.
        rows: per prunable layer, the unit of each output channel, int64 (outputs,); -1 for what stays.
        columns: per prunable layer, the unit of each input channel of a group, int64 (inputs of a group,).
        others: per other parameter or buffer with such numbers, the unit of each of its numbers, of its shape.
        pools: by name, the units that can stand for each other, int64: they leave with as many channels of
            the same layers. They are named after the layers whose output channels they are.
    """

    shapes: Shapes
    rows: Mapping[str, Tensor]
    columns: Mapping[str, Tensor]
    others: Mapping[str, Tensor]
    pools: Mapping[str, Tensor]

    @property
    def count(self) -> int:
        """How many units there are."""
        return sum(len(units) for units in self.pools.values())


def find_channel_units(model: nn.Module, image_shape: tuple[int, ...]) -> ChannelUnits:
    """Return which channels of a network can be removed, and what leaves with each.

    Args:
        model: with any weights: their values are not asked for. It is left as it was.
        image_shape: channels, height and width of the input.

    Raises:
        InputError: the network cannot be followed, or has no channel that can be removed.
    """
    channels, height, width = image_shape
    try:
        recording = record(model, (channels, height, width))
        labels = Labels(recording)
        tracer = Tracer(labels)
        for operation in recording.operations:
            tracer.follow(operation)
        labels.fix(labels.tensors[recording.output])
    except NotKnown as error:
        raise InputError(
            f"the channels of this network cannot be followed ({error}): choose another pattern, such as 2:4."
        ) from error
    except Exception as error:  # an operation is used as no rule expects
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(
            f"the channels of this network cannot be followed ({reason}): choose another pattern, such as 2:4."
        ) from error
    units = _units(labels, prunable_shapes(model))
    if not units.count:
        raise InputError(
            "no channel of this network can be removed by itself, because what its layers give out meets norms over "
            "channels, attention, layers that are kept dense or the output: choose another pattern, such as 2:4."
        )
    return units


class Tracer:
    """Follows labels, and knows which tensors are prunable weights."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.weights = {number: (layer, False) for layer, number in labels.recording.weights.items()}

    def follow(self, operation: Operation) -> None:
        """Label an operation's outputs."""
        used = [number for number in operation.inputs if number in self.weights]
        if not used:
            follow(self.labels, operation)
        elif len(operation.inputs) == 1 and not operation.writes and self._is_same_weight(operation):
            pass
        elif not self._apply(operation):
            for number in used:
                self._spoil(self.weights[number][0])
                self.labels.tensors[number] = self.labels.same(self.labels.recording.values[number].shape, FIXED)
            self.labels.fix_all([number for number in operation.inputs if number not in used])
            values = self.labels.recording.values
            found = [self.labels.same(values[number].shape, FIXED) for number in operation.outputs]
            self.labels.set_outputs(operation, found)

    def _is_same_weight(self, operation: Operation) -> bool:
        """Say whether what comes out is a prunable weight again, as it was or transposed."""
        (number,), layer_and_side = operation.inputs, self.weights[operation.inputs[0]]
        layer, is_turned = layer_and_side
        values = self.labels.recording.values
        before, after = values[number].shape, values[operation.outputs[0]].shape
        if operation.name in TURNING and len(before) == 2:
            is_now = is_turned != (after != before or values[operation.outputs[0]].stride() != values[number].stride())
            self.weights[operation.outputs[0]] = layer, is_now
            return True
        if operation.name in KEEPING and before == after:
            self.weights[operation.outputs[0]] = layer, is_turned
            return True
        return False

    def _apply(self, operation: Operation) -> bool:
        """Follow an operation that multiplies with one weight, if it is one that is known."""
        if operation.function.namespace != "aten":
            return False
        if operation.name == "convolution":
            return self._convolve(operation)
        left, right, is_turned = {
            "mm": ("self", "mat2", True), "addmm": ("mat1", "mat2", True), "linear": ("input", "weight", False),
        }.get(operation.name, ("", "", False))  # fmt: skip
        x, weight = (operation.argument(name) if name else None for name in (left, right))
        if not isinstance(weight, Traced) or self.weights.get(weight.number, ("", None))[1] is not is_turned:
            return False
        labels = self.labels.of(x)
        if labels is None or (isinstance(x, Traced) and x.number in self.weights):
            return False
        flat = labels.reshape(-1, labels.shape[-1])
        layer = self.weights[weight.number][0]
        self._take_in(layer, self._channels(flat.unsqueeze(-1)))
        bias = operation.argument("self" if operation.name == "addmm" else "bias")
        rows = self._give_out(layer, None)
        self._meet_bias(rows, bias)
        self.labels.set_outputs(operation, [rows.expand(self._shape(operation))])
        return True

    def _convolved(self, operation: Operation) -> tuple[str, Tensor] | None:
        """Return the layer that convolves, and the labels of what it convolves; None if either is not known."""
        x, weight = operation.argument("input"), operation.argument("weight")
        if operation.argument("transposed") or not isinstance(weight, Traced) or weight.number not in self.weights:
            return None
        labels = self.labels.of(x)
        if labels is None or (isinstance(x, Traced) and x.number in self.weights):
            return None
        return self.weights[weight.number][0], labels

    def _convolve(self, operation: Operation) -> bool:
        if (convolved := self._convolved(operation)) is None:
            return False
        layer, labels = convolved
        outputs, inputs_of_group = shape_of(self.labels, operation.argument("weight"))[:2]
        groups = operation.argument("groups")
        taken = self._channels(labels)
        if groups > 1 and inputs_of_group == 1:
            rows = self._give_out(layer, taken.repeat_interleave(outputs // groups))
            self._take_in(layer, self.labels.same((1,), FIXED), is_fixing=False)
        else:
            by_group = taken.reshape(groups, inputs_of_group)
            self.labels.join(by_group, by_group[:1])
            self._take_in(layer, by_group[0])
            rows = self._give_out(layer, None, groups)
        self._meet_bias(rows, operation.argument("bias"))
        places = (1, -1, *(1 for _ in self._shape(operation)[2:]))
        self.labels.set_outputs(operation, [rows.reshape(places).expand(self._shape(operation))])
        return True

    def _shape(self, operation: Operation) -> torch.Size:
        return self.labels.recording.values[operation.outputs[0]].shape

    def _channels(self, labels: Tensor) -> Tensor:
        """Return one label for each channel, the second dimension; those of its other places are joined with it."""
        first = labels[(slice(0, 1), slice(None), *(slice(0, 1) for _ in range(labels.dim() - 2)))]
        self.labels.join(labels, first)
        return first.reshape(-1).clamp(min=FIXED)  # a channel of constants cannot be removed

    def _take_in(self, layer: str, columns: Tensor, *, is_fixing: bool = True) -> None:
        if layer in self.labels.columns and is_fixing:
            self.labels.join(columns, self.labels.columns[layer])
        self.labels.columns.setdefault(layer, columns)

    def _give_out(self, layer: str, rows: Tensor | None, groups: int = 1) -> Tensor:
        """Return the labels of a layer's output channels: those that it has already, the given ones, or new ones."""
        known = self.labels.rows.get(layer)
        if known is not None:
            if rows is not None:
                self.labels.join(known, rows)
            return known
        outputs = self.labels.recording.values[self.labels.recording.weights[layer]].shape[0]
        self.labels.rows[layer] = self.labels.new(outputs // groups).repeat(groups) if rows is None else rows
        return self.labels.rows[layer]

    def _meet_bias(self, rows: Tensor, bias: object) -> None:
        if bias is None:
            return
        known = self.labels.of(bias)
        if known is None or known.shape != rows.shape:
            self.labels.fix(rows)
        else:
            self.labels.join(rows, known)

    def _spoil(self, layer: str) -> None:
        """Keep all channels of a layer whose weight is used in another way."""
        shape = self.labels.recording.values[self.labels.recording.weights[layer]].shape
        self.labels.fix(self._give_out(layer, None))
        self._take_in(layer, self.labels.same(shape[1:2], FIXED))
        self.labels.fix(self.labels.columns[layer])


def _units(labels: Labels, shapes: Shapes) -> ChannelUnits:
    components = labels.components()
    for rows in (labels.rows[layer].to(torch.int64).numpy() for layer in shapes if layer in labels.rows):
        if len(set(components[rows])) == 1:  # without it the layer would be empty
            components[components == components[rows[0]]] = components[FIXED]
    candidates = [components[rows.to(torch.int64).numpy()] for rows in labels.rows.values()]
    found = [unit for unit in dict.fromkeys(numpy.concatenate(candidates).tolist()) if unit != components[FIXED]]
    numbers = numpy.full(components.max() + 1, NONE)
    numbers[found] = numpy.arange(len(found))

    def units_of(tensor: Tensor) -> Tensor:
        return torch.from_numpy(numbers[components[tensor.to(torch.int64).numpy()]])

    fixed = {layer: labels.same(shape[:2], FIXED) for layer, shape in shapes.items()}
    rows_by_layer = {layer: units_of(labels.rows.get(layer, fixed[layer][:, 0])) for layer in shapes}
    columns = {layer: units_of(labels.columns.get(layer, fixed[layer][0])) for layer in shapes}
    others = {
        name: units for name, tensor in labels.others.items() if bool(((units := units_of(tensor)) != NONE).any())
    }
    return ChannelUnits(shapes, rows_by_layer, columns, others, _pools(rows_by_layer, columns, len(found)))


def _pools(rows: Mapping[str, Tensor], columns: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """Return the units that have equally many rows and columns of each layer, under the names of the layers."""

    def counted(units: Tensor) -> Tensor:
        return torch.bincount(units[units != NONE], minlength=count)

    counts = torch.stack([counted(units) for side in (rows, columns) for units in side.values()], dim=1)
    kinds, kind_of = (torch.from_numpy(found) for found in numpy.unique(counts.numpy(), axis=0, return_inverse=True))
    layers = list(rows)
    pools: dict[str, Tensor] = {}
    for kind in dict.fromkeys(kind_of.tolist()):
        members = (kind_of == kind).nonzero().flatten()
        name = "+".join(layer for layer, number in zip(layers, kinds[kind].tolist(), strict=False) if number)
        same = sum(other.partition("#")[0] == name for other in pools)
        pools[f"{name}#{same + 1}" if same else name] = members
    return pools
