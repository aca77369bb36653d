"""Per kind of operation, what of its outputs may depend on what of its inputs.

An operation without a rule makes all of its outputs depend on all of its inputs: what is not known here costs
precision, and never makes a dependence disappear.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import mul

import torch
from torch import Tensor

from prunecheck.pruning.dependence.flows import CONSTANT, PRECISION, Flow, Step, cut, expanded
from prunecheck.pruning.dependence.joining_rules import JOINS
from prunecheck.pruning.dependence.moving_rules import MOVES
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
    """Return flows for tensors that may depend on all that goes in and on products of it, number by number."""
    parts = [flow for _, flow in step.inputs]
    some = _sum(part.depends.sum() for part in parts if part.depends is not None)
    if some is not None:
        some = _times_one_more(some, [part.nonzero.sum() for part in parts if part.nonzero is not None])

    def nonzero() -> Tensor | None:
        weights = [part.nonzero.sum() for part in parts if part.nonzero is not None]
        return cut(1 + sum(weights[1:], weights[0])) if weights else None

    single = Flow(None if some is None else cut(some), nonzero)
    return [expanded(single, step.recording.values[number].shape) for number in numbers]


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
        return cut(1 + sum(weights[1:], weights[0])).expand(shape) if weights else None

    return Flow(None if total is None else cut(total).expand(shape), nonzero)


def _same(step: Step) -> list[Flow]:
    """The same numbers, or such that 0 stays 0."""
    flow = step.of("self") if step.operation.argument("self") is not None else step.of("input")
    return [flow for _ in step.operation.outputs]


def _replaced(step: Step) -> list[Flow]:
    """What a tensor holds is replaced by another's."""
    return [expanded(step.of("src"), shape) for shape in step.output_shapes]


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

    It depends on what one depends on wherever the other may be other than 0. ``multiply`` does to 0 and 1 what
    the operation does; ``shapes`` are those of the two, where they matter; a product is shifted if a constant is
    added to it.
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
        return cut(sum(parts[1:], parts[0]) + int(is_shifted or added is not None)).expand(shape)

    return Flow(None if total is None else cut(total).expand(shape), nonzero)


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


def _sum(terms: Iterable[Tensor | None]) -> Tensor | None:
    known = [term for term in terms if term is not None]
    return sum(known[1:], known[0]) if known else None


def _times_one_more(values: Tensor, factors: Iterable[Tensor]) -> Tensor:
    """Return the values times 1 + factor for each: what is not 0 stays so, and has the factors' part in it."""
    return reduce(mul, (1 + factor for factor in factors), values)


SUMS = ("add", "sub", "rsub")

SAME = ("clone", "_to_copy", "detach", "alias", "lift_fresh", "neg", "contiguous", "abs", "sign")

POINTWISE = (
    "hardswish", "_prelu_kernel", "rrelu_with_noise", "native_dropout", "log_sigmoid_forward", "bernoulli",
    "floor_divide", "masked_fill", "fill", "threshold", "where", "hardtanh", "leaky_relu",
)  # fmt: skip

CONSTANTS = (
    "zero", "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "new_zeros", "new_ones",
    "new_full", "new_empty", "new_empty_strided",
)  # fmt: skip
"""What takes no more than a shape, and writes over what was there."""

RULES: dict[str, Rule] = {
    **MOVES,
    **JOINS,
    **dict.fromkeys(POINTWISE, _pointwise),
    **dict.fromkeys(SUMS, _sums),
    **dict.fromkeys(SAME, _same),
    **WINDOWS,
    "copy": _replaced,
    **dict.fromkeys(CONSTANTS, lambda step: [CONSTANT for _ in step.operation.outputs]),
    "mul": _product,
    "div": _quotient,
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
    "glu": _gated_half,
}  # fmt: skip
"""By the operation's name."""
