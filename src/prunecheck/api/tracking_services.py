"""Weights & Biases and MLflow, each as one service that tracks runs; see :mod:`prunecheck.api.tracking`."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prunecheck.api.tracking import SERVICES
from prunecheck.errors import field_name
from prunecheck.extras import extra
from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.table import spec_row

TAG = "prunecheck.run"
"""At MLflow, the tag that holds the name of a run's folder."""


class WandbRun:
    """A run of Weights & Biases; offline, in ``wandb/`` of the root, where its environment says so (WANDB_MODE).

    Args:
        spec: the run, whose hash is its id there.
        root: where the runs are.
        project: it belongs to.
    """

    def __init__(self, spec: RunSpec, root: Path, project: str) -> None:
        import wandb

        self._run: Any = wandb.init(
            project=project,
            id=spec.hash,
            name=spec.folder_name,
            group=spec.method,
            config=_described(spec),
            dir=root,
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )
        self.last_epoch = max(int(self._run.step) - 1, 0)

    @staticmethod
    def require() -> None:
        """Raise :class:`InputError` if the package is not there."""
        with extra("wandb", f"{field_name('track')} wandb"):
            import wandb  # noqa: F401

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Send the metrics of an epoch."""
        self._run.log(dict(values), step=epoch)

    def end(self, result: RunResult | None) -> None:
        """Send what it ended with."""
        if result is not None:
            self._run.summary.update(_outcome(result))
        self._run.finish(exit_code=0 if result is not None and result.status != "failed" else 1)


class MlflowRun:
    """A run of MLflow, where its environment says (MLFLOW_TRACKING_URI).

    Args:
        spec: the run, the name of whose folder is its tag.
        root: where the runs are.
        project: the experiment that it belongs to.
    """

    def __init__(self, spec: RunSpec, root: Path, project: str) -> None:
        from mlflow.entities import ViewType
        from mlflow.tracking import MlflowClient

        self._client: Any = MlflowClient()
        experiment = self._client.get_experiment_by_name(project)
        number = experiment.experiment_id if experiment else self._client.create_experiment(project)
        found = self._client.search_runs(
            [number], f"tags.`{TAG}` = '{spec.folder_name}'", ViewType.ACTIVE_ONLY, max_results=1
        )
        if found:
            self._id = found[0].info.run_id
            self._client.update_run(self._id, status="RUNNING")
            history = self._client.get_metric_history(self._id, "train_loss")
            self.last_epoch = max((one.step for one in history), default=0)
            return
        self.last_epoch = 0
        self._id = self._client.create_run(number, tags={TAG: spec.folder_name}, run_name=spec.folder_name).info.run_id
        for name, value in _described(spec).items():
            self._client.log_param(self._id, name, value)

    @staticmethod
    def require() -> None:
        """Raise :class:`InputError` if the package is not there."""
        with extra("mlflow", f"{field_name('track')} mlflow"):
            import mlflow  # noqa: F401

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Send the metrics of an epoch."""
        from mlflow.entities import Metric

        now = round(time.time() * 1000)
        self._client.log_batch(self._id, metrics=[Metric(name, value, now, epoch) for name, value in values.items()])

    def end(self, result: RunResult | None) -> None:
        """Send what it ended with."""
        if result is None:
            self._client.set_terminated(self._id, "KILLED")
            return
        for name, value in _outcome(result).items():
            self._client.set_tag(self._id, name, value)
        self._client.set_terminated(self._id, "FAILED" if result.status == "failed" else "FINISHED")


SERVICES.add("wandb", WandbRun, "Weights & Biases, with WANDB_MODE=offline without the network")
SERVICES.add("mlflow", MlflowRun, "MLflow, where MLFLOW_TRACKING_URI says")


def _described(spec: RunSpec) -> dict[str, Any]:
    """Return what a run is, of its spec and recipe, as far as it is said."""
    return {name: value for name, value in spec_row(spec).items() if value is not None}


def _outcome(result: RunResult) -> dict[str, Any]:
    """Return what a run ended with, as far as there is something."""
    found = {
        "status": str(result.status),
        "value": result.value,
        "accuracy": result.accuracy,
        "best_accuracy": result.best_accuracy,
        "measured_sparsity": result.sparsity,
        "collapse": str(result.collapse) if result.collapse else None,
        "reason": result.reason,
    }
    return {name: value for name, value in found.items() if value is not None}
