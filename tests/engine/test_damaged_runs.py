"""What is damaged on disk is noticed, named and done anew; what another run left there is not taken."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from prunecheck.engine.execution import execute
from prunecheck.engine.job import Job
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import DENSE, find_method, prunable_shapes
from prunecheck.runs.dependencies import dependencies_of
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunFolder, RunStore

MakeSpec = Callable[..., RunSpec]
MakeJob = Callable[[RunSpec, Path], Job]

BEGUN = ("ticket.safetensors", "last.safetensors")


def unheard(epoch: int, accuracy: float | None) -> None:
    """Take what is told of an epoch."""


@pytest.fixture
def interrupted(tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob) -> tuple[RunFolder, Job, bytes]:
    """Return a run that was interrupted before its result was written, and the weights that it ends with."""
    spec = make_spec(epochs=2)
    job = make_job(spec, tmp_path)
    execute(job, unheard)
    folder = RunStore(tmp_path).folder(spec)
    (folder.path / "result.json").unlink()
    return folder, job, (folder.path / "last.safetensors").read_bytes()


def flip(file: Path, place: float) -> None:
    """Change one bit of the values in a safetensors file."""
    content = bytearray(file.read_bytes())
    values = 8 + int.from_bytes(content[:8], "little")
    content[values + int(place * (len(content) - values - 1))] ^= 1
    file.write_bytes(content)


def test_a_run_that_goes_on_reports_its_layers_in_the_networks_order(interrupted: tuple[RunFolder, Job, bytes]) -> None:
    folder, job, _ = interrupted
    setting = folder.spec.setting
    layers = list(prunable_shapes(build_model(setting.model, 10, width=setting.width, input_channels=1)))
    assert layers != sorted(layers)
    assert list(execute(job, unheard).kept) == layers
    assert "begun anew" not in (folder.path / "log").read_text()


@pytest.mark.parametrize("place", [0.0, 0.37, 1.0])
@pytest.mark.parametrize("name", BEGUN)
def test_a_flipped_bit_is_noticed_and_the_run_begins_anew(
    interrupted: tuple[RunFolder, Job, bytes], name: str, place: float
) -> None:
    folder, job, weights = interrupted
    flip(folder.path / name, place)
    assert execute(job, unheard).status == "trained"
    assert (folder.path / "last.safetensors").read_bytes() == weights
    log = (folder.path / "log").read_text()
    assert f"begun anew: {folder.path / name} is not a" in log
    assert log.count("training from epoch 1 of 2") == 2


@pytest.mark.parametrize("name", BEGUN)
def test_half_a_file_is_noticed_and_the_run_begins_anew(interrupted: tuple[RunFolder, Job, bytes], name: str) -> None:
    folder, job, weights = interrupted
    content = (folder.path / name).read_bytes()
    (folder.path / name).write_bytes(content[: len(content) // 2])
    assert execute(job, unheard).status == "trained"
    assert (folder.path / "last.safetensors").read_bytes() == weights


def test_the_ticket_of_another_seed_is_not_trained(
    interrupted: tuple[RunFolder, Job, bytes], tmp_path: Path, make_job: MakeJob
) -> None:
    folder, job, weights = interrupted
    other = replace(job.spec, seed=1)
    execute(make_job(other, tmp_path), unheard)
    foreign = RunStore(tmp_path).folder(other).path / "ticket.safetensors"
    (folder.path / "ticket.safetensors").write_bytes(foreign.read_bytes())
    execute(job, unheard)
    assert "is the ticket of another run" in (folder.path / "log").read_text()
    assert (folder.path / "last.safetensors").read_bytes() == weights


def test_a_ticket_without_masks_is_not_trained_dense(interrupted: tuple[RunFolder, Job, bytes]) -> None:
    folder, job, weights = interrupted
    file = folder.path / "ticket.safetensors"
    with safe_open(file, framework="pt") as content:
        tensors = {key: content.get_tensor(key) for key in content.keys() if key.startswith("weights/")}  # noqa: SIM118
    # As an earlier version wrote it, without a checksum.
    described = f'{{"run": "{folder.spec.folder_name}"}}'
    save_file(tensors, file, metadata={"description of weights and masks": described})
    result = execute(job, unheard)
    assert result.sparsity == pytest.approx(job.spec.sparsity, abs=0.01)
    assert "has no masks" in (folder.path / "log").read_text()
    assert (folder.path / "last.safetensors").read_bytes() == weights


def test_damaged_weights_that_another_run_needs_are_trained_anew(
    tmp_path: Path, make_spec: MakeSpec, make_job: MakeJob
) -> None:
    spec = make_spec(epochs=1, method="lt", samples_per_class=0, scoring_rounds=0)
    (dense,) = dependencies_of(spec, find_method("lt")).values()
    assert dense.method == DENSE
    execute(make_job(dense, tmp_path), unheard)
    folder = RunStore(tmp_path).folder(dense)
    whole = (folder.path / "last.safetensors").read_bytes()
    flip(folder.path / "last.safetensors", 0.5)
    with pytest.raises(InputError, match=r"weights in .* are damaged, and that run is to be done anew"):
        execute(make_job(spec, tmp_path), unheard)
    assert folder.result() is None
    execute(make_job(dense, tmp_path), unheard)
    assert (folder.path / "last.safetensors").read_bytes() == whole
    assert execute(make_job(spec, tmp_path), unheard).status == "trained"
