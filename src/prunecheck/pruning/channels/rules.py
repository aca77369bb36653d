"""Per kind of operation, what labels its outputs have, and which labels it joins or fixes."""

from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map

from prunecheck.pruning.channels.labels import CONSTANT, FIXED, Labels, is_same_along
from prunecheck.pruning.dependence.joining_rules import BATCH_NORMS, TOGETHER
from prunecheck.pruning.dependence.moving_rules import RESHAPING
from prunecheck.pruning.dependence.recording import Operation, Traced
from prunecheck.pruning.dependence.rules import POINTWISE, SAME

Rule = Callable[[Labels, Operation], "list[Tensor] | None"]
"""Returns the labels of each output, None where the rule does not hold: what goes in is fixed then."""

MOVED = (
    "view", "_unsafe_view", "_reshape_alias", "permute", "transpose", "t", "expand", "slice", "select", "unsqueeze",
    "squeeze", "unbind", "split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk", "cat",
    "stack", "flip", "roll", "repeat", "unfold", "diagonal", "reflection_pad1d", "reflection_pad2d",
    "replication_pad1d", "replication_pad2d", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle",
    "upsample_nearest1d", "upsample_nearest2d", "_upsample_nearest_exact1d", "_upsample_nearest_exact2d",
)  # fmt: skip
"""What moves or repeats numbers, whatever they are."""

SPLITTING = ("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk", "unbind")

OVER_POSITIONS = {
    "max_pool2d_with_indices": 2, "avg_pool2d": 2, "_adaptive_avg_pool2d": 2, "adaptive_max_pool2d": 2,
    "max_pool3d_with_indices": 3, "avg_pool3d": 3, "_adaptive_avg_pool3d": 3, "adaptive_max_pool3d": 3,
    "upsample_bilinear2d": 2, "upsample_bicubic2d": 2, "_upsample_bilinear2d_aa": 2, "upsample_linear1d": 1,
    "upsample_trilinear3d": 3,
}  # fmt: skip
"""What joins positions of each channel by itself, and along how many of the last dimensions."""

ADDED_UP = ("sum", "mean", "nansum", "cumsum")


def follow(labels: Labels, operation: Operation) -> None:
    """Label an operation's outputs; one that is not known fixes all that goes into it."""
    rule = _rule_of(operation)
    found = rule(labels, operation) if rule else None
    if found is None:
        labels.fix_all([*operation.inputs])
        found = [labels.same(labels.recording.values[number].shape, FIXED) for number in operation.outputs]
    labels.set_outputs(operation, found)


def _rule_of(operation: Operation) -> Rule | None:
    name = operation.name
    plain = name.removesuffix("_") if operation.writes else name
    if operation.function.namespace == "aten":
        for key in (name, plain):
            if key in RULES:
                return RULES[key]
    return _pointwise if torch.Tag.pointwise in operation.function.tags else None


def shape_of(labels: Labels, argument: object) -> torch.Size:
    """Return the shape of an argument that is a tensor."""
    if isinstance(argument, Traced):
        return labels.recording.values[argument.number].shape
    assert isinstance(argument, Tensor)
    return argument.shape


def _output_shape(labels: Labels, operation: Operation) -> torch.Size:
    return labels.recording.values[operation.outputs[0]].shape


def _pointwise(labels: Labels, operation: Operation) -> list[Tensor] | None:
    shape = _output_shape(labels, operation)
    tensors = [
        item for item in tree_flatten((operation.args, operation.kwargs))[0] if isinstance(item, Traced | Tensor)
    ]
    if any(not _fits(shape_of(labels, item), shape) for item in tensors):
        return None
    known = [found for found in map(labels.of, tensors) if found is not None]
    met = reduce(labels.meeting, known)
    for item in tensors:
        # A constant tensor that differs from channel to channel would have to be cut, too.
        if labels.of(item) is None and not is_same_along(met.expand(shape), _long(shape_of(labels, item), len(shape))):
            labels.fix(met)
            met = labels.same((), FIXED)
    return [met.expand(labels.recording.values[number].shape) for number in operation.outputs]


def _fits(shape: torch.Size, output: torch.Size) -> bool:
    return len(shape) <= len(output) and all(
        size in (1, whole) for size, whole in zip(reversed(shape), reversed(output), strict=False)
    )


def _long(shape: torch.Size, count: int) -> list[int]:
    """Return the dimensions, of so many, along which a tensor has more than one number."""
    return [count - len(shape) + place for place, size in enumerate(shape) if size > 1]


def _same(labels: Labels, operation: Operation) -> list[Tensor] | None:
    argument = operation.argument("self")
    found = labels.of(operation.argument("input") if argument is None else argument)
    return None if found is None else [found for _ in operation.outputs]


def _moved(labels: Labels, operation: Operation) -> list[Tensor] | None:
    def given(item: object) -> object:
        if not isinstance(item, Traced | Tensor):
            return item
        found = labels.of(item)
        return labels.same(shape_of(labels, item), FIXED) if found is None else found

    if operation.writes:
        return None
    kwargs = {name: None if name == "dtype" else value for name, value in operation.kwargs.items()}
    args = tree_map(given, operation.args)
    if operation.name in RESHAPING:
        reshaped = args[0].reshape(args[1])
        _join_parts(labels, args[0].shape, reshaped)
        return [reshaped]
    result = operation.function(*args, **tree_map(given, kwargs))
    if isinstance(result, Tensor):
        return [result]
    if operation.name in SPLITTING and len({part.shape for part in result}) == 1:
        for part in result:
            labels.join(part, result[0])  # parts of one size are so again in a smaller network
    return list(result)


