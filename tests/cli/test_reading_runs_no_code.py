"""Folders that somebody has sent: whatever they name, the commands that read run none of it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from prunecheck.analysis.recorded import recorded_questions
from prunecheck.cli.main import COMMANDS as COMMANDS_BY_NAME
from prunecheck.cli.main import READING
from prunecheck.runs.index import find_runs
from prunecheck.runs.spec import RunSpec
from tests.cli.runs import FAILED, SPEC, TRAINED, put

Call = Callable[..., Any]

PAYLOAD = """
import pathlib
pathlib.Path(r"{ran}").touch()

def score(model, batches):
    return {{}}

class Method:
    pass
"""

NAMES = [
    "payload.py:score",
    "{here}/payload.py:score",
    "runs/sent/payload.py:score",
    "./payload.py:score",
    "~/payload.py:score",
    "payload:score",
    "package.payload:score",
    "random-ratios-of:payload.py:score",
    "random-ratios-of:payload:score",
    "magnitude-ratios-of:random-ratios-of:package.payload:score",
    "imp@payload.py:score",
    "payload.py",
    "{here}/link:score",
]
"""As the text of a run may name a payload."""

RECORDED: dict[str, Callable[[str], RunSpec]] = {
    "method": lambda name: replace(SPEC, method=name),
    "model": lambda name: replace(SPEC, setting=replace(SPEC.setting, model=name)),
    "dataset": lambda name: replace(SPEC, setting=replace(SPEC.setting, dataset=name)),
    "metric": lambda name: replace(SPEC, setting=replace(SPEC.setting, metric=name)),
    "augment": lambda name: replace(SPEC, setting=replace(SPEC.setting, augment=name, normalize=name)),
    "check": lambda name: replace(SPEC, check=name),
    "trained_on": lambda name: replace(SPEC, method="dense", sparsity=0.0, check=None, trained_on=name),
}

COMMANDS = [
    ["report"],
    ["report", "--markdown"],
    ["report", "--latex"],
    ["report", "--csv"],
    ["report", "--margin", "1", "--baseline", "none"],
    ["report", "runs", "runs/sent"],
    ["results"],
    ["results", "--csv"],
    ["results", "--json"],
    ["status"],
    ["status", "--json"],
    ["stop"],
    ["clean", "--dry-run"],
    ["clean"],
    ["clean", "--select", "version=old method!=snip", "--remove", "weights"],
    ["merge", "runs", "-o", "merged"],
    ["export", "runs/sent", "-o", "network.pt"],
    ["plan", "study.toml"],
]

EACH = [["report"], ["results"], ["status"], ["stop"], ["clean"], ["merge", "runs", "-o", "merged"]]
EACH += [["export", "runs/sent", "-o", "network.pt"]]

STUDY = """
methods = ["snip"]
datasets = ["digits"]
models = ["resnet8"]
widths = [4]
sparsities = [0.9]
checks = ["rearrange-mask"]
baseline = "random-smart"
seeds = 1
recipes = ["short"]

[recipe.short]
epochs = 4
"""


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What payloads, which lie in and beside the run folder, leave when they run."""
    ran = tmp_path / "ran"
    payload = PAYLOAD.format(ran=ran)
    for folder in (Path(), Path("package"), Path("runs/sent")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "payload.py").write_text(payload)
    Path("link").symlink_to("payload.py")
    Path("study.toml").write_text(STUDY)
    monkeypatch.setenv("HOME", str(tmp_path))
    return ran


def record(*specs: RunSpec) -> None:
    """Write finished runs that were sent, beside one that can be read whatever the others are."""
    put(replace(SPEC, seed=1), TRAINED)
    for number, spec in enumerate(specs):
        folder = Path(f"runs/sent{number or ''}")
        folder.mkdir(exist_ok=True)
        (folder / "spec.json").write_text(spec.canonical() + "\n")
        (folder / "result.json").write_text(TRAINED.to_json())


def question(**changed: Any) -> dict[str, Any]:
    """Return what ``questions.json`` holds of a question about the runs."""
    return {
        "method": "snip",
        "own": replace(SPEC, seed=0).canonical(),
        "baseline": "random-smart",
        "others": replace(SPEC, method="random-smart").canonical(),
        "sparsities": [0.9],
        "checks": ["rearrange-mask"],
        "reaching": ["rearrange-mask"],
        "check_hashes": [None],
        "seeds": [0, 1],
        "margin": 2.0,
        "looks": [1],
    } | changed


@pytest.mark.parametrize("place", RECORDED)
def test_nothing_that_a_spec_names_runs_when_it_is_read(place: str, call: Call, ran: Path, tmp_path: Path) -> None:
    record(*(RECORDED[place](name.format(here=tmp_path)) for name in NAMES))
    assert recorded_questions(find_runs([Path("runs")])).settings  # as a program may ask for them
    assert not ran.exists()
    for command in COMMANDS:
        assert call(*command).code in (0, 2), command
        assert not ran.exists(), command


def test_nothing_that_a_question_names_runs_when_it_is_answered(call: Call, ran: Path) -> None:
    record(SPEC)
    questions = []
    for name in ("payload.py:score", "package.payload:score", "random-ratios-of:payload:score"):
        for seed in (0, 1):
            put(replace(SPEC, seed=seed, check=name), TRAINED)
            put(replace(SPEC, seed=seed, method=name), TRAINED)
        questions += [
            question(method=name, own=replace(SPEC, method=name).canonical()),
            question(baseline=name, others=replace(SPEC, method=name).canonical()),
            question(checks=[name], reaching=[name]),
        ]
    Path("runs/questions.json").write_text(json.dumps({"schema": 1, "questions": questions}))
    for command in [*COMMANDS, ["report", "--baseline", "package.payload:score"]]:
        assert call(*command).code in (0, 2), command
        assert not ran.exists(), command


