"""A run with a ticket, or a beginning, that comes from elsewhere than its spec's method."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from prunecheck.data import Dataset, load_dataset
from prunecheck.engine.tickets import build_network, build_ticket, check_ticket
from prunecheck.engine.training import Execution
from prunecheck.pruning import Collapse, find_method
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunFolder, RunStore
from prunecheck.training import Checkpoint, EpochMetrics
from prunecheck.training.acceleration import EVERY_EPOCH
from prunecheck.training.loop import Training

MakeSpec = Callable[..., RunSpec]


def prepared(spec: RunSpec, root: Path) -> tuple[RunFolder, Dataset]:
    root.mkdir()
    return RunStore(root).folder(spec), load_dataset("digits").shortened(100, 50)


def done(execution: Execution, folder: RunFolder, dataset: Dataset) -> list[tuple[EpochMetrics, ...]]:
    """Train, and return the metrics that were told of after each epoch."""
    told: list[tuple[EpochMetrics, ...]] = []

    def after_epoch(training: Training) -> None:
        stored = folder.checkpoint()
        assert stored is not None  # on disk before anybody is told
        assert stored.metrics == tuple(training.metrics)
        told.append(stored.metrics)

    execution.train(dataset, build_network(folder.spec, dataset), after_epoch)
    return told


def test_a_training_that_begins_later_ends_as_the_whole_one(spec: MakeSpec, tmp_path: Path) -> None:
    run = spec(method="magnitude")
    folder, dataset = prepared(run, tmp_path / "whole")
    ticket = build_ticket(run, dataset, build_network(run, dataset), find_method("magnitude"))
    starts: list[Checkpoint] = []
    execution = Execution(folder, "cpu", EVERY_EPOCH)
    assert (execution.ticket, execution.start) == (None, None)
    execution.begin(ticket)
    model = build_network(run, dataset)
    execution.train(dataset, model, lambda training: starts.append(training.checkpoint()))
    whole = execution.end(dataset)
    later, _ = prepared(run, tmp_path / "later")
    execution = Execution(later, "cpu", EVERY_EPOCH)
    execution.begin(ticket, starts[0])
    assert later.checkpoint() is not None  # an interruption before the next epoch loses none
    told = done(execution, later, dataset)
    assert [len(metrics) for metrics in told] == [2, 3]
    result = execution.end(dataset)
    assert replace(result, seconds=0.0) == replace(whole, seconds=0.0)
    assert later.result() == result
    ends = [folder.checkpoint(), later.checkpoint()]
    first, second = (end.weights for end in ends if end)
    assert all(torch.equal(first[name], tensor) for name, tensor in second.items())


def test_a_run_goes_on_with_its_own_ticket(spec: MakeSpec, tmp_path: Path) -> None:
    run = spec(method="magnitude", epochs=2)
    folder, dataset = prepared(run, tmp_path / "runs")
    ticket = build_ticket(run, dataset, build_network(run, dataset), find_method("magnitude"))
    Execution(folder, "cpu", EVERY_EPOCH).begin(ticket)
    assert Execution(folder, "cpu", EVERY_EPOCH).ticket is None  # without an epoch it is made anew
    execution = Execution(folder, "cpu", EVERY_EPOCH)
    execution.begin(ticket)
    done(execution, folder, dataset)
    again = Execution(folder, "cpu", EVERY_EPOCH)
    assert again.ticket is not None
    assert all(torch.equal(again.ticket.masks[layer], mask) for layer, mask in ticket.masks.items())
    assert again.start is not None
    assert len(again.start.metrics) == 2


def test_a_collapsed_ticket_ends_without_training(spec: MakeSpec, tmp_path: Path) -> None:
    run = spec(method="magnitude", check="rearrange-mask")
    folder, dataset = prepared(run, tmp_path / "runs")
    model = build_network(run, dataset)
    ticket = build_ticket(replace(run, check=None), dataset, model, find_method("magnitude"))
    empty = replace(ticket, masks=ticket.masks | {"fc": torch.zeros_like(ticket.masks["fc"])})
    found = check_ticket(run, dataset, model, empty)
    assert found.collapse == Collapse("fc", "no weight is left")
    moved = [layer for layer, mask in ticket.masks.items() if not torch.equal(found.masks[layer], mask)]
    assert len(moved) > 1  # the check's, beside the emptied layer
    execution = Execution(folder, "cpu", EVERY_EPOCH)
    assert not execution.has_collapsed
    execution.begin(found)
    assert execution.has_collapsed
    result = execution.end(dataset)
    assert (result.status, result.collapse, result.epochs) == ("collapsed", found.collapse, 0)
    assert "collapsed: fc: no weight is left\n" in (folder.path / "log").read_text()
