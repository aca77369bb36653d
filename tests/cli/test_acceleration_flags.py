from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from prunecheck.api.study_runs import Execution, do_missing_runs
from prunecheck.engine.job import Job
from prunecheck.runs.store import RunStore
from prunecheck.studies.study_file import read_study
from prunecheck.training import Acceleration

Refused = Callable[..., str]

STUDY = """
name = "small"
methods = ["snip"]
datasets = ["digits"]
models = ["resnet8"]
widths = [2]
sparsities = [0.5]
baseline = "none"
seeds = 1
train_images = 100
test_images = 50
samples_per_class = 2
recipes = ["short"]

[recipe.short]
epochs = 1
"""

COMMANDS = {
    "check": ["check", "snip", "--model", "resnet8", "--width", "2", "--seeds", "1", "--epochs", "1"],
    "run": ["run", "study.toml"],
    "reproduce": ["reproduce", "random-tickets", "--seeds", "1"],
}


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study in the working directory, which is a table to reproduce too."""
    file = Path("study.toml")
    file.write_text(STUDY)
    table = Path(".tables/random-tickets/smoke/digits.toml")
    table.parent.mkdir(parents=True)
    table.write_text(STUDY)
    monkeypatch.setattr("prunecheck.paper.tables.FOLDER", Path(".tables"))
    return file


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest, study: Path) -> list[str]:
    """Each command that trains."""
    return COMMANDS[request.param]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--bfloat16"], "bfloat16 needs a GPU, and the device is cpu: leave it out."),
        (["--cuda-graphs"], "CUDA graphs needs a GPU, and the device is cpu: leave it out."),
        (["--cuda-graph"], "--cuda-graphs"),
        (["--no-bfloat16"], "--bfloat16"),
    ],
)
def test_what_the_device_cannot_do_is_refused(
    refused: Refused, command: list[str], flags: list[str], said: str
) -> None:
    assert said in refused(*command, *flags)


def test_what_the_device_cannot_do_is_refused_for_other_machines_too(refused: Refused, study: Path) -> None:
    for flag, device in (("--bfloat16", "cpu"), ("--sparse-convolutions", "cuda")):
        said = refused("run", "study.toml", "--scheduler", "tcp://127.0.0.1:1", flag, "--device", device)
        assert f"the device is {device}: leave" in said


class Handed(Exception):  # noqa: N818 - no error
    """What would be executed."""

    def __init__(self, jobs: Sequence[Job], options: dict[str, Any]) -> None:
        super().__init__()
        self.jobs = jobs
        self.options = options


@pytest.fixture
def execute_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def execute_all(jobs: Sequence[Job], workers: int, on_event: object, **options: Any) -> None:
        raise Handed(jobs, options)

    monkeypatch.setattr("prunecheck.engine.executors.execute_all", execute_all)


@pytest.mark.parametrize(
    ("flags", "meant"),
    [
        ([], Acceleration()),
        (["--no-sparse-convolutions", "--channels-last"], Acceleration(sparse_convolutions=False, channels_last=True)),
        (["--no-channels-last", "--no-cuda-graphs"], Acceleration(channels_last=False, cuda_graphs=False)),
    ],
)
def test_the_switches_reach_every_run(
    execute_nothing: None, call: Callable[..., Any], command: list[str], flags: list[str], meant: Acceleration
) -> None:
    with pytest.raises(Handed) as handed:
        call(*command, *flags, "--quiet")
    assert handed.value.jobs
    assert {job.acceleration for job in handed.value.jobs} == {meant}


def test_gpus_of_other_machines_are_not_looked_for_here(
    execute_nothing: None, call: Callable[..., Any], study: Path
) -> None:
    arguments = ("--scheduler", "tcp://127.0.0.1:1", "--device", "cuda:7", "--bfloat16", "--quiet")
    with pytest.raises(Handed) as handed:
        call("run", "study.toml", *arguments)
    assert {job.acceleration for job in handed.value.jobs} == {Acceleration(bfloat16=True)}


@pytest.mark.parametrize(("device", "gpus"), [("cuda", ["2", "GPU-b"]), ("cuda:1", []), ("cpu", [])])
def test_processes_share_out_the_gpus_of_the_environment(
    execute_nothing: None, study: Path, monkeypatch: pytest.MonkeyPatch, device: str, gpus: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-b")
    store = RunStore(Path("runs"))
    with store.locked(), pytest.raises(Handed) as handed:
        do_missing_runs(read_study(study, None), store, Execution(workers=2, device=device, quiet=True))
    assert handed.value.options["gpus"] == gpus


def test_the_workers_of_a_scheduler_have_gpus_of_their_own(
    execute_nothing: None, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    store = RunStore(Path("runs"))
    with store.locked(), pytest.raises(Handed) as handed:
        do_missing_runs(read_study(study, None), store, Execution(device="cuda", quiet=True, scheduler="file"))
    assert handed.value.options == {"gpus": [], "scheduler": "file", "dashboard": None}
