"""Rules of operations that move numbers, repeat them or add them up, at places that do not depend on the input."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._pytree import tree_map

from prunecheck.pruning.dependence.flows import CONSTANT, PRECISION, Flow, Step, cut, numbers_in
from prunecheck.pruning.dependence.recording import Operation, Traced

MOVED = (
    "view", "_unsafe_view", "_reshape_alias", "permute", "transpose", "t", "expand", "slice", "select", "unsqueeze",
    "squeeze", "unbind", "split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk", "cat",
    "stack", "flip", "roll", "rot90", "repeat", "repeat_interleave", "index_select", "gather", "index", "take",
    "diagonal", "diag_embed", "unfold", "im2col", "col2im", "tril", "triu", "cumsum", "sum", "mean", "nansum",
    "reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d", "replication_pad2d",
    "replication_pad3d", "avg_pool2d", "avg_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "pixel_shuffle",
    "pixel_unshuffle", "channel_shuffle", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d",
    "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "upsample_linear1d",
    "upsample_bilinear2d", "upsample_trilinear3d", "slice_scatter", "select_scatter", "index_put", "index_copy",
    "index_add", "scatter", "scatter_add", "trace",
)  # fmt: skip

PLACES = ("index", "indices", "repeats")
"""Arguments that say where numbers go."""

RESHAPING = ("view", "_unsafe_view", "_reshape_alias")

MOVING = frozenset(
    (
        *("", "default", "Tensor", "int", "dim", "dims", "self_int", "self_Tensor", "src", "hacked_twin", "out", "vec"),
        *("dim_IntList", "dim_DimnameList", "sizes", "using_ints", "Sizes"),
    )
)
"""Overloads that do nothing but move: others read memory as another type, or put in numbers."""


def _moved(step: Step) -> list[Flow] | None:
    """Numbers that are moved, repeated or added up, at places that do not depend on the input."""
    operation = step.operation
    places = {number for name in PLACES for number in numbers_in(operation.argument(name))}
    if operation.function._overloadname not in MOVING or any(not step.flows[place].is_constant for place in places):
        return None

    def run(values: Callable[[Flow, torch.Size], Tensor]) -> list[Tensor]:
        def given(item: Any) -> Any:
            if isinstance(item, Traced):
                if item.number in places:
                    return step.recording.values[item.number]
                return values(step.flow(item), step.shape(item))
            return (
                values(CONSTANT, item.shape) if isinstance(item, Tensor) and id(item) not in constant_places else item
            )

        constant_places = {id(item) for name in PLACES for item in _listed(operation.argument(name))}
        kwargs = {name: None if name == "dtype" else value for name, value in operation.kwargs.items()}
        result = _moving_function(operation)(*tree_map(given, operation.args), **tree_map(given, kwargs))
        return [result] if isinstance(result, Tensor) else list(result)

    def depending(flow: Flow, shape: torch.Size) -> Tensor:
        return torch.zeros(shape, dtype=PRECISION) if flow.depends is None else flow.depends

    def not_zero(flow: Flow, shape: torch.Size) -> Tensor:
        return torch.ones(shape, dtype=PRECISION) if flow.nonzero is None else flow.nonzero.expand(shape)

    def nonzero(place: int) -> Tensor | None:
        is_everywhere = all(flow.nonzero is None for _, flow in step.inputs)
        return None if is_everywhere else cut(run(not_zero)[place])

    has_input = any(flow.depends is not None for _, flow in step.inputs)
    depends = [cut(part) for part in run(depending)] if has_input else [None for _ in operation.outputs]
    return [Flow(part, lambda place=place: nonzero(place)) for place, part in enumerate(depends)]  # type: ignore[misc]


def _listed(group: Any) -> Iterable[Any]:
    return group if isinstance(group, list | tuple) else [group]


def _moving_function(operation: Operation) -> Callable[..., Any]:
    """Return what does to 0 and 1, whose strides may be others, what the operation does to values."""
    if operation.name in RESHAPING:
        return lambda values, size, *_: values.reshape(size)
    if not operation.writes:
        return operation.function
    packet = getattr(torch.ops.aten, operation.name.removesuffix("_"))
    function: Callable[..., Any] = getattr(packet, operation.function._overloadname)
    return function


def _padded(step: Step) -> list[Flow] | None:
    """What is moved into a frame of constants."""
    flow, pad = step.of("self"), step.operation.argument("pad")
    depends = None if flow.depends is None else functional.pad(flow.depends, pad)
    shape = step.output_shapes[0]

    def nonzero() -> Tensor | None:
        if flow.nonzero is None:
            return None
        frame = float(bool(step.operation.argument("value", 0)))
        return functional.pad(flow.nonzero.expand(step.shape(step.operation.argument("self"))), pad, value=frame)

    return [Flow(None if depends is None else depends.expand(shape), nonzero)]


MOVES = {**dict.fromkeys(MOVED, _moved), "constant_pad_nd": _padded}
"""By the operation's name."""
