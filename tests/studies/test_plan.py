import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from prunecheck.errors import InputError
from prunecheck.pruning import DENSE, Collapse
from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunStore, metrics_csv
from prunecheck.studies.plan import BYTES_PER_RUN, bytes_needed, checkpoint_bytes_per_weight, plan_study
from prunecheck.studies.retry import forget_failed
from prunecheck.studies.study import Study
from prunecheck.studies.study_file import read_study
from prunecheck.training import EpochMetrics, Recipe
from prunecheck.training.optimizer import masked_optimizer
from prunecheck.training.weight_average import WeightAverage

TEXT = """
methods = ["snip", "lt"]
datasets = ["digits"]
models = ["resnet8"]
widths = [2]
sparsities = [0.8, 0.9]
checks = ["random-labels"]
seeds = 2
recipes = ["short"]
recipe.short.epochs = 4
"""

TRAINED = RunResult(
    status=Status.TRAINED,
    accuracy=90.0,
    best_accuracy=90.0,
    epochs=4,
    chance=10.0,
    sparsity=0.9,
    kept={},
    collapse=None,
    reason=None,
    seconds=8.0,
    device="cpu",
    versions={},
)
FAILED = replace(TRAINED, status=Status.FAILED, accuracy=None, best_accuracy=None, epochs=0, reason="no luck")
COLLAPSED = replace(
    TRAINED, status=Status.COLLAPSED, accuracy=None, best_accuracy=None, epochs=0, collapse=Collapse("fc", "empty")
)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A study of which nothing is done, in ``tmp_path / "runs"``."""
    file = tmp_path / "study.toml"
    file.write_text(TEXT)
    return read_study(file, None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def finish(root: Path, spec: RunSpec, result: RunResult = TRAINED) -> None:
    """Leave what a finished run leaves, without its weights."""
    root.mkdir(exist_ok=True)
    folder = RunStore(root).folder(spec)
    folder.open()
    folder.write_result(result)


def begin(root: Path, spec: RunSpec, epochs: int) -> None:
    """Leave what an interrupted run leaves, without its weights."""
    root.mkdir(exist_ok=True)
    folder = RunStore(root).folder(spec)
    folder.open()
    metrics = metrics_csv(EpochMetrics(epoch + 1, 0.1, 1.0, 1.0, 50.0, 50.0) for epoch in range(epochs))
    (folder.path / "metrics.csv").write_text(metrics)


def runs_of(study: Study, **fields: Any) -> list[RunSpec]:
    return [run for run in study.runs() if fields.items() <= run.described().items()]


def test_nothing_is_done_where_there_is_no_folder(study: Study, root: Path) -> None:
    plan = plan_study(study, root)
    # 2 seeds of: dense, dense trained on random labels; 2 sparsities of snip, lt (with a check each), random-smart
    assert (plan.total.runs, plan.total.done, plan.total.failed, plan.total.begun) == (2 * (2 + 2 * 5), 0, 0, 0)
    assert plan.total.epochs_to_go == 4 * plan.total.runs
    assert [standing.runs for standing in plan.questions] == [2 * (1 + 2 * 3), 2 * (2 + 2 * 3)]
    assert (plan.estimate.seconds, plan.estimate.unknown_epochs, plan.estimate.devices) == (0, 4 * plan.total.runs, ())
    assert [run.setting.model for run in plan.estimate.unknown] == ["resnet8"]
    assert not root.exists()


def test_what_is_done_failed_and_begun_is_counted_in_every_question_that_has_it(study: Study, root: Path) -> None:
    dense, *_ = runs_of(study, method=DENSE, trained_on=None)
    snip, lt = runs_of(study, method="snip")[0], runs_of(study, method="lt")[0]
    finish(root, dense)
    finish(root, snip, FAILED)
    finish(root, lt, COLLAPSED)
    begin(root, runs_of(study, method="random-smart")[0], epochs=3)
    plan = plan_study(study, root)
    total = plan.total
    assert (total.done, total.failed, total.begun, total.epochs_to_go) == (2, 1, 1, 4 * (total.runs - 3) - 3)
    of_snip, of_lt = plan.questions
    assert (of_snip.done, of_snip.failed, of_snip.begun) == (1, 1, 1)
    assert (of_lt.done, of_lt.failed, of_lt.begun) == (2, 0, 1)


def test_networks_are_shared_by_the_tickets_that_are_made_of_them(study: Study, root: Path) -> None:
    finish(root, runs_of(study, method=DENSE, trained_on=None, seed=1)[0])
    found = {
        (group.run.method, group.run.trained_on): (group.networks, group.done, group.tickets)
        for group in plan_study(study, root).shared
    }
    assert found == {(DENSE, None): (2, 1, 4), (DENSE, "random-labels"): (2, 0, 4)}


def test_rounds_of_imp_share_the_network_before(tmp_path: Path, root: Path) -> None:
    file = tmp_path / "imp.toml"
    file.write_text(TEXT.replace('"snip", "lt"', '"imp@2"').replace("[0.8, 0.9]", "[0.75]"))
    shared = plan_study(read_study(file, None), root).shared
    assert [(group.run.method, group.run.sparsity, group.tickets) for group in shared] == [
        (DENSE, 0.0, 2),
        ("imp@1", 0.5, 2),
        (DENSE, 0.0, 2),
        ("imp@1", 0.5, 2),
    ]


def test_time_is_estimated_from_runs_of_the_same_data_and_network(study: Study, root: Path) -> None:
    dense, other, *_ = runs_of(study, method=DENSE)
    elsewhere = replace(dense, seed=77)  # of another study
    finish(root, dense, replace(TRAINED, seconds=4.0))
    finish(root, other, replace(TRAINED, seconds=400.0))
    finish(root, elsewhere, replace(TRAINED, seconds=8.0, device="cuda:0"))
    finish(root, elsewhere.changed(width=3), replace(TRAINED, seconds=1e6))
    finish(root, elsewhere.changed(train_images=100), replace(TRAINED, seconds=1e6))
    finish(root, replace(elsewhere, method="snip"), FAILED)
    plan = plan_study(study, root)
    assert plan.estimate.seconds == 2.0 * plan.total.epochs_to_go  # the median of 1, 2 and 100 seconds an epoch
    assert (plan.estimate.unknown_epochs, plan.estimate.unknown) == (0, ())
    assert plan.estimate.devices == ("cpu", "cuda:0")


def test_time_of_what_was_never_measured_is_unknown(tmp_path: Path, root: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(TEXT.replace("[2]", "[2, 3]"))
    study = read_study(file, None)
    first = runs_of(study, method=DENSE, width=2)[0]
    finish(root, first)
    estimate = plan_study(study, root).estimate
    of_width = {width: runs_of(study, width=width) for width in (2, 3)}
    assert estimate.seconds == 2.0 * 4 * (len(of_width[2]) - 1)
    assert estimate.unknown_epochs == 4 * len(of_width[3])
    assert [run.setting.width for run in estimate.unknown] == [3]


def test_disk_is_reckoned_from_parameters(tmp_path: Path, root: Path, study: Study) -> None:
    parameters = study.questions[0].parameter_count()
    plan = plan_study(study, root)
    # Starting weight and mask; in the checkpoint weight and momentum.
    assert plan.estimate.bytes == plan.total.runs * (BYTES_PER_RUN + (4 + 1 + 8) * parameters)
    missing = study.runs()[:3]
    kept, written = bytes_needed(study, missing), bytes_needed(study, missing, workers=2)
    assert kept == 3 * (BYTES_PER_RUN + 13 * parameters)
    assert written - kept == 2 * 8 * parameters
    for run in study.runs():
        finish(root, run)
    assert plan_study(study, root).estimate.bytes == 0


def test_another_run_or_a_broken_result_in_a_folder_is_refused(study: Study, root: Path) -> None:
    run = study.runs()[3]
    finish(root, run)
    folder = RunStore(root).folder(run).path
    (folder / "result.json").write_text("{")
    with pytest.raises(InputError, match=r"result\.json is not the result of a run"):
        plan_study(study, root)
    (folder / "spec.json").write_text(json.dumps(json.loads(run.canonical()) | {"seed": 5}))
    with pytest.raises(InputError, match="was made by another spec"):
        plan_study(study, root)


def test_an_empty_folder_and_metrics_that_make_no_sense_are_no_progress(study: Study, root: Path) -> None:
    first, second, *_ = study.runs()
    RunStore(root / first.folder_name).root.mkdir(parents=True)
    begin(root, second, epochs=2)
    (RunStore(root).folder(second).path / "metrics.csv").write_text("epoch\nmany\n")
    assert plan_study(study, root).total == plan_study(study, root / "nowhere").total


def test_failed_runs_are_forgotten_and_what_could_not_be_done_because_of_them(study: Study, root: Path) -> None:
    failed, other = runs_of(study, method=DENSE, trained_on=None)
    dependent = runs_of(study, method="lt", check=None, seed=failed.seed)
    results = dict.fromkeys(study.runs(), TRAINED) | dict.fromkeys(dependent, COLLAPSED) | {failed: FAILED}
    alone = runs_of(study, method="lt", check=None, seed=other.seed)[0]
    results[alone] = COLLAPSED  # by itself: the network that it is made of was trained
    diverged = runs_of(study, method="snip")[0]
    results[diverged] = replace(FAILED, status=Status.DIVERGED, reason=None)
    for run, result in results.items():
        finish(root, run, result)
    store = RunStore(root)
    (store.folder(failed).path / "last.safetensors").write_bytes(b"a checkpoint")
    before = {path: path.read_bytes() for path in root.rglob("result.json")}
    assert set(forget_failed(study, store)) == {failed, *dependent}
    missing = {run for run in study.runs() if store.result(run) is None}
    assert missing == {failed, *dependent}
    assert (store.folder(failed).path / "last.safetensors").exists()
    assert "tried again: no luck" in (store.folder(failed).path / "log").read_text()
    left = {path: path.read_bytes() for path in root.rglob("result.json")}
    assert left == {path: content for path, content in before.items() if path in left}
    assert forget_failed(study, store) == []


def test_a_kill_while_results_are_forgotten_loses_none_that_depends(
    study: Study, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = runs_of(study, method=DENSE, trained_on=None, seed=0)[0]
    dependent = runs_of(study, method="lt", check=None, seed=0)
    for run in study.runs():
        finish(root, run, FAILED if run == failed else COLLAPSED if run in dependent else TRAINED)
    store, unlink = RunStore(root), Path.unlink
    done: list[Path] = []

    def killed_after_one(path: Path, missing_ok: bool = False) -> None:
        if done:
            raise KeyboardInterrupt
        done.append(path)
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed_after_one)
        with pytest.raises(KeyboardInterrupt):
            forget_failed(study, store)
    forget_failed(study, store)
    assert {run for run in study.runs() if store.result(run) is None} == {failed, *dependent}


@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_checkpoint_is_reckoned_from_what_its_recipe_keeps_of_a_weight(optimizer: str, average: float) -> None:
    recipe = Recipe(epochs=1, milestones=(), optimizer=optimizer, weight_average=average)
    model = torch.nn.Linear(1000, 1000, bias=False)
    averaged = WeightAverage(model, average)
    kept = [*model.parameters(), *masked_optimizer(model, {}, recipe).state().values(), *averaged.state().values()]
    assert checkpoint_bytes_per_weight(recipe) * 10**6 == pytest.approx(sum(one.nbytes for one in kept), abs=100)
