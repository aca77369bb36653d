import csv
import random
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy
import pytest
import torch
from torch import Tensor

from prunecheck.data import load_dataset
from prunecheck.engine.execution import Stopped, execute
from prunecheck.engine.job import Job
from prunecheck.engine.tickets import build_network
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import DENSE, Ticket, find_method, load_ticket
from prunecheck.pruning.layers import weight_name
from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunFolder, RunStore
from prunecheck.training import Checkpoint, train
from prunecheck.training.acceleration import EVERY_EPOCH

MakeSpec = Callable[..., RunSpec]
MakeJob = Callable[[RunSpec, Path], Job]
Execute = Callable[[RunSpec], tuple[RunFolder, RunResult]]

FILES = ["last.safetensors", "log", "metrics.csv", "result.json", "spec.json", "ticket.safetensors"]


def unheard(epoch: int, accuracy: float | None) -> None:
    """Take what is told of an epoch."""


@pytest.fixture
def run(tmp_path: Path, make_job: MakeJob) -> Execute:
    """Return a function that executes a run and returns its folder and result."""

    def execute_it(spec: RunSpec) -> tuple[RunFolder, RunResult]:
        job = replace(make_job(spec, tmp_path), acceleration=EVERY_EPOCH)
        return RunStore(tmp_path).folder(spec), execute(job, unheard)

    return execute_it


def ticket_of(folder: RunFolder) -> Ticket:
    return load_ticket(folder.path / "ticket.safetensors")[0]


def final_weights(folder: RunFolder) -> dict[str, Tensor]:
    return Checkpoint.read(folder.path / "last.safetensors").weights


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_leaves_all_its_files(run: Execute, make_spec: MakeSpec) -> None:
    spec = make_spec()
    folder, result = run(spec)
    names = sorted(file.name for file in folder.path.iterdir())
    curves = [name for name in names if name.startswith("events.out.tfevents")]
    assert len(curves) == 1
    assert names == sorted(FILES + curves)
    assert RunSpec.from_json((folder.path / "spec.json").read_text()) == spec
    assert folder.result() == result
    assert "epoch 1 of 2" in (folder.path / "log").read_text()