def _join_parts(labels: Labels, before: torch.Size, after: Tensor) -> None:
    """Join the channels of the same number in the parts that a dimension is divided into: their number stays."""
    for place, (start, end) in _divided(before, after.shape):
        count = end - start
        if before[place] > 1 and count > 1:
            first = after
            for dimension in range(start, end - 1):
                first = first.narrow(dimension, 0, 1)
            labels.join(after, first)


def _divided(before: torch.Size, after: torch.Size) -> list[tuple[int, tuple[int, int]]]:
    """Return the dimensions that become several, each with the range of these; (start, end)."""
    found: list[tuple[int, tuple[int, int]]] = []
    start = 0
    for place, size in enumerate(before):
        end, product = start, 1
        while end < len(after) and product < size:
            product *= after[end]
            end += 1
        if product != size or (size == 1 and end == start):
            if size == 1:
                start += int(start < len(after) and after[start] == 1)
                continue
            return found  # dimensions are merged
        found.append((place, (start, end)))
        start = end
    return found


def _padded(labels: Labels, operation: Operation) -> list[Tensor] | None:
    found = labels.of(operation.argument("self"))
    if found is None:
        return None
    return [torch.nn.functional.pad(found, operation.argument("pad"), value=CONSTANT)]


def _over_positions(labels: Labels, operation: Operation) -> list[Tensor] | None:
    argument = operation.argument("self")
    found = labels.of(operation.argument("input") if argument is None else argument)
    count = OVER_POSITIONS[operation.name]
    if found is None or not is_same_along(found, range(found.dim() - count, found.dim())):
        return None
    narrowed = found
    for place in range(found.dim() - count, found.dim()):
        narrowed = narrowed.narrow(place, 0, 1)
    return [narrowed.expand(labels.recording.values[number].shape) for number in operation.outputs]


def _together(labels: Labels, operation: Operation) -> list[Tensor] | None:
    """What joins numbers along some dimensions leaves labels as they are if they are the same there."""
    found = labels.of(operation.argument("self"))
    if found is None or not found.dim():
        return None if found is None else [found for _ in operation.outputs]
    given = operation.argument("dim")
    dimensions = range(found.dim()) if given in (None, []) else [given] if isinstance(given, int) else given
    places = [place % found.dim() for place in dimensions]
    if not is_same_along(found, places):
        return None
    narrowed = found[tuple(slice(0, 1) if place in places else slice(None) for place in range(found.dim()))]
    outputs = []
    for number in operation.outputs:
        shape = labels.recording.values[number].shape
        kept = narrowed if len(shape) == found.dim() else narrowed.squeeze(tuple(places))
        outputs.append(kept.expand(shape))
    return outputs


def _batch_norm(labels: Labels, operation: Operation) -> list[Tensor] | None:
    """Each channel by itself, with its numbers of the other parameters and buffers."""
    found = labels.of(operation.argument("input"))
    if found is None:
        return None
    first = found[(slice(0, 1), slice(None), *(slice(0, 1) for _ in range(found.dim() - 2)))]
    labels.join(found, first)
    for name in ("weight", "bias", "running_mean", "running_var"):
        argument = operation.argument(name)
        beside = labels.of(argument)
        if beside is not None:
            labels.join(first.reshape(-1), beside)
        elif argument is not None:
            labels.fix(first)
    shapes = [labels.recording.values[number].shape for number in operation.outputs]
    return [found, *(labels.same(shape, CONSTANT) for shape in shapes[1:])]


def _layer_norm(labels: Labels, operation: Operation) -> list[Tensor] | None:
    found = labels.of(operation.argument("input"))
    count = len(operation.argument("normalized_shape"))
    if found is None or not is_same_along(found, range(found.dim() - count, found.dim())):
        return None
    if operation.argument("weight") is not None:
        return None
    shapes = [labels.recording.values[number].shape for number in operation.outputs]
    return [found, *(labels.same(shape, CONSTANT) for shape in shapes[1:])]


def _made(labels: Labels, operation: Operation) -> list[Tensor]:
    """What takes no more than a shape."""
    return [labels.same(labels.recording.values[number].shape, CONSTANT) for number in operation.outputs]


FACTORIES = (
    "zeros", "ones", "empty", "full", "empty_strided", "zeros_like", "ones_like", "full_like", "empty_like",
    "new_zeros", "new_ones", "new_full", "new_empty",
)  # fmt: skip

RULES: dict[str, Rule] = {
    **dict.fromkeys(POINTWISE, _pointwise),
    **dict.fromkeys(SAME, _same),
    **dict.fromkeys(MOVED, _moved),
    **dict.fromkeys(OVER_POSITIONS, _over_positions),
    **dict.fromkeys((*TOGETHER, *ADDED_UP), _together),
    **dict.fromkeys(BATCH_NORMS, _batch_norm),
    **dict.fromkeys(FACTORIES, _made),
    "native_layer_norm": _layer_norm,
    "constant_pad_nd": _padded,
}
"""By the operation's name; those of layers with prunable weights are in :mod:`.units`."""
