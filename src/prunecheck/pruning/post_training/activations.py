"""What comes into the layers of a stage, sequence by sequence, once what is before it has been pruned."""

import contextlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from prunecheck.pruning.post_training.input_statistics import InputStatistics
from prunecheck.pruning.post_training.linear_layers import LinearLayer
from prunecheck.pruning.post_training.stages import Stage, Stages
from prunecheck.pruning.post_training.tracing import (
    Call,
    Stop,
    first_tensor,
    hooked,
    logits_of_tokens,
    trace,
    with_hidden,
)


class Activations(ABC):
    """Runs the stages of a network, one after the other, on calibration sequences.

    Attributes:
        holds: whether a stage is not run again once it is left; else its weights have to stay pruned.
    """

    holds = False

    @abstractmethod
    def run(self, stage: Stage) -> None:
        """Run the layers of a stage on each sequence."""

    @abstractmethod
    def leave(self, stage: Stage) -> None:
        """Go past a stage, whose weights are pruned by now."""


class HeldActivations(Activations):
    """The inputs of one block are held, and each block runs by itself, as published.

    For networks whose blocks hand their outputs on unchanged, and whose other arguments (positions, attention masks)
    do not depend on the tokens.
    """

    holds = True

    def __init__(self, network: nn.Module, calls: Sequence[Call], calibration: Tensor) -> None:
        self.calls = {id(call.module): call for call in calls}
        self.inputs = [self._first_inputs(network, calls[0].module, tokens) for tokens in sequences_of(calibration)]

    def _first_inputs(self, network: nn.Module, first: nn.Module, tokens: Tensor) -> Tensor:
        found: list[Tensor] = []

        def stop(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            hidden = Call(module, args, kwargs, None, None, None).hidden
            assert hidden is not None
            found.append(hidden)
            raise Stop

        with hooked(first.register_forward_pre_hook(stop, with_kwargs=True)), contextlib.suppress(Stop):
            logits_of_tokens(network, tokens)
        return found[0]

    def run(self, stage: Stage) -> None:
        """Run a block on each sequence."""
        for inputs in self.inputs:
            self._call(stage, inputs)

    def leave(self, stage: Stage) -> None:
        """Put what a block makes of its inputs in their place."""
        for index, inputs in enumerate(self.inputs):
            self.inputs[index] = self._call(stage, inputs)

    def _call(self, stage: Stage, inputs: Tensor) -> Tensor:
        assert stage.block is not None
        call = self.calls[id(stage.block)]
        args, kwargs = with_hidden(call.args, call.kwargs, inputs.clone())  # which a block may change in place
        returned = first_tensor(stage.block(*args, **kwargs))
        assert returned is not None
        return returned


class RepeatedActivations(Activations):
    """Nothing is held: the network runs from its tokens up to each stage, for any other network."""

    def __init__(self, network: nn.Module, calibration: Tensor) -> None:
        self.network = network
        self.calibration = calibration

    def run(self, stage: Stage) -> None:
        """Run the network on each sequence."""
        for tokens in sequences_of(self.calibration):
            logits_of_tokens(self.network, tokens)

    def leave(self, stage: Stage) -> None:
        """Do nothing."""


def activations_of(network: nn.Module, stages: Stages, calibration: Tensor) -> Activations:
    """Return what runs the stages of a network, in evaluation mode and without gradients.

    Args:
        network: maps tokens to logits.
        stages: see :func:`prunecheck.pruning.post_training.stages.find_stages`.
        calibration: int64 (sequences, length).

    Raises:
        InputError: the network fails on the sequences.
    """
    blocks = [stage.block for stage in stages.stages if stage.block is not None]
    if not blocks:
        return RepeatedActivations(network, calibration)
    # Three that differ: what depends on the tokens is found in one of them.
    probes = [calibration[:1], torch.zeros_like(calibration[:1]), calibration[-1:].flip(1)]
    calls = [trace(network, probe, blocks).calls for probe in probes]
    if not all(_is_chain(one, blocks) and _have_equal_arguments(one, calls[0]) for one in calls):
        return RepeatedActivations(network, calibration)
    return HeldActivations(network, calls[0], calibration)


def sequences_of(calibration: Tensor) -> list[Tensor]:
    """Return sequences one by one, each (1, length), as they are run."""
    return list(calibration[:, None])


def _is_chain(calls: Sequence[Call], blocks: Sequence[nn.Module]) -> bool:
    """Say whether each block ran once, on what the one before it had returned, as it was returned."""
    if [id(call.module) for call in calls] != [id(block) for block in blocks] or calls[0].hidden is None:
        return False
    return all(
        after.hidden is before.returned is not None and after.version == before.returned_version is not None
        for before, after in itertools.pairwise(calls)
    )


def _have_equal_arguments(calls: Sequence[Call], others: Sequence[Call]) -> bool:
    """Say whether the arguments of blocks beside the hidden states are equal in two runs."""
    return all(
        _is_equal(_beside_hidden(call), _beside_hidden(other)) for call, other in zip(calls, others, strict=True)
    )


def _beside_hidden(call: Call) -> tuple[Any, Any]:
    hidden = call.hidden
    return (
        [None if value is hidden else value for value in call.args],
        {name: None if value is hidden else value for name, value in call.kwargs.items()},
    )


def _is_equal(first: object, second: object) -> bool:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return first.shape == second.shape and first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, tuple | list) and isinstance(second, tuple | list):
        return len(first) == len(second) and all(map(_is_equal, first, second))
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(_is_equal(value, second[key]) for key, value in first.items())
    return first is second or (isinstance(first, int | float | str | torch.dtype) and first == second)


@contextlib.contextmanager
def observed(layers: Sequence[LinearLayer], statistics: Mapping[str, InputStatistics]) -> Iterator[None]:
    """Add what comes into layers to their statistics, by the layers' names.

    What layers have in common, as queries, keys and values do, is computed once.
    """
    last: dict[type, tuple[Tensor, int, Tensor]] = {}

    def hook_of(layer: LinearLayer) -> Any:
        statistic = statistics[layer.name]

        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            inputs = args[0] if args else kwargs["input"]
            kind = type(statistic)
            seen = last.get(kind)
            if seen is None or seen[0] is not inputs or seen[1] != inputs._version:
                rows = inputs.reshape(-1, inputs.shape[-1]).to(calculation_dtype(inputs.dtype))
                seen = last[kind] = inputs, inputs._version, statistic.summand(rows)
            statistic.add(seen[2], inputs.numel() // max(1, inputs.shape[-1]))

        return hook

    with contextlib.ExitStack() as hooks:
        for layer in layers:
            handle = layer.module.register_forward_pre_hook(hook_of(layer), with_kwargs=True)
            hooks.enter_context(hooked(handle))
        yield


def calculation_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return in which type numbers of a network are computed with: float32, unless it has float64."""
    return torch.promote_types(dtype, torch.float32)
