"""What tracks runs is told of each epoch once, and ends none of them."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import prunecheck
import prunecheck.api.tracking_services  # so that what it registers is not in a registry of a test
from prunecheck.api import tracking
from prunecheck.api.tracking import Tracking, read_services
from prunecheck.engine.events import EpochDone, RunDone
from prunecheck.errors import InputError
from prunecheck.registry import Registry
from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import metrics_csv
from prunecheck.training import EpochMetrics
from tests.cli.runs import SPEC, TRAINED, put

OTHER = replace(SPEC, seed=1)


class Noted:
    """A service that notes what it is sent; with a run that it has already some epochs of, or that fails."""

    def __init__(self, has: int = 0, fails_at: int | None = None) -> None:
        self.has, self.fails_at = has, fails_at
        self.told: list[tuple[Any, ...]] = []

    def __call__(self, spec: RunSpec, root: Path, project: str) -> "NotedRun":
        self.told.append(("begun", spec.seed, project))
        return NotedRun(self, spec)


class NotedRun:
    def __init__(self, service: Noted, spec: RunSpec) -> None:
        self.service, self.spec, self.last_epoch = service, spec, service.has

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        if epoch == self.service.fails_at:
            raise OSError("no network")
        self.service.told.append((self.spec.seed, epoch, values["train_loss"], values.get("test_accuracy")))

    def end(self, result: RunResult | None) -> None:
        self.service.told.append(("ended", self.spec.seed, result and result.status))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Noted:
    noted = Noted()
    monkeypatch.setattr(tracking, "SECONDS", 0.0)
    registry: Registry[Any] = Registry("tracking service", "tests.tracking")
    registry.add("noted", noted, "notes")
    monkeypatch.setattr(tracking, "SERVICES", registry)
    return noted


def write(folder: Path, epochs: int) -> None:
    metrics = [EpochMetrics(e, 0.1, 1.0 / e, 1.0, 50.0, 44.0 if e % 2 else None) for e in range(1, epochs + 1)]
    (folder / "metrics.csv").write_text(metrics_csv(metrics))


def test_each_epoch_is_sent_once_as_it_is_written(service: Noted, tmp_path: Path) -> None:
    folder = put(SPEC, None, tmp_path)
    with Tracking([("noted", "mine")], tmp_path) as told:
        write(folder, 1)
        told.update(EpochDone(SPEC, 1, 44.0))
        told.update(EpochDone(SPEC, 2, 44.0))  # which is not written yet
        write(folder, 3)
        told.update(EpochDone(SPEC, 3, 44.0))
        write(folder, 4)
        told.update(RunDone(SPEC, TRAINED))
    rows = [(0, 1, 1.0, 44.0), (0, 2, 0.5, None), (0, 3, pytest.approx(1 / 3), 44.0), (0, 4, 0.25, None)]
    assert service.told == [("begun", 0, "mine"), *rows, ("ended", 0, "trained")]


def test_what_an_earlier_command_has_sent_is_not_sent_again(service: Noted, tmp_path: Path) -> None:
    service.has = 2
    write(put(SPEC, None, tmp_path), 3)
    with Tracking([("noted", "mine")], tmp_path) as told:
        told.update(RunDone(SPEC, TRAINED))
    assert [one[1] for one in service.told[1:-1]] == [3]


def test_files_are_not_read_at_each_epoch(service: Noted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "SECONDS", 1000.0)
    folder = put(SPEC, None, tmp_path)
    with Tracking([("noted", "mine")], tmp_path) as told:
        told.update(EpochDone(SPEC, 1, 44.0))
        write(folder, 2)
        told.update(EpochDone(SPEC, 2, 44.0))
        assert len(service.told) == 2  # begun, and the first epoch
        told.update(RunDone(SPEC, TRAINED))
    assert [one[0] for one in service.told] == ["begun", 0, 0, "ended"]


def test_runs_that_are_interrupted_are_ended_with_what_they_have(service: Noted, tmp_path: Path) -> None:
    folders = [put(spec, None, tmp_path) for spec in (SPEC, OTHER)]
    with pytest.raises(KeyboardInterrupt), Tracking([("noted", "mine")], tmp_path) as told:
        for spec in (SPEC, OTHER):
            told.update(EpochDone(spec, 1, 44.0))
        write(folders[1], 2)
        raise KeyboardInterrupt
    assert [one for one in service.told if one[0] == "ended"] == [("ended", 0, None), ("ended", 1, None)]
    assert (1, 2, 0.5, None) in service.told


def test_a_service_that_fails_is_said_once_and_left_alone(
    service: Noted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Noted()
    tracking.SERVICES.add("other", other, "notes, too")
    service.fails_at = 2
    for spec in (SPEC, OTHER):
        write(put(spec, None, tmp_path), 3)
    with Tracking([("noted", "mine"), ("other", "mine")], tmp_path) as told:
        for spec in (SPEC, OTHER):
            told.update(RunDone(spec, TRAINED))
    assert service.told == [("begun", 0, "mine"), (0, 1, 1.0, 44.0)]
    assert [one[:2] for one in other.told if one[0] in (0, 1)] == [
        (seed, epoch) for seed in (0, 1) for epoch in (1, 2, 3)
    ]
    (said,) = capsys.readouterr().err.splitlines()
    assert said == "prunecheck: noted failed (OSError: no network): the runs go on without it."


def test_a_check_tells_the_service_of_the_runs_that_it_does(service: Noted, tmp_path: Path) -> None:
    small: dict[str, Any] = {"sparsity": 0.5, "seeds": 1, "checks": (), "baseline": None, "epochs": 2, "width": 2}
    small |= {"train_images": 100, "test_images": 50, "out": tmp_path / "runs", "quiet": True}
    answer = prunecheck.check("magnitude", **small, track="noted:mine")
    ended = [one for one in service.told if one[0] == "ended"]
    assert len(ended) == len(answer.results) == 2
    assert sum(one[0] == 0 for one in service.told) == sum(result.epochs for result in answer.results.values()) > 0
    service.told.clear()
    prunecheck.check("magnitude", **small, track=["noted"])
    assert service.told == []


def test_services_are_named_with_their_projects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", ModuleType("wandb"))
    monkeypatch.setitem(sys.modules, "mlflow", ModuleType("mlflow"))
    assert read_services(()) == ()
    assert read_services("wandb") == (("wandb", "prunecheck"),)
    assert read_services(["wandb:mine", "mlflow:a/b:c"]) == (("wandb", "mine"), ("mlflow", "a/b:c"))
    with pytest.raises(InputError, match="there is no tracking service named 'wandp': did you mean wandb"):
        read_services("wandp")
    with pytest.raises(InputError, match="track names wandb twice"):
        read_services(["wandb:a", "wandb"])


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_without_its_package_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError) as caught:
        read_services(name)
    said = f"track {name} needs {name}, which is not installed: pip install 'prunecheck[{name}]'."
    assert str(caught.value) == said


def in_a_process(code: str, **environment: str) -> str:
    """Run code in a process of its own: these packages start threads and processes, and set what others read."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SENT = """
