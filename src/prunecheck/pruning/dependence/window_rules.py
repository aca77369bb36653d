"""Rules of poolings that take one pixel of a window: any pixel of it may be the one."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from prunecheck.pruning.dependence.flows import PRECISION, Flow, Step, cut


def _largest_of_window(step: Step) -> list[Flow] | None:
    """Return what may depend on any pixel of the window; both outputs, values and places, do."""
    if not step.is_all_in("self"):
        return None
    outputs, operation = step.output_shapes[0], step.operation
    size = operation.argument("kernel_size")
    count = 3 if "3d" in operation.name else 2
    sizes, dilations = _each(size, count), _each(operation.argument("dilation", 1), count)
    strides, paddings = _each(operation.argument("stride") or size, count), _each(operation.argument("padding"), count)
    window = torch.conv3d if count == 3 else torch.conv2d

    def spread(values: Tensor) -> Tensor:
        pixels = values.reshape(-1, 1, *values.shape[-count:])
        frame: list[int] = []
        for place in reversed(range(count)):
            needed = (outputs[place - count] - 1) * strides[place] + dilations[place] * (sizes[place] - 1) + 1
            frame += [paddings[place], needed - paddings[place] - pixels.shape[place - count]]
        ones = torch.ones(1, 1, *sizes, dtype=PRECISION)
        sums = window(functional.pad(pixels, frame), ones, stride=strides, dilation=dilations)
        return sums.reshape(outputs)

    return [_spread(step, spread)] * len(operation.outputs)


def _largest_of_part(pool: Callable[[Tensor, list[int]], Tensor]) -> Callable[[Step], list[Flow] | None]:
    def rule(step: Step) -> list[Flow] | None:
        size = step.operation.argument("output_size")
        return [_spread(step, lambda values: pool(values, size))] * len(step.operation.outputs)

    return rule


def _spread(step: Step, change: Callable[[Tensor], Tensor]) -> Flow:
    flow = step.of("self")
    shape = step.shape(step.operation.argument("self"))

    def nonzero() -> Tensor | None:
        return None if flow.nonzero is None else cut(change(flow.nonzero.expand(shape)) + 1)

    return Flow(None if flow.depends is None else cut(change(flow.depends.expand(shape))), nonzero)


def _each(given: int | list[int], count: int) -> list[int]:
    numbers = [given] if isinstance(given, int) else list(given)
    return numbers * count if len(numbers) == 1 else numbers


WINDOWS = {
    "max_pool2d_with_indices": _largest_of_window,
    "max_pool3d_with_indices": _largest_of_window,
    "adaptive_max_pool2d": _largest_of_part(torch.ops.aten._adaptive_avg_pool2d),
    "adaptive_max_pool3d": _largest_of_part(torch.ops.aten._adaptive_avg_pool3d),
}
"""By the operation's name."""