def test_a_command_that_trains_runs_what_it_names_and_not_what_is_recorded_beside(call: Call, ran: Path) -> None:
    for place in ("method", "check", "trained_on"):
        put(RECORDED[place]("package.payload:score"), TRAINED)
    put(RECORDED["method"]("random-ratios-of:runs/sent/payload.py:score"), TRAINED)
    small = ["--model", "resnet8", "--width", "2", "--epochs", "1", "--seeds", "1", "--sparsity", "0.5"]
    small += ["--train-images", "100", "--test-images", "50", "--checks", "rearrange-mask", "--quiet"]
    ended = call("check", "random-uniform", *small, "--baseline", "none", "--workers", "1")
    assert (ended.code, ran.exists()) == (0, False), ended.stderr
    assert "package.payload" in call("report", "--markdown").stdout
    named = call("check", "payload.py:score", *small, "--workers", "1")
    assert (named.code, ran.exists()) == (2, True)  # it scores no layer


@pytest.mark.parametrize("command", READING)
def test_what_reads_loads_nothing_even_where_it_looks_a_name_up(
    command: str, call: Call, ran: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prunecheck.models import find_model
    from prunecheck.pruning import find_method

    name, find = ("payload.py:score", find_method) if command < "results" else ("package.payload:score", find_model)

    def looks_up() -> None:
        find(name)

    module, _, function = COMMANDS_BY_NAME[command].partition(":")
    monkeypatch.setattr(f"prunecheck.cli.{module}.{function}", looks_up)
    ended = call(command)
    assert (ended.code, ran.exists()) == (2, False)
    assert "is not loaded to read what others have recorded" in ended.stderr


def test_modules_in_the_working_folder_are_not_taken_for_those_of_python_or_of_packages(
    tmp_path: Path, ran: Path
) -> None:
    record(SPEC)
    for name in ("argparse", "socket", "random", "json", "torch", "jinja2", "rich"):
        (tmp_path / f"{name}.py").write_text(PAYLOAD.format(ran=ran))
    offer = tmp_path / "payload-1.0.dist-info"
    offer.mkdir()
    (offer / "METADATA").write_text("Metadata-Version: 2.1\nName: payload\nVersion: 1.0\n")
    (offer / "entry_points.txt").write_text("[prunecheck.methods]\npayload = payload\n")
    command = [sys.executable, "-m", "prunecheck", "report"]  # which puts the working folder before all others
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, ran.exists()) == (0, False)
    (said,) = done.stderr.splitlines()  # and nothing of what a module ended with
    assert said.startswith("prunecheck: left out what cannot be read: runs/sent (spec.json is that of ")


@pytest.mark.parametrize("name", ["spec.json", "result.json", "metrics.csv", "last.safetensors", "ticket.safetensors"])
@pytest.mark.parametrize("device", [None, "/dev/zero"])
def test_pipes_and_devices_in_a_run_folder_are_not_waited_for(
    name: str, device: str | None, call: Call, no_waiting: None
) -> None:
    other = put(replace(SPEC, seed=1), TRAINED)
    sent = put(SPEC, TRAINED).rename("runs/sent")
    put_in_place(sent / name, device)
    if name == "metrics.csv":
        changed = (put(replace(SPEC, seed=seed, check="rearrange-mask"), TRAINED) for seed in (0, 1))  # for curves
        for folder in (other, *changed, put(replace(SPEC, seed=2), None)):
            put_in_place(folder / name, device)
    for command in EACH:
        assert call(*command).code in (0, 2), command


@pytest.mark.parametrize("name", ["questions.json", ".planned", ".lock", ".stop", ".command"])
def test_pipes_beside_run_folders_are_not_waited_for(name: str, call: Call, no_waiting: None) -> None:
    put(SPEC, TRAINED).rename("runs/sent")
    put_in_place(Path("runs") / name, None)
    for command in EACH:
        assert call(*command).code in (0, 2), command


def put_in_place(path: Path, device: str | None) -> None:
    """Put a pipe, or a link to a device, in the place of a file."""
    path.unlink(missing_ok=True)
    if device:
        path.symlink_to(device)
    else:
        os.mkfifo(path)


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """End a test that waits for a pipe, or for the end of a device."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise AssertionError("nothing has come of it in a minute")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


ESCAPES = "\x1b[2J\x1b]0;title\x07\u202e"


def test_no_command_that_reads_sends_a_terminal_what_it_would_obey(
    call: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ran: Path
) -> None:
    record(replace(SPEC, method=f"snip{ESCAPES}"), replace(SPEC, seed=2))
    put(replace(SPEC, seed=3), replace(FAILED, reason=f"no luck{ESCAPES}"))
    Path(f"runs/link{ESCAPES}").symlink_to(put(replace(SPEC, seed=4), FAILED, Path("elsewhere")).absolute())
    Path(f"runs/no-run{ESCAPES}").mkdir()
    Path(f"runs/no-run{ESCAPES}/spec.json").write_text("{}")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")  # so that tables have no escapes of their own
    commands = [*COMMANDS, ["clean", "--select", "seed>2", "--remove", "runs", "--dry-run"]]
    for command in commands:
        ended = call(*command)
        assert ended.code in (0, 2), command
        assert not {"\x1b", "\x07", "\u202e"}.intersection(ended.stdout + ended.stderr), command
