"""What a GPU does with a captured step, done on the CPU: its operations are recorded, and repeated as they were."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from prunecheck.data import Dataset, ScoringData, scoring_samples
from prunecheck.pruning import Ticket, find_method, make_ticket
from prunecheck.randomness import generator
from prunecheck.training import Acceleration, Checkpoint, Recipe, Record, train
from prunecheck.training.gpu import EAGER_CALLS, CapturedWork
from prunecheck.training.stream import HostStream, Work

EPOCHS = 7

RECIPE = Recipe(epochs=EPOCHS, batch_size=16, milestones=(EPOCHS - 2,))
"""The smaller last batch is recorded in the fourth epoch and repeated in the fifth; then the rate changes."""

WITH_NUMBERS = Recipe(
    epochs=3,
    batch_size=16,
    learning_rate=0.01,
    optimizer="adamw",
    epsilon=1e-3,
    schedule="one-cycle",
    decayed="weights",
    clip_norm=1.0,
    label_smoothing=0.1,
    mixup=0.3,
    cutout=3,
    weight_average=0.9,
)
"""Each step has a learning rate and a share of its own, and counts."""

WAIT = {
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.nonzero.default,
    torch.ops.aten.masked_select.default,
    torch.ops.aten.is_nonzero.default,
}
"""What asks for the values of a tensor, and would wait for a GPU."""


class Recording(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Every operation in the block, on the tensors that it is done to."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._done: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert operation not in WAIT, operation
        assert operation is not torch.ops.aten.index.Tensor, "indexing with booleans would wait"
        result = operation(*args, **(kwargs or {}))
        self._done.append((operation, args, kwargs or {}, result))
        return result

    @torch.inference_mode()
    def repeat(self) -> None:
        for operation, args, kwargs, result in self._done:
            if not operation.is_view:
                for place, value in zip(tree_leaves(result), tree_leaves(operation(*args, **kwargs)), strict=True):
                    if isinstance(place, Tensor):
                        place.copy_(value)


def record(work: Callable[[], None]) -> Callable[[], None]:
    """Record the work, which is thereby done, so that the first repetition does nothing."""
    recording, repeats = Recording(), 0
    with recording:
        work()

    def repeat() -> None:
        nonlocal repeats
        repeats += 1
        if repeats > 1:
            recording.repeat()

    return repeat


class RecordingStream(HostStream):
    recorded = 0

    def repeated(self, work: Work) -> Work:
        def counted(work: Callable[[], None]) -> Callable[[], None]:
            RecordingStream.recorded += 1
            return record(work)

        return CapturedWork(work, counted)

    def numbers(self, values: Sequence[float]) -> Sequence[Tensor]:
        return torch.tensor(values, dtype=torch.float64).unbind()


def pruned(network: nn.Module, dataset: Dataset, method: str) -> Ticket:
    data = ScoringData(samples=scoring_samples(dataset.train, dataset, 3, 1, seed=0))
    return make_ticket(find_method(method), network, data, 0.8, generator(0, "mask placement"))


def train_all(
    network: nn.Module, dataset: Dataset, at_once: int, recipe: Recipe = RECIPE
) -> tuple[list[Record], list[Checkpoint]]:
    tickets = [pruned(network, dataset, method) for method in ("snip", "random-uniform")]
    seen: list[Checkpoint] = []
    records = train(
        tickets,
        network,
        dataset,
        recipe,
        [0, 1],
        on_epoch=lambda index, c: seen.append(c) if index else None,
        acceleration=Acceleration(sparse_convolutions=False, thin_curves=False, tickets_at_once=at_once),
    )
    return records, seen


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_step_repeated_from_its_record_does_what_it_did_when_it_was_called(
    network: nn.Module, few_digits: Dataset, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    called, seen_called = train_all(network, few_digits, at_once)
    monkeypatch.setattr("prunecheck.training.shared_training.HostStream", RecordingStream)
    RecordingStream.recorded = 0
    repeated, seen_repeated = train_all(network, few_digits, at_once)
    # Of each ticket: a step with the first rate, one of a smaller batch, one with the second rate; tests of two sizes.
    assert RecordingStream.recorded == 2 * 5
    for found, meant in zip(repeated, called, strict=True):
        assert found.metrics == meant.metrics
        torch.testing.assert_close(found.weights, meant.weights, rtol=0, atol=0)
    for seen, expected in zip(seen_repeated, seen_called, strict=True):
        torch.testing.assert_close(seen.momentum, expected.momentum, rtol=0, atol=0)


def test_a_recorded_step_takes_other_numbers_each_time(
    network: nn.Module, few_digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    called, seen_called = train_all(network, few_digits, 2, WITH_NUMBERS)
    monkeypatch.setattr("prunecheck.training.shared_training.HostStream", RecordingStream)
    RecordingStream.recorded = 0
    repeated, seen_repeated = train_all(network, few_digits, 2, WITH_NUMBERS)
    assert RecordingStream.recorded == 2  # the steps of each ticket
    for found, meant in zip(repeated, called, strict=True):
        torch.testing.assert_close(found.weights, meant.weights, rtol=1e-4, atol=1e-5)
    for seen, expected in zip(seen_repeated, seen_called, strict=True):
        torch.testing.assert_close(seen.momentum, expected.momentum, rtol=1e-4, atol=1e-5)


def test_work_is_recorded_once_for_each_shape_after_some_calls() -> None:
    total, recorded = torch.zeros(()), []

    def add(x: Tensor, y: Tensor) -> None:
        total.add_((x * y).sum())

    def note(work: Callable[[], None]) -> Callable[[], None]:
        recorded.append(work)
        return work

    repeated = CapturedWork(add, note)
    expected = 0.0
    for call in range(2 * EAGER_CALLS):
        for length in (2, 3):
            x = torch.full((length,), float(call))
            y = torch.arange(float(length))
            expected += float(x @ y)
            repeated(x, y)
            assert total == expected
            x.fill_(torch.nan)  # was copied: what becomes of it later is of no account
    assert len(recorded) == 2


def test_inputs_are_left_as_they_are() -> None:
    repeated = CapturedWork(lambda x: None, lambda work: work)
    inputs = [torch.full((2,), float(call)) for call in range(EAGER_CALLS + 3)]
    for x in inputs:
        repeated(x)
    assert [float(x[0]) for x in inputs] == [float(call) for call in range(EAGER_CALLS + 3)]
