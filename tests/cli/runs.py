"""A run as commands leave it, and what it may have ended with."""

from dataclasses import replace
from pathlib import Path

from prunecheck.pruning import Collapse
from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.spec import RunSpec, Setting
from prunecheck.runs.store import RunStore, metrics_csv
from prunecheck.training import EpochMetrics, Recipe

SPEC = RunSpec(
    Setting(dataset="digits", model="resnet8", width=4, recipe=Recipe(epochs=4, milestones=(2, 3))),
    method="snip",
    sparsity=0.9,
    samples_per_class=1,
    scoring_rounds=1,
    seed=0,
)
TRAINED = RunResult(
    status=Status.TRAINED,
    accuracy=91.25,
    best_accuracy=92.5,
    epochs=4,
    chance=10.5,
    sparsity=0.9,
    kept={"fc": (1, 10)},
    collapse=None,
    reason=None,
    seconds=1.5,
    device="cpu",
    versions={},
)
LOST = replace(TRAINED, accuracy=None, best_accuracy=None, epochs=0)
COLLAPSED = replace(LOST, status=Status.COLLAPSED, collapse=Collapse("fc", "no weight is left"))
FAILED = replace(LOST, status=Status.FAILED, reason="RuntimeError: no luck")


def put(spec: RunSpec, result: RunResult | None, root: Path = Path("runs")) -> Path:
    """Make a run's folder; without a result, the run was interrupted after its first epoch."""
    root.mkdir(exist_ok=True)
    folder = RunStore(root).folder(spec)
    folder.open()
    if result:
        folder.write_result(result)
    else:
        epoch = EpochMetrics(1, 0.1, 2.0, 2.0, 30.0, 44.0)
        (folder.path / "metrics.csv").write_text(metrics_csv([epoch]))
    return folder.path
