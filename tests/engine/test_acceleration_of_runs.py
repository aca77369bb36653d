import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prunecheck.engine.dask_cluster import own_versions
from prunecheck.engine.dask_executor import Command, _require_ready
from prunecheck.engine.execution import execute
from prunecheck.engine.executors import execute_all
from prunecheck.engine.job import Job
from prunecheck.engine.run_lock import commanded_by
from prunecheck.errors import InputError
from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunStore
from prunecheck.training import Acceleration

MakeSpec = Callable[..., RunSpec]
MakeJob = Callable[[RunSpec, Path], Job]


@pytest.mark.parametrize("channels_last", [True, False])
def test_what_was_used_is_recorded_and_is_no_part_of_the_run(
    make_spec: MakeSpec, make_job: MakeJob, tmp_path: Path, channels_last: bool
) -> None:
    spec = make_spec(epochs=1, train_images=200, test_images=100, width=8)
    job = make_job(spec, tmp_path)
    used = Acceleration(channels_last=channels_last, sparse_convolutions=False)
    result = execute(replace(job, acceleration=used), lambda *_: None)
    assert result.status == "trained"
    assert result.acceleration == (("channels_last",) if channels_last else ())
    folder = tmp_path / spec.folder_name
    assert ("made faster by channels_last\n" in (folder / "log").read_text()) is channels_last
    assert RunStore(tmp_path).result(spec) == result
    # Switched otherwise, it is the same run, which is done.
    assert execute(replace(job, acceleration=Acceleration(channels_last=not channels_last)), lambda *_: None) == result


def test_a_result_of_an_earlier_version_is_read(make_spec: MakeSpec, make_job: MakeJob, tmp_path: Path) -> None:
    spec = make_spec(epochs=1, train_images=200, test_images=100)
    result = execute(make_job(spec, tmp_path), lambda *_: None)
    values = json.loads(result.to_json())
    del values["acceleration"], values["sha256"]
    assert RunResult.from_json(json.dumps(values)) == replace(result, acceleration=())


def test_processes_are_given_the_gpus(
    make_spec: MakeSpec, make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[int, Sequence[str]]] = []

    def local_client(workers: int, gpus: Sequence[str], dashboard: str | None) -> AbstractContextManager[None]:
        given.append((workers, gpus))
        return nullcontext()

    def hand_out(client: None, jobs: Sequence[Job], on_event: Any, command: Command) -> None:
        assert len(jobs) == 5

    monkeypatch.setattr("prunecheck.engine.local.local_client", local_client)
    monkeypatch.setattr("prunecheck.engine.dask_executor.hand_out", hand_out)
    jobs = [replace(make_job(make_spec(seed=seed), tmp_path), device="cuda") for seed in range(5)]
    execute_all(jobs, 4, lambda _: None, gpus=["1", "GPU-b"])
    assert given == [(4, ["1", "GPU-b"])]


def test_a_worker_that_cannot_train_as_asked_is_named(make_spec: MakeSpec, make_job: MakeJob, tmp_path: Path) -> None:
    worker = SimpleNamespace(address="tcp://there:1", state=SimpleNamespace(nthreads=1))
    command = Command("token", tmp_path, own_versions(), is_remote=True)
    (tmp_path / "runs").mkdir()
    job = make_job(make_spec(), Path("runs"))
    with commanded_by("token", tmp_path / "runs"):
        _require_ready(job, command, worker)
        with pytest.raises(
            InputError, match=r"^the worker tcp://there:1 cannot train as asked: .* bfloat16 needs a GPU"
        ):
            _require_ready(replace(job, acceleration=Acceleration(bfloat16=True)), command, worker)
