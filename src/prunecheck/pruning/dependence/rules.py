"""Per kind of operation, what of its outputs may depend on what of its inputs.

An operation without a rule makes all of its outputs depend on all of its inputs: what is not known here costs
precision, and never makes a dependence disappear.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import mul
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._pytree import tree_map

from prunecheck.pruning.dependence.propagation import CONSTANT, PRECISION, Flow, Step, cut, numbers_in
from prunecheck.pruning.dependence.recording import Operation, Traced
from prunecheck.pruning.dependence.window_rules import WINDOWS

Rule = Callable[[Step], "list[Flow] | None"]
"""Returns what is followed of each output, None where the rule does not hold."""


def follow(step: Step) -> list[Flow]:
    """Return what is followed of an operation's outputs."""
    rule = _rule_of(step)
    found = rule(step) if rule else None
    return everything(step, step.operation.outputs) if found is None else found


def _rule_of(step: Step) -> Rule | None:
    """Return the rule of an operation; one that works in place has that of its namesake that does not."""
    name = step.operation.name
    plain = name.removesuffix("_") if step.operation.writes else name
    if step.operation.function.namespace == "aten":
        for key in (name, plain):
            if key in RULES:
                return RULES[key]
    return _pointwise if torch.Tag.pointwise in step.operation.function.tags else None


def everything(step: Step, numbers: Sequence[int]) -> list[Flow]:
    """Return flows for tensors of which every number may depend on every number that goes in, and on products of them."""
    parts = [flow for _, flow in step.inputs]
    some = _sum(part.depends.sum() for part in parts if part.depends is not None)
    if some is not None:
        some = _times_one_more(some, [part.nonzero.sum() for part in parts if part.nonzero is not None])

    def nonzero() -> Tensor | None:
        weights = [part.nonzero.sum() for part in parts if part.nonzero is not None]
        return cut(1 + sum(weights)) if weights else None

    single = Flow(None if some is None else cut(some), nonzero)
    return [_expanded(single, step.recording.values[number].shape) for number in numbers]


def _pointwise(step: Step) -> list[Flow]:
    """Each number depends on those in its place; where several meet, one may change what another does."""
    found = []
    for shape in step.output_shapes:
        terms = []
        for position, (_, flow) in enumerate(step.inputs):
            if flow.depends is not None:
                others = [other.nonzero for place, (_, other) in enumerate(step.inputs) if place != position]
                terms.append(_times_one_more(flow.depends, [other for other in others if other is not None]))
        found.append(_of_sum(terms, [flow for _, flow in step.inputs], shape))
    return found


def _sums(step: Step) -> list[Flow]:
    """Numbers that are added: what does not depend on the input changes nothing of what does."""
    parts = [flow for _, flow in step.inputs]
    return [_of_sum([part.depends for part in parts], parts, shape) for shape in step.output_shapes]


def _of_sum(terms: Sequence[Tensor | None], parts: Sequence[Flow], shape: torch.Size) -> Flow:
    total = _sum(terms)

    def nonzero() -> Tensor | None:
        weights = [part.nonzero for part in parts if part.nonzero is not None]
        return cut(1 + sum(weights)).expand(shape) if weights else None

    return Flow(None if total is None else cut(total).expand(shape), nonzero)


def _same(step: Step) -> list[Flow]:
    """The same numbers, or such that 0 stays 0."""
    flow = step.of("self") if step.operation.argument("self") is not None else step.of("input")
    return [flow for _ in step.operation.outputs]


def _replaced(step: Step) -> list[Flow]:
    """What a tensor holds is replaced by another's."""
    return [_expanded(step.of("src"), shape) for shape in step.output_shapes]


def _quotient(step: Step) -> list[Flow]:
    """A dividend that is 0 is 0 whatever it is divided by."""
    return [_product_of(step.of("self"), _never_zero(step.of("other")), torch.mul, step.output_shapes[0])]


def _never_zero(flow: Flow) -> Flow:
    def nonzero() -> Tensor | None:
        return None if flow.nonzero is None else cut(flow.nonzero + 1)

    return Flow(flow.depends, nonzero)


def _product(step: Step) -> list[Flow]:
    return [_product_of(step.of("self"), step.of("other"), torch.mul, step.output_shapes[0])]


def _matrix_product(left: str, right: str) -> Rule:
    def rule(step: Step) -> list[Flow] | None:
        if not step.is_all_in(left, right, "self", "input", "bias"):
            return None
        first, second = step.operation.argument(left), step.operation.argument(right)
        shape = step.output_shapes[0]
        transposed = step.operation.name == "linear"

        def multiply(a: Tensor, b: Tensor) -> Tensor:
            product = torch.matmul(a, b.T if transposed else b)
            return product.sum(0) if step.operation.name == "addbmm" else product

        added = step.of("bias") if transposed else None if left == "self" else step.of("self")
        shapes = step.shape(first), step.shape(second)
        return [_product_of(step.flow(first), step.flow(second), multiply, shape, added, shapes)]

    return rule


