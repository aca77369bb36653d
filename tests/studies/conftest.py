from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from prunecheck.studies import RunSpec
from prunecheck.studies.execution import Job
from prunecheck.studies.needs import method_of_needed, needed_runs
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
def spec(make_spec: Callable[..., RunSpec]) -> Callable[..., RunSpec]:
    """Return a function that makes specs of runs on few images, of methods that see no samples."""

    def make(epochs: int = 3, learning_rate: float = 0.5, **changes: object) -> RunSpec:
        # Large steps, so that training shows in the mask.
        recipe = Recipe(epochs=epochs, batch_size=16, learning_rate=learning_rate, milestones=(2,))
        few = {"train_images": 100, "test_images": 50, "samples_per_class": 0, "scoring_rounds": 0, "recipe": recipe}
        return make_spec(**(few | changes))

    return make


@pytest.fixture(scope="session")
def make_job() -> Callable[[RunSpec, Path], Job]:
    """Return a function that makes the job of a built-in method's run."""

    def make(spec: RunSpec, root: Path) -> Job:
        needs = needed_runs(spec, method_of_needed(spec))
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