import dataclasses, sys
from pathlib import Path
from prunecheck.api.tracking import Tracking, read_services
from prunecheck.engine.events import EpochDone, RunDone
from tests.cli.runs import SPEC, TRAINED, FAILED, put
from tests.api.test_tracking import OTHER, write

root = Path("runs")
with Tracking(read_services("{service}:mine"), root) as told:
    for spec in (SPEC, OTHER):
        write(put(spec, None, root), 1)
        told.update(EpochDone(spec, 1, 44.0))  # both are going on
    for spec, result in ((SPEC, TRAINED), (OTHER, FAILED)):
        write(root / spec.folder_name, 3)
        told.update(RunDone(spec, result))
"""


def test_curves_are_written_offline_by_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    here = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    places = {"WANDB_CACHE_DIR": "cache", "WANDB_CONFIG_DIR": "config", "WANDB_DATA_DIR": "data", "HOME": str(tmp_path)}
    in_a_process(SENT.format(service="wandb"), WANDB_MODE="offline", PYTHONPATH=path, **places)
    folders = sorted((tmp_path / "runs/wandb").glob("offline-run-*"))
    assert {folder.name.rpartition("-")[2] for folder in folders} == {SPEC.hash, OTHER.hash}
    for spec, status in ((SPEC, b"trained"), (OTHER, b"failed")):
        (file,) = (tmp_path / "runs/wandb").glob(f"offline-run-*-{spec.hash}/*.wandb")
        content = file.read_bytes()
        assert all(word in content for word in (b"train_loss", b"test_accuracy", status, spec.folder_name.encode()))


ASKED = """
from mlflow.tracking import MlflowClient

client = MlflowClient()
experiment = client.get_experiment_by_name("mine")
for run in client.search_runs([experiment.experiment_id]):
    steps = [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, "train_loss")]
    print(run.info.run_name, run.info.status, run.data.tags["status"], run.data.params["method"], sorted(steps))
"""


def test_curves_are_kept_by_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    path = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
    where = {"MLFLOW_TRACKING_URI": f"file://{tmp_path}/mlruns", "MLFLOW_ALLOW_FILE_STORE": "true", "PYTHONPATH": path}
    in_a_process(SENT.format(service="mlflow"), **where)
    in_a_process(SENT.format(service="mlflow"), **where)  # what is there is not sent again
    lines = sorted(in_a_process(ASKED, **where).splitlines())
    curve = f"{[(1, 1.0), (2, 0.5), (3, 1 / 3)]}"
    assert lines == sorted(
        [
            f"{SPEC.folder_name} FINISHED trained snip {curve}",
            f"{OTHER.folder_name} FAILED failed snip {curve}",
        ]
    )
