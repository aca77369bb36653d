from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks.training import plain_loop, prunecheck_loop
from benchmarks.training.plain_images import PlainImages, plain_batches
from benchmarks.training.plain_loop import Ideas, PlainLoop
from benchmarks.training.prunecheck_loop import PrunecheckLoop
from benchmarks.training.task import Task, cifar_shaped
from prunecheck.data import Augmentation, Batches
from prunecheck.pruning import sparsity_of
from prunecheck.training import Acceleration

Event = tuple[float, int, int]
"""Seconds that pass, then the ticket that ends an epoch, and which."""


class Clock:
    """Stands still unless it is put forward."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(prunecheck_loop, "time", clock)
    return clock


@pytest.fixture
def scripted(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Event], list[str]], None]:
    """Replace training by events, written to a log, that put the clock forward."""

    def script(events: list[Event], log: list[str]) -> None:
        def train(*_: Any, on_epoch: Callable[..., None], **__: Any) -> list[Any]:
            for seconds, ticket, epoch in events:
                clock.now += seconds
                log.append(f"{ticket}: {epoch}")
                on_epoch(ticket, SimpleNamespace(metrics=[None] * epoch))
            log.append("end")
            return [SimpleNamespace(diverged=False, acceleration=("channels_last",))]

        monkeypatch.setattr(prunecheck_loop, "train", train)

    return script


def test_the_first_epoch_of_each_ticket_is_not_timed(task: Task, scripted: Callable[..., None]) -> None:
    """Two tickets of two batches an epoch, one after the other: 3 + 5 seconds for 4 steps."""
    scripted([(70.0, 0, 1), (3.0, 0, 2), (50.0, 1, 1), (5.0, 1, 2)], [])

    assert PrunecheckLoop(task, Acceleration(), tickets=2).turn() == (3 + 5) / 4


def test_the_time_of_tickets_at_once_is_counted_once(task: Task, scripted: Callable[..., None]) -> None:
    scripted([(70.0, 0, 1), (0.5, 1, 1), (6.0, 0, 2), (0.5, 1, 2)], [])

    assert PrunecheckLoop(task, Acceleration(), tickets=2).turn() == (6 + 0.5) / 4


def test_only_the_timed_epoch_is_watched(task: Task, scripted: Callable[..., None]) -> None:
    log: list[str] = []

    @contextmanager
    def watch() -> Iterator[None]:
        log.append("watch")
        yield
        log.append("done")

    scripted([(1.0, 0, 1), (1.0, 0, 2)], log)
    PrunecheckLoop(task, Acceleration()).turn(watch())

    assert log == ["0: 1", "watch", "0: 2", "done", "end"]


def test_what_is_done_between_epochs_is_not_timed(task: Task, clock: Clock, scripted: Callable[..., None]) -> None:
    def between(seconds: Sequence[float]) -> None:
        clock.now += 1000

    scripted([(70.0, 0, 1), (3.0, 0, 2), (4.0, 0, 3)], [])

    assert PrunecheckLoop(task, Acceleration()).train(3, between).seconds == [3, 4]


def test_a_training_that_diverges_has_no_time(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prunecheck_loop, "train", lambda *_, **__: [SimpleNamespace(diverged=True)])

    with pytest.raises(RuntimeError, match="diverged"):
        PrunecheckLoop(task, Acceleration()).turn()


def test_tickets_are_of_the_sparsity_and_differ(task: Task) -> None:
    one, other = task.tickets(2)

    assert sparsity_of(one.masks) == pytest.approx(0.9, abs=0.01)
    assert any((one.masks[layer] != other.masks[layer]).any() for layer in one.masks)
    assert (one.weights["conv1.weight"] != other.weights["conv1.weight"]).all()
    assert not replace(task, sparsity=0).tickets(1)[0].masks


def test_a_plain_loop_trains_what_prunechecks_parts_train(task: Task) -> None:
    """From the same batches, to rounding; pruned weights stay 0."""
    loops = [
        PlainLoop(task, Ideas(data_on_device=True)),
        PlainLoop(task, Ideas(data_on_device=True, fused_step=True, no_waiting=True)),
        PlainLoop(task, Ideas(data_on_device=True, fused_step=True, no_waiting=True, channels_last=True)),
    ]
    for loop in loops:
        loop.turn()

    plain, fast, channels_last = (loop.model.state_dict() for loop in loops)
    masks = task.tickets(1)[0].masks
    for name, weight in plain.items():
        torch.testing.assert_close(weight, fast[name], rtol=2e-6, atol=1e-7)
        torch.testing.assert_close(weight, channels_last[name], rtol=1e-4, atol=1e-5)
        if name.removesuffix(".weight") in masks:
            assert not weight[~masks[name.removesuffix(".weight")]].any()
    assert (plain["fc.weight"] != task.tickets(1)[0].weights["fc.weight"]).any()


def test_a_plain_loops_first_batch_is_not_timed(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps take 70, 3 and 5 seconds."""
    clock, seconds = Clock(), iter((70.0, 3.0, 5.0))
    monkeypatch.setattr(plain_loop, "time", clock)

    class SlowDescent:
        def step(self, learning_rate: float) -> None:
            clock.now += next(seconds)

    loop = PlainLoop(task)
    loop.optimizer = SlowDescent()

    assert loop.turn() == (3 + 5) / 2
    assert next(seconds, None) is None


def test_an_image_that_is_not_varied_is_only_normalised() -> None:
    dataset = replace(cifar_shaped(3), augmentation=Augmentation(padding=0, flip=False))
    images = PlainImages(dataset)
    ((expected, labels),) = Batches(dataset.train, dataset, 3).in_order()

    torch.testing.assert_close(torch.stack([images[index][0] for index in range(3)]), expected)
    assert [images[index][1] for index in range(3)] == labels.tolist()


def test_images_are_cropped_from_a_frame_and_mirrored_half_of_the_time() -> None:
    """The image counts its own columns, so that its rows tell where they come from."""
    dataset = cifar_shaped(1)
    dataset.train.pixels[:] = 100
    dataset.train.pixels[..., 16:] = 200
    images = PlainImages(dataset)
    deviation, mean = dataset.deviation[0], dataset.mean[0]

    edges, mirrored = set(), 0
    for _ in range(200):
        bytes_of_row = ((images[0][0][0, 16] * deviation + mean) * 255).round().int().tolist()
        flipped = bytes_of_row.index(200) < bytes_of_row.index(100)
        row = bytes_of_row[::-1] if flipped else bytes_of_row
        edges.add(row.index(200))
        mirrored += flipped

    assert edges == set(range(12, 21))
    assert 60 < mirrored < 140


def test_a_plain_epoch_serves_each_image_once() -> None:
    dataset = cifar_shaped(10)
    dataset.train.labels[:] = range(10)
    loader = plain_batches(dataset, 4, workers=0)

    epochs = [[label for _, labels in loader for label in labels.tolist()] for _ in range(2)]

    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]