def _convolution(step: Step) -> list[Flow] | None:
    if not step.is_all_in("input", "weight", "bias"):
        return None
    names = ("stride", "padding", "dilation", "transposed", "output_padding", "groups")
    options = [step.operation.argument(name) for name in names]
    weight, bias = step.operation.argument("weight"), step.operation.argument("bias")

    def convolve(x: Tensor, kernel: Tensor) -> Tensor:
        return torch.convolution(x, kernel, None, *options)

    shape = step.output_shapes[0]
    added = Flow()
    if bias is not None:
        of_bias, places = step.flow(bias), (1, -1, *(1 for _ in shape[2:]))
        added = Flow(None if of_bias.depends is None else of_bias.depends.reshape(places))
    shapes = step.shape(step.operation.argument("input")), step.shape(weight)
    found = _product_of(
        step.of("input"), step.of("weight"), convolve, shape, added, shapes, is_shifted=bias is not None
    )
    return [found]


def _product_of(
    first: Flow,
    second: Flow,
    multiply: Callable[[Tensor, Tensor], Tensor],
    shape: torch.Size,
    added: Flow | None = None,
    shapes: tuple[torch.Size, torch.Size] | None = None,
    *,
    is_shifted: bool = False,
) -> Flow:
    """Return what is followed of a product, or of sums of products, of two tensors.

    It depends on what one depends on wherever the other may be other than 0.

    Args:
        multiply: what is done to numbers, done to 0 and 1.
        shapes: of the two, where they matter.
        is_shifted: whether a constant is added to it.
    """

    def known(values: Tensor | None, place: int) -> Tensor:
        if values is not None:
            return values
        return torch.ones(shapes[place] if shapes else (), dtype=PRECISION)

    terms = [None if added is None else added.depends]
    if first.depends is not None:
        terms.append(multiply(first.depends, known(second.nonzero, 1)))
    if second.depends is not None:
        terms.append(multiply(known(first.nonzero, 0), second.depends))
    total = _sum(terms)

    def nonzero() -> Tensor | None:
        parts = [] if added is None or added.nonzero is None else [added.nonzero]
        if first.nonzero is not None or second.nonzero is not None:
            parts.append(multiply(known(first.nonzero, 0), known(second.nonzero, 1)))
        elif added is None or added.nonzero is None:
            return None
        return cut(sum(parts) + int(is_shifted or added is not None)).expand(shape)

    return Flow(None if total is None else cut(total).expand(shape), nonzero)


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


def _together(dimensions: Callable[[Step, int], Sequence[int]], name: str = "self") -> Rule:
    """Every number may depend on all that stand beside it along some dimensions; these may shrink or grow."""

    def rule(step: Step) -> list[Flow] | None:
        if not step.is_all_in(name):
            return None
        flow, shape = step.of(name), step.shape(step.operation.argument(name))
        chosen = sorted(dimension % len(shape) for dimension in dimensions(step, len(shape))) if shape else []

        def spread(values: Tensor, outputs: torch.Size) -> Tensor:
            sums = values.expand(shape).sum(chosen, keepdim=True) if chosen else values.expand(shape)
            return sums.expand(outputs) if len(outputs) == len(shape) else sums.reshape(outputs)

        return [
            _mapped(flow, lambda values, outputs=outputs: spread(values, outputs)) for outputs in step.output_shapes
        ]

    return rule


def _mapped(flow: Flow, change: Callable[[Tensor], Tensor]) -> Flow:
    def nonzero() -> Tensor | None:
        return None if flow.nonzero is None else cut(change(flow.nonzero) + 1)

    return Flow(None if flow.depends is None else cut(change(flow.depends)), nonzero)


def _given_dimensions(step: Step, count: int) -> Sequence[int]:
    given = step.operation.argument("dim")
    if given is None or given == []:
        return range(count)
    return [given] if isinstance(given, int) else given


def _last(step: Step, count: int) -> Sequence[int]:
    return range(count - len(step.operation.argument("normalized_shape")), count)


def _batch_norm(step: Step) -> list[Flow] | None:
    """With statistics of its own each number by itself, otherwise together with its whole channel."""
    if not step.is_all_in("input"):
        return None
    if step.operation.argument("training", False) or step.operation.name.endswith("with_update"):
        return _together(lambda _, count: [place for place in range(count) if place != 1], "input")(step)
    if any(0 not in outputs for outputs in step.output_shapes[1:]):
        return None
    return [_mapped(step.of("input"), lambda values: values), *(CONSTANT for _ in step.output_shapes[1:])]


