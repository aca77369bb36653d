"""Users' own code that a worker lacks: found before it begins a run, in a sentence that names the worker."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from prunecheck.engine.dask_executor import _of_different_code, _require_own_code
from prunecheck.engine.job import Job
from prunecheck.errors import InputError
from prunecheck.models import find_model
from prunecheck.runs.spec import RunSpec

MakeSpec = Callable[..., RunSpec]
MakeJob = Callable[[RunSpec, Path], Job]

WORKER = SimpleNamespace(address="tcp://there:1")

NETWORK = """
import {helper}
from torch import nn

def build(num_classes, input_channels=3):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))
"""


@pytest.fixture
def job(make_spec: MakeSpec, make_job: MakeJob, tmp_path: Path) -> Job:
    """A job whose network lies in a file."""
    file = tmp_path / "net.py"
    file.write_text(NETWORK.format(helper="math"))
    found = find_model(f"{file}:build")
    assert found.code
    spec = make_spec(model=found.name, model_hash=found.code.hash, width=None)
    return replace(make_job(spec, tmp_path / "runs"), model=found.given)


def test_a_worker_that_has_all_of_it_is_ready(job: Job) -> None:
    _require_own_code([job], WORKER)


def test_a_file_that_the_worker_does_not_see_is_named_with_the_worker(job: Job, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.py"
    with pytest.raises(InputError, match=rf"^the worker tcp://there:1: there is no file {elsewhere}"):
        _require_own_code([replace(job, model=f"{elsewhere}:build")], WORKER)


def test_what_cannot_be_imported_is_named_with_the_worker(job: Job, tmp_path: Path) -> None:
    file = tmp_path / "other.py"
    file.write_text(NETWORK.format(helper="no_such_package"))
    with pytest.raises(InputError, match=r"^the worker tcp://there:1.*no_such_package"):
        _require_own_code([replace(job, model=f"{file}:build")], WORKER)


def test_another_version_is_named_with_the_worker(job: Job, tmp_path: Path) -> None:
    changed = job.spec.changed(model_hash="00")
    with pytest.raises(InputError, match=r"^the worker tcp://there:1: the network net.py:build was changed"):
        _require_own_code([replace(job, spec=changed)], WORKER)


def test_each_network_is_looked_for_once(job: Job, make_spec: MakeSpec, make_job: MakeJob, tmp_path: Path) -> None:
    other = make_job(make_spec(), tmp_path / "runs")
    again = [replace(job, spec=replace(job.spec, seed=seed)) for seed in range(3)]
    assert _of_different_code([*again, other]) == [again[-1], other]
