from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

Ticket = tuple[str, float, str | None]
"""A method, a sparsity and a check."""

Outcomes = Mapping[Ticket, Sequence[float | str | None]]
"""Per ticket and seed an accuracy, a status, or None for a run that was not begun."""


@pytest.fixture(scope="session")
def record() -> Callable[..., None]:
    """Leave made-up runs in a folder as commands leave them."""
    from prunecheck.pruning import Collapse
    from prunecheck.studies import RunResult, RunSpec
    from prunecheck.studies.results import Status
    from prunecheck.studies.store import METRICS, RESULT, SPEC, metrics_csv
    from prunecheck.training import EpochMetrics, Recipe

    def spec_of(method: str, sparsity: float, check: str | None, seed: int) -> RunSpec:
        return RunSpec(
            dataset="digits",
            dataset_hash=None,
            train_images=None,
            test_images=None,
            model="resnet8",
            width=4,
            method=method,
            method_hash=None,
            sparsity=sparsity,
            check=check,
            trained_on=None,
            samples_per_class=0,
            scoring_rounds=0,
            seed=seed,
            recipe=Recipe(epochs=3, milestones=(1, 2)),
        )

    def result_of(outcome: float | str, spec: RunSpec) -> RunResult:
        accuracy = None if isinstance(outcome, str) else outcome
        kept = {"conv1": (30, 100), "fc": (40 + spec.seed, 400)}
        return RunResult(
            status=Status(outcome) if isinstance(outcome, str) else Status.TRAINED,
            accuracy=accuracy,
            best_accuracy=accuracy,
            epochs=0 if outcome in ("collapsed", "failed") else spec.recipe.epochs,
            chance=10.0,
            sparsity=spec.sparsity,
            kept={} if spec.method == "dense" else kept,
            collapse=Collapse("fc", "no weight is left") if outcome == "collapsed" else None,
            reason="RuntimeError: no luck" if outcome == "failed" else None,
            seconds=1.0,
            device="cpu",
            versions={"prunecheck": "0.1", "python": "3.11.2", "torch": "2.13.0"},
        )

    def record(root: Path, outcomes: Outcomes, **changes: Any) -> None:
        for (method, sparsity, check), per_seed in outcomes.items():
            for seed, outcome in enumerate(per_seed):
                if outcome is None:
                    continue
                spec = replace(spec_of(method, sparsity, check, seed), **changes)
                folder = root / spec.folder_name
                folder.mkdir(parents=True)
                (folder / SPEC).write_text(spec.canonical() + "\n")
                last = outcome if isinstance(outcome, float) else 11.0
                metrics = [EpochMetrics(e, 0.1, 3 / e, 3 / e, last - 9 / e, last - 3 + e) for e in (1, 2, 3)]
                (folder / METRICS).write_text(metrics_csv(metrics))
                if outcome != "unfinished":
                    (folder / RESULT).write_text(result_of(outcome, spec).to_json())

    return record


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """The networks of the tests are too small for more, and the cores are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