def _group_norm(step: Step) -> list[Flow] | None:
    if not step.is_all_in("input"):
        return None
    flow, shape = step.of("input"), step.shape(step.operation.argument("input"))
    groups = step.operation.argument("group")

    def spread(values: Tensor) -> Tensor:
        by_group = values.expand(shape).reshape(shape[0], groups, -1)
        return by_group.sum(2, keepdim=True).expand(by_group.shape).reshape(shape)

    def statistic(values: Tensor) -> Tensor:
        return values.expand(shape).reshape(shape[0], groups, -1).sum(2)

    return [_mapped(flow, spread), *(_mapped(flow, statistic) for _ in step.output_shapes[1:])]


def _gated_half(step: Step) -> list[Flow]:
    flow, dimension = step.of("self"), step.operation.argument("dim", -1)
    shape = step.shape(step.operation.argument("self"))

    def halves(values: Tensor | None) -> Sequence[Tensor | None]:
        return [None, None] if values is None else values.expand(shape).chunk(2, dimension)

    first, second = (
        Flow(depends, lambda place=place: halves(flow.nonzero)[place])  # type: ignore[misc]
        for place, depends in enumerate(halves(flow.depends))
    )
    return [_product_of(first, _never_zero(second), torch.mul, step.output_shapes[0])]


def _expanded(flow: Flow, shape: torch.Size) -> Flow:
    def nonzero() -> Tensor | None:
        return None if flow.nonzero is None else flow.nonzero.expand(shape)

    return Flow(None if flow.depends is None else flow.depends.expand(shape), nonzero)


def _sum(terms: Iterable[Tensor | None]) -> Tensor | None:
    known = [term for term in terms if term is not None]
    return sum(known[1:], known[0]) if known else None


def _times_one_more(values: Tensor, factors: Iterable[Tensor]) -> Tensor:
    """Return the values times 1 + factor for each: what is not 0 stays so, and has the factors' part in it."""
    return reduce(mul, (1 + factor for factor in factors), values)


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

SUMS = ("add", "sub", "rsub")

SAME = ("clone", "_to_copy", "detach", "alias", "lift_fresh", "neg", "contiguous", "abs", "sign")

POINTWISE = (
    "hardswish", "_prelu_kernel", "rrelu_with_noise", "native_dropout", "log_sigmoid_forward", "bernoulli",
    "floor_divide", "masked_fill", "fill", "threshold", "where", "hardtanh", "leaky_relu",
)  # fmt: skip

TOGETHER = (
    "_softmax", "_log_softmax", "_safe_softmax", "logsumexp", "amax", "amin", "aminmax", "max", "min", "argmax", "argmin", "any", "all",
    "prod", "cumprod", "cummax", "cummin", "logcumsumexp", "var", "std", "var_mean", "std_mean", "linalg_vector_norm",
    "norm", "median", "nanmedian", "mode", "kthvalue", "sort", "argsort", "topk",
)  # fmt: skip

CONSTANTS = (
    "zero", "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "new_zeros", "new_ones",
    "new_full", "new_empty", "new_empty_strided",
)  # fmt: skip
"""What takes no more than a shape, and writes over what was there."""

RULES: dict[str, Rule] = {
    **dict.fromkeys(MOVED, _moved),
    **dict.fromkeys(POINTWISE, _pointwise),
    **dict.fromkeys(SUMS, _sums),
    **dict.fromkeys(SAME, _same),
    **dict.fromkeys(TOGETHER, _together(_given_dimensions)),
    **WINDOWS,
    "copy": _replaced,
    **dict.fromkeys(CONSTANTS, lambda step: [CONSTANT for _ in step.operation.outputs]),
    "mul": _product,
    "div": _quotient,
    "constant_pad_nd": _padded,
    "convolution": _convolution,
    "mm": _matrix_product("self", "mat2"),
    "bmm": _matrix_product("self", "mat2"),
    "mv": _matrix_product("self", "vec"),
    "dot": _matrix_product("self", "tensor"),
    "linear": _matrix_product("input", "weight"),
    "addmm": _matrix_product("mat1", "mat2"),
    "addmv": _matrix_product("mat", "vec"),
    "addbmm": _matrix_product("batch1", "batch2"),
    "baddbmm": _matrix_product("batch1", "batch2"),
    "native_layer_norm": _together(_last, "input"),
    "_fused_rms_norm": _together(_last, "input"),
    "native_group_norm": _group_norm,
    **dict.fromkeys(
        (
            "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
            "_batch_norm_with_update", "_batch_norm_no_update", "cudnn_batch_norm", "miopen_batch_norm",
        ),
        _batch_norm,
    ),
    "glu": _gated_half,
}  # fmt: skip
"""By the operation's name."""
