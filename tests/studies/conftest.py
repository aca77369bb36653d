from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from prunecheck.pruning import DENSE, find_method
from prunecheck.studies import RunSpec
from prunecheck.studies.execution import Job
from prunecheck.studies.needs import needed_runs
from prunecheck.training import Recipe


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., RunSpec]:
    """Return a function that makes specs of short runs; it is given what is to be different."""

    def make(*, epochs: int = 2, learning_rate: float = 0.1, **changes: Any) -> RunSpec:
        recipe = Recipe(epochs=epochs, batch_size=64, learning_rate=learning_rate, milestones=(1,))
        values: dict[str, Any] = {
            "dataset": "digits",
            "dataset_hash": None,
            "train_images": None,
            "test_images": None,
            "model": "resnet8",
            "width": 2,
            "method": "snip",
            "method_hash": None,
            "sparsity": 0.8,
            "check": None,
            "trained_on": None,
            "samples_per_class": 3,
            "scoring_rounds": 1,
            "seed": 0,
            "recipe": recipe,
        }
        return RunSpec(**(values | changes))

    return make


@pytest.fixture(scope="session")
def make_job() -> Callable[[RunSpec, Path], Job]:
    """Return a function that makes the job of a built-in method's run."""

    def make(spec: RunSpec, root: Path) -> Job:
        needs = needed_runs(spec, None if spec.method == DENSE else find_method(spec.method))
        return Job(spec, root, spec.method, spec.dataset, None, "cpu", tuple(needs.values()))

    return make


@pytest.fixture(scope="session")
def read_curves() -> Callable[[Path], dict[str, list[tuple[int, float]]]]:
    """Return a function that reads a run's curves as TensorBoard does: (step, value) by tag."""

    def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
        events = EventAccumulator(str(folder))
        events.Reload()
        return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}

    return read
