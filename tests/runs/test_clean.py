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
from prunecheck.runs.clean import Part, clean, find_removable
from prunecheck.runs.index import FoundRun, FoundRuns
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


def of_method(name: str) -> Callable[[FoundRuns], list[FoundRun]]:
    return lambda found: [run for run in found.runs if run.spec.method == name]


def test_weights_go_and_all_that_verdicts_are_made_of_stays(root: Path, run: Path) -> None:
    before = contents(run)
    promised = find_removable(root, Part.WEIGHTS)
    assert contents(run) == before
    assert clean(root, Part.WEIGHTS) == promised
    gone = {"last.safetensors", "ticket.safetensors"}
    assert contents(run) == {name: content for name, content in before.items() if name not in gone}
    assert promised.size == sum(len(before[name]) for name in gone)


def test_only_what_is_chosen_is_removed(root: Path, run: Path) -> None:
    before = contents(run)
    for part in Part:
        assert clean(root, part, of_method("snip")).size == 0
        assert contents(run) == before


@pytest.mark.parametrize("method", ["lt", "my.py:score"])
def test_weights_that_an_unfinished_run_starts_from_stay(
    root: Path, run: Path, make_spec: MakeSpec, method: str
) -> None:
    own = {} if method == "lt" else {"method_hash": "a" * 64}
    waiting = RunStore(root).folder(make_spec(method=method, sparsity=0.5, **NO_SAMPLES, **own))
    waiting.open()
    before = contents(run)
    removable = clean(root, Part.WEIGHTS)
    assert (removable.needed, removable.weights, contents(run)) == ((run,), {}, before)
    shutil.rmtree(waiting.path)
    assert clean(root, Part.WEIGHTS).needed == ()
    assert "last.safetensors" not in contents(run)


def test_weights_of_a_run_that_may_go_on_stay(root: Path, run: Path) -> None:
    (run / "result.json").unlink()
    before = contents(run)
    assert clean(root, Part.WEIGHTS).size == 0
    assert contents(run) == before


def test_whole_runs_go_with_their_rows(root: Path, run: Path, make_spec: MakeSpec) -> None:
    other = RunStore(root).folder(make_spec(seed=5))
    other.open()
    RunStore(root).write_results()
    size = total(run)
    promised = find_removable(root, Part.RUNS, of_method(DENSE))
    assert run.exists()
    assert (promised.runs, promised.momentum) == ({run: size}, {})
    assert clean(root, Part.RUNS, of_method(DENSE)) == promised
    assert sorted(path.name for path in root.iterdir() if path.is_dir()) == [other.path.name]
    assert (root / "results.csv").read_text().count("\n") == 1


def test_a_kill_while_a_run_is_removed_leaves_no_result(root: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rmdir", killed)
        with pytest.raises(KeyboardInterrupt):
            clean(root, Part.RUNS)
    assert contents(run) == {}
    result, real = run / "result.json", Path.unlink
    result.write_text("{}")
    (run / "spec.json").write_text("{}")
    removed: list[str] = []

    def noted(path: Path, missing_ok: bool = False) -> None:
        removed.append(path.name)
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", noted)
    from prunecheck.runs.clean import _remove

    _remove(run)
    assert removed == ["result.json", "spec.json"]


def test_links_in_a_run_are_removed_and_not_followed(root: Path, run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").touch()
    (run / "link").symlink_to(tmp_path / "mine", target_is_directory=True)
    clean(root, Part.RUNS)
    assert not run.exists()
    assert (tmp_path / "mine" / "notes").exists()


def test_code_that_a_spec_names_is_not_run_to_know_what_a_run_starts_from(
    root: Path, dense: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root.parent)
    Path("payload.py").write_text("open('it-ran', 'w').close()\n\n\ndef score(weights):\n    return weights\n")
    waiting = replace(dense, method="payload.py:score", method_hash=None, sparsity=0.5)
    RunStore(root).folder(waiting).open()
    clean(root, Part.WEIGHTS)
    assert not Path("it-ran").exists()
