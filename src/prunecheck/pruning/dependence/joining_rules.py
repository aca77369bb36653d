"""Rules of operations in which each number meets others of some dimensions: norms, softmax, maxima, sorting."""

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from prunecheck.pruning.dependence.flows import CONSTANT, Flow, Step, mapped


def _together(
    dimensions: Callable[[Step, int], Sequence[int]], name: str = "self"
) -> "Callable[[Step], list[Flow] | None]":
    """Every number may depend on all that stand beside it along some dimensions; these may shrink or grow."""

    def rule(step: Step) -> list[Flow] | None:
        if not step.is_all_in(name):
            return None
        flow, shape = step.of(name), step.shape(step.operation.argument(name))
        chosen = sorted(dimension % len(shape) for dimension in dimensions(step, len(shape))) if shape else []

        def spread(values: Tensor, outputs: torch.Size) -> Tensor:
            sums = values.expand(shape).sum(chosen, keepdim=True) if chosen else values.expand(shape)
            return sums.expand(outputs) if len(outputs) == len(shape) else sums.reshape(outputs)

        return [mapped(flow, functools.partial(spread, outputs=outputs)) for outputs in step.output_shapes]

    return rule


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
    return [mapped(step.of("input"), lambda values: values), *(CONSTANT for _ in step.output_shapes[1:])]


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

    return [mapped(flow, spread), *(mapped(flow, statistic) for _ in step.output_shapes[1:])]


TOGETHER = (
    "_softmax", "_log_softmax", "_safe_softmax",
    "logsumexp", "amax", "amin", "aminmax", "max", "min", "argmax", "argmin", "any", "all",
    "prod", "cumprod", "cummax", "cummin", "logcumsumexp", "var", "std", "var_mean", "std_mean", "linalg_vector_norm",
    "norm", "median", "nanmedian", "mode", "kthvalue", "sort", "argsort", "topk",
)  # fmt: skip


BATCH_NORMS = (
    "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "_batch_norm_with_update",
    "_batch_norm_no_update", "cudnn_batch_norm", "miopen_batch_norm",
)  # fmt: skip

JOINS = {
    **dict.fromkeys(TOGETHER, _together(_given_dimensions)),
    "native_layer_norm": _together(_last, "input"),
    "_fused_rms_norm": _together(_last, "input"),
    "native_group_norm": _group_norm,
    **dict.fromkeys(BATCH_NORMS, _batch_norm),
}
"""By the operation's name."""