def test_metrics_are_one_row_an_epoch_and_the_result_is_the_last_ones(run: Execute, make_spec: MakeSpec) -> None:
    folder, result = run(make_spec(epochs=3))
    metrics = Checkpoint.read(folder.path / "last.safetensors").metrics
    with (folder.path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [{name: float(value) for name, value in row.items()} for row in rows] == [asdict(m) for m in metrics]
    assert [m.epoch for m in metrics] == [1, 2, 3]
    assert (result.status, result.epochs) == ("trained", 3)
    assert result.accuracy == metrics[-1].test_accuracy
    assert result.best_accuracy == max(m.test_accuracy or 0 for m in metrics)


def test_the_curves_are_the_metrics(
    run: Execute, make_spec: MakeSpec, read_curves: Callable[[Path], dict[str, list[tuple[int, float]]]]
) -> None:
    folder, _ = run(make_spec())
    metrics = Checkpoint.read(folder.path / "last.safetensors").metrics
    expected = [(epoch, float(numpy.float32(m.test_accuracy))) for epoch, m in enumerate(metrics)]
    assert read_curves(folder.path)["test_acc"] == expected


def test_the_ticket_on_disk_is_what_was_trained(run: Execute, make_spec: MakeSpec) -> None:
    spec = make_spec(seed=4)
    folder, result = run(spec)
    ticket = ticket_of(folder)
    initial = build_model("resnet8", 10, 4, width=2, input_channels=1).state_dict()
    assert equal(ticket.weights, dict(initial))
    assert result.kept == {layer: (int(mask.sum()), mask.numel()) for layer, mask in ticket.masks.items()}
    total = sum(mask.numel() for mask in ticket.masks.values())
    kept = sum(int(mask.sum()) for mask in ticket.masks.values())
    assert kept == round(total * 0.2)
    assert result.sparsity == pytest.approx(1 - kept / total, abs=1e-12)
    trained = final_weights(folder)
    for layer, mask in ticket.masks.items():
        assert not trained[weight_name(layer)][~mask].any()
    assert not equal(trained, ticket.weights)


def test_a_dense_run_prunes_nothing(run: Execute, make_spec: MakeSpec) -> None:
    folder, result = run(make_spec(method=DENSE, sparsity=0.0, epochs=1))
    assert (result.status, result.sparsity, result.kept) == ("trained", 0.0, {})
    assert not ticket_of(folder).masks
    assert final_weights(folder)["conv1.weight"].all()


def test_a_complete_run_is_not_done_again(tmp_path: Path, run: Execute, make_spec: MakeSpec, make_job: MakeJob) -> None:
    spec = make_spec()
    folder, result = run(spec)

    def state() -> dict[str, tuple[bytes, int, int]]:
        files = [folder.path, *folder.path.iterdir()]
        stats = [(file, file.stat()) for file in files]
        return {f.name: (f.read_bytes() if f.is_file() else b"", s.st_mtime_ns, s.st_ino) for f, s in stats}

    before = state()
    epochs: list[int] = []
    assert execute(make_job(spec, tmp_path), lambda epoch, _: epochs.append(epoch)) == result
    assert not epochs
    assert state() == before


def test_every_epoch_is_told_with_its_accuracy(tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob) -> None:
    told: list[tuple[int, float | None]] = []
    spec = make_spec()
    execute(make_job(spec, tmp_path), lambda epoch, accuracy: told.append((epoch, accuracy)))
    metrics = Checkpoint.read(RunStore(tmp_path).folder(spec).path / "last.safetensors").metrics
    assert told == [(m.epoch, m.test_accuracy) for m in metrics]
    assert told[-1][1] is not None


def test_a_collapsed_ticket_is_a_result_and_is_not_trained(
    tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob
) -> None:
    spec = make_spec(sparsity=0.9999)
    epochs: list[int] = []
    result = execute(make_job(spec, tmp_path), lambda epoch, _: epochs.append(epoch))
    folder = RunStore(tmp_path).folder(spec)
    assert (result.status, result.accuracy, result.best_accuracy, result.epochs) == ("collapsed", None, None, 0)
    assert result.collapse is not None
    assert result.kept[result.collapse.layer][0] == 0
    assert result.collapse.layer == next(layer for layer, (kept, _) in result.kept.items() if kept == 0)
    assert f"collapsed: {result.collapse.layer}: no weight is left" in (folder.path / "log").read_text()
    assert not epochs
    assert sorted(f.name for f in folder.path.iterdir()) == ["log", "result.json", "spec.json", "ticket.safetensors"]
    assert execute(make_job(spec, tmp_path), unheard) == result


def test_a_check_that_collapses_a_ticket_is_a_collapsed_run(run: Execute, make_spec: MakeSpec) -> None:
    _, result = run(make_spec(sparsity=0.995, check="rearrange-mask"))
    assert result.status == "collapsed"


def test_divergence_is_a_result(run: Execute, make_spec: MakeSpec) -> None:
    folder, result = run(make_spec(method=DENSE, sparsity=0.0, learning_rate=1e12, epochs=5))
    assert (result.status, result.accuracy, result.best_accuracy, result.collapse) == ("diverged", None, None, None)
    assert result.epochs == len(Checkpoint.read(folder.path / "last.safetensors").metrics) < 5
    assert folder.result() == result


@pytest.mark.parametrize("check", ["corrupted-data", "random-labels", "random-pixels"])
def test_a_data_check_changes_the_mask_and_leaves_the_initial_weights(
    run: Execute, make_spec: MakeSpec, check: str
) -> None:
    unchanged, changed = (ticket_of(run(make_spec(check=name, epochs=1))[0]) for name in (None, check))
    assert equal(unchanged.weights, changed.weights)
    assert not equal(unchanged.masks, changed.masks)
    assert sum(int(m.sum()) for m in changed.masks.values()) == sum(int(m.sum()) for m in unchanged.masks.values())


@pytest.mark.parametrize("check", ["corrupted-data", "random-labels", "random-pixels", "rearrange-mask"])
def test_a_run_and_its_check_share_weights_data_and_their_order(run: Execute, make_spec: MakeSpec, check: str) -> None:
    """With nothing pruned these checks have nothing to change, so that all else must be the same."""
    unchanged, changed = (run(make_spec(check=name, sparsity=0.0))[0] for name in (None, check))
    assert unchanged.path != changed.path
    assert equal(final_weights(unchanged), final_weights(changed))
    assert (unchanged.path / "metrics.csv").read_text() == (changed.path / "metrics.csv").read_text()


def test_a_run_and_the_dense_network_share_weights_and_data_order(run: Execute, make_spec: MakeSpec) -> None:
    dense, whole = (run(make_spec(method=method, sparsity=0.0))[0] for method in (DENSE, "magnitude"))
    assert equal(final_weights(dense), final_weights(whole))


def test_reinit_has_the_mask_and_other_weights(run: Execute, make_spec: MakeSpec) -> None:
    unchanged, changed = (ticket_of(run(make_spec(check=name, epochs=1))[0]) for name in (None, "reinit"))
    assert equal(unchanged.masks, changed.masks)
    for layer in changed.masks:
        assert not torch.equal(unchanged.weights[weight_name(layer)], changed.weights[weight_name(layer)])


def test_rearranged_masks_keep_as_many_of_each_layer_and_others(run: Execute, make_spec: MakeSpec) -> None:
    unchanged, changed = (run(make_spec(check=name, epochs=1)) for name in (None, "rearrange-mask"))
    assert changed[1].kept == unchanged[1].kept
    first, second = ticket_of(unchanged[0]), ticket_of(changed[0])
    assert equal(first.weights, second.weights)
    assert not equal(first.masks, second.masks)


def test_seeds_differ_in_weights_masks_and_results(run: Execute, make_spec: MakeSpec) -> None:
    first, second = (run(make_spec(seed=seed, epochs=1, method="random-smart"))[0] for seed in (0, 1))
    assert not equal(ticket_of(first).weights, ticket_of(second).weights)
    assert not equal(ticket_of(first).masks, ticket_of(second).masks)


def test_the_result_does_not_depend_on_threads_or_touch_global_generators(
    tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob
) -> None:
    spec = make_spec()
    before = (torch.get_rng_state(), random.getstate(), numpy.random.get_state(legacy=False))
    for threads in (3, 1):  # 1 last, as all other tests have it
        torch.set_num_threads(threads)
        (tmp_path / str(threads)).mkdir()
        execute(make_job(spec, tmp_path / str(threads)), unheard)
        assert torch.get_num_threads() == threads
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    numpy.testing.assert_equal(numpy.random.get_state(legacy=False), before[2])
    one, three = (RunStore(tmp_path / str(threads)).folder(spec).path / "last.safetensors" for threads in (1, 3))
    assert one.read_bytes() == three.read_bytes()


def test_a_method_whose_file_was_changed_meanwhile_is_refused(tmp_path: Path, make_spec: MakeSpec) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def score(model, batches):\n    return {}\n")
    spec = make_spec(method="mine.py:score", method_hash="0" * 64)
    with pytest.raises(InputError, match=r"mine\.py:score was changed while its runs were going on"):
        execute(Job(spec, tmp_path, f"{file}:score", "digits", None, "cpu"), unheard)


class OutOfPowerError(BaseException):
    pass


def test_a_run_goes_on_with_the_ticket_it_began_with(tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob) -> None:
    spec = make_spec(epochs=3)

    def interrupt(epoch: int, accuracy: float | None) -> None:
        raise OutOfPowerError

    with pytest.raises(OutOfPowerError):
        execute(make_job(spec, tmp_path), interrupt)
    folder = RunStore(tmp_path).folder(spec)
    ticket = ticket_of(folder)
    # As another version might make it: every mask upside down.
    other = replace(ticket, masks={layer: mask.flip(0) for layer, mask in ticket.masks.items()})
    folder.write_ticket(other)
    execute(make_job(spec, tmp_path), unheard)
    assert equal(ticket_of(folder).masks, other.masks)


def test_what_a_listener_raises_is_no_failure_of_the_run(
    tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob
) -> None:
    spec = make_spec(epochs=2)

    def hang_up(epoch: int, accuracy: float | None) -> None:
        raise RuntimeError("nobody listens any more")

    with pytest.raises(RuntimeError, match="nobody listens"):
        execute(make_job(spec, tmp_path), hang_up)
    assert execute(make_job(spec, tmp_path), unheard).status == "trained"


FAILING = """
def score(model, batches):
    raise ValueError("in the first line\\nand in the second")
"""


@pytest.fixture
def failing_job(tmp_path: Path, make_spec: MakeSpec) -> Job:
    """The job of a criterion that fails."""
    file = tmp_path / "failing.py"
    file.write_text(FAILING)
    method = find_method(f"{file}:score")
    spec = make_spec(method=method.name, method_hash=method.source_hash)
    return Job(spec, tmp_path / "runs", method.argument, "digits", None, "cpu")


def test_a_run_that_fails_by_itself_is_a_result_that_says_why(tmp_path: Path, failing_job: Job) -> None:
    with RunStore(failing_job.root).locked():
        result = execute(failing_job, unheard)
    folder = RunStore(failing_job.root).folder(failing_job.spec)
    assert (result.status, result.accuracy, result.epochs, result.kept) == ("failed", None, 0, {})
    assert result.reason is not None
    assert "failing.py:score failed (ValueError: in the first line" in result.reason
    assert "\n" not in result.reason
    log = (folder.path / "log").read_text()
    assert "Traceback" in log
    assert "and in the second" in log
    assert execute(failing_job, unheard) == folder.result() == result


def test_what_is_made_of_a_failed_run_has_failed(tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob) -> None:
    lottery = make_spec(method="lt", samples_per_class=0, scoring_rounds=0)
    dense = replace(lottery, method=DENSE, sparsity=0.0)
    folder = RunStore(tmp_path).folder(dense)
    complete = execute(make_job(dense, tmp_path), unheard)
    folder.write_result(replace(complete, status=Status.FAILED, accuracy=None, reason="it could not be trained"))
    result = execute(make_job(lottery, tmp_path), unheard)
    assert (result.status, result.kept, result.collapse) == ("failed", {}, None)
    assert result.reason == "the dense run whose weights it needs failed: it could not be trained"


def test_a_run_that_is_asked_to_stop_does_so_after_its_epoch_and_goes_on_later(
    tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob
) -> None:
    spec = make_spec(epochs=3)
    whole, stopped = RunStore(tmp_path / "whole"), RunStore(tmp_path / "stopped")
    for store in (whole, stopped):
        store.root.mkdir()
    expected = execute(make_job(spec, whole.root), unheard)
    epochs: list[int] = []

    def stop(epoch: int, accuracy: float | None) -> None:
        epochs.append(epoch)
        if epoch < 3:
            stopped.request_stop()

    for done in (1, 2):
        with pytest.raises(Stopped, match=spec.folder_name):
            execute(make_job(spec, stopped.root), stop)
        assert epochs == list(range(1, done + 1))
        checkpoint = stopped.folder(spec).checkpoint()
        assert checkpoint is not None
        assert len(checkpoint.metrics) == done
        assert stopped.result(spec) is None
        with pytest.raises(Stopped):
            execute(make_job(spec, stopped.root), stop)
        with stopped.locked():  # as the next command does
            pass
    result = execute(make_job(spec, stopped.root), stop)
    assert replace(result, seconds=0.0) == replace(expected, seconds=0.0)
    for name in ("last.safetensors", "ticket.safetensors", "metrics.csv"):
        files = [store.folder(spec).path / name for store in (whole, stopped)]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_run_that_is_stopped_after_its_last_epoch_is_complete(
    tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob
) -> None:
    store, spec = RunStore(tmp_path), make_spec(epochs=1)
    result = execute(make_job(spec, tmp_path), lambda epoch, accuracy: store.request_stop())
    assert result.status == "trained"
    # What is complete is told, and nothing else is begun.
    assert execute(make_job(spec, tmp_path), unheard) == result
    other = make_spec(epochs=1, seed=5)
    with pytest.raises(Stopped):
        execute(make_job(other, tmp_path), unheard)
    assert not store.folder(other).path.exists()


def test_a_data_set_that_was_changed_meanwhile_is_refused(tmp_path: Path, make_spec: MakeSpec) -> None:
    spec = make_spec(dataset_hash="0" * 64)
    with pytest.raises(InputError, match="digits was changed while its runs were going on: call the command again"):
        execute(Job(spec, tmp_path, "snip", "digits", None, "cpu"), unheard)


def test_a_run_is_trained_and_tested_on_as_many_images_as_its_spec_says(
    tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob
) -> None:
    spec = make_spec(train_images=60, test_images=30, method="random-smart", epochs=1)
    execute(make_job(spec, tmp_path), unheard)
    folder = RunStore(tmp_path).folder(spec)
    (metrics,) = Checkpoint.read(folder.path / "last.safetensors").metrics
    assert metrics.test_accuracy is not None
    for accuracy, images in ((metrics.train_accuracy, 60), (metrics.test_accuracy, 30)):
        assert accuracy * images / 100 == pytest.approx(round(accuracy * images / 100), abs=1e-4)
    ticket, dataset = ticket_of(folder), load_dataset("digits").shortened(60, 30)
    (record,) = train([ticket], build_network(spec, dataset), dataset, spec.setting.recipe, [spec.seed])
    assert equal(final_weights(folder), record.weights)
    assert record.metrics == (metrics,)


def test_a_result_says_where_it_was_trained(run: Execute, make_spec: MakeSpec) -> None:
    _, result = run(make_spec(epochs=1, method="random-smart"))
    assert result.device == "cpu"
    labels = load_dataset("digits").test.labels
    assert result.chance == 100 * numpy.bincount(labels).max() / len(labels)
    assert result.versions["torch"] == torch.__version__
