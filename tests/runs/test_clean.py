import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from prunecheck.engine.execution import execute
from prunecheck.engine.job import Job
from prunecheck.errors import InputError
from prunecheck.pruning import DENSE
from prunecheck.runs.clean import clean, find_removable
from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunStore
from prunecheck.training import Checkpoint

MakeSpec = Callable[..., RunSpec]
MakeJob = Callable[[RunSpec, Path], Job]

NO_SAMPLES = {"samples_per_class": 0, "scoring_rounds": 0, "train_images": 100, "test_images": 50}


def unheard(epoch: int, accuracy: float | None) -> None:
    """Take what is told of an epoch."""


@pytest.fixture(scope="module")
def dense(make_spec: MakeSpec) -> RunSpec:
    return make_spec(method=DENSE, sparsity=0.0, **NO_SAMPLES)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, make_job: MakeJob, dense: RunSpec) -> Path:
    root = tmp_path_factory.mktemp("trained")
    assert execute(make_job(dense, root), unheard).status == "trained"
    return root


@pytest.fixture
def root(tmp_path: Path, trained: Path) -> Path:
    """A copy, to be cleaned."""
    return Path(shutil.copytree(trained, tmp_path / "runs"))


@pytest.fixture
def run(root: Path, dense: RunSpec) -> Path:
    return RunStore(root).folder(dense).path


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != ".lock"}


def total(folder: Path) -> int:
    return sum(map(len, contents(folder).values()))


def test_an_ended_run_loses_its_momentum_and_nothing_else(root: Path, run: Path) -> None:
    before, checkpoint = contents(run), Checkpoint.read(run / "last.safetensors")
    assert checkpoint.momentum
    promised = find_removable(root)
    assert contents(run) == before
    done = clean(root)
    after, left = contents(run), Checkpoint.read(run / "last.safetensors")
    assert done == promised
    assert done.size == sum(tensor.nbytes for tensor in checkpoint.momentum.values())
    assert sum(map(len, before.values())) - sum(map(len, after.values())) >= done.size
    assert {name for name in before if after[name] != before[name]} == {"last.safetensors"}
    assert after.keys() == before.keys()
    assert (left.momentum, left.metrics) == ({}, checkpoint.metrics)
    assert left.weights.keys() == checkpoint.weights.keys()
    assert all(torch.equal(left.weights[name], tensor) for name, tensor in checkpoint.weights.items())


def test_what_is_clean_stays_byte_for_byte(root: Path, run: Path) -> None:
    clean(root)
    before = contents(run)
    assert clean(root).size == 0
    assert contents(run) == before


def test_tickets_of_later_runs_start_from_the_weights_that_stay(
    root: Path, tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob
) -> None:
    ticket = make_spec(method="lt", sparsity=0.5, **NO_SAMPLES)
    untouched = Path(shutil.copytree(root, tmp_path / "untouched"))
    clean(root)
    folders = [RunStore(place).folder(ticket).path for place in (root, untouched)]
    for place in (root, untouched):
        assert execute(make_job(ticket, place), unheard).status == "trained"
    for name in ("ticket.safetensors", "last.safetensors", "metrics.csv"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


@pytest.mark.parametrize("has_failed", [False, True])
def test_a_run_that_can_go_on_stays_as_it_is(root: Path, run: Path, has_failed: bool) -> None:
    result = (run / "result.json").read_text()
    (run / "result.json").unlink()
    if has_failed:
        failed = replace(
            RunResult.from_json(result), status=Status.FAILED, accuracy=None, best_accuracy=None, reason="no luck"
        )
        (run / "result.json").write_text(failed.to_json())
    before = contents(run)
    assert clean(root).momentum == {}
    assert contents(run) == before


def test_what_kills_left_is_removed(root: Path, run: Path) -> None:
    part = run / ".last.safetensors.123.part"
    part.write_bytes(b"0" * 1000)
    before = total(run)
    removable = find_removable(root)
    assert removable.leftovers == {part: 1000}
    assert part.exists()
    clean(root)
    assert not part.exists()
    assert before - total(run) >= removable.size > 1000


def test_nothing_is_removed_while_a_command_is_at_work(root: Path, run: Path) -> None:
    before = contents(run)
    with RunStore(root).locked():
        for use in (find_removable, clean):
            with pytest.raises(InputError, match=r"a prunecheck is at work in .*: wait for it, or stop it with"):
                use(root)
    assert contents(run) == before


def test_a_damaged_checkpoint_is_left_and_named(root: Path, run: Path) -> None:
    (run / "last.safetensors").write_bytes(b"nothing to see")
    before = contents(run)
    (unreadable,) = clean(root).unreadable
    assert (unreadable.path, "last.safetensors" in unreadable.reason) == (run, True)
    assert contents(run) == before


def test_a_runs_own_folder_is_refused(run: Path) -> None:
    # The lock of the command that may be at work there is not in it.
    for use in (find_removable, clean):
        with pytest.raises(InputError, match="is one run: give the folder that holds it"):
            use(run)
