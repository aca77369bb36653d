import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prunecheck.engine.execution import execute
from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.store import RunStore
from prunecheck.studies.study_file import read_study

Call = Callable[..., Any]
Refused = Callable[..., str]

STUDY = """
methods = ["snip", "lt"]
datasets = ["digits"]
models = ["resnet8"]
widths = [2]
sparsities = [0.8]
checks = ["rearrange-mask"]
seeds = 2
train_images = 100
test_images = 50
samples_per_class = 2
recipes = ["short"]

[recipe.short]
epochs = 1
"""

RUNS = 2 * (1 + 2 + 2 + 1)
"""For two seeds: the dense network, each method's tickets with and without the check, random tickets."""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study in the working directory."""
    file = tmp_path / "study.toml"
    file.write_text(STUDY)
    return file


def results(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.glob("*/result.json")}


def test_a_study_is_planned_run_and_answered(call: Call, study: Path) -> None:
    before = call("plan", "study.toml", "--json")
    assert (before.code, before.stderr) == (0, "")
    planned = json.loads(before.stdout)
    assert (planned["runs"], planned["done"], planned["epochs_to_go"]) == (RUNS, 0, RUNS)
    assert (planned["seconds"], planned["epochs_of_unknown_time"]) == (None, RUNS)
    assert not Path("runs").exists()

    done = call("run", "study.toml", "--workers", "1")
    assert done.code == 0
    assert f"{RUNS} of {RUNS} runs done" in done.stderr
    assert done.stdout.index("snip on digits") < done.stdout.index("lt on digits")
    assert done.stdout.count("sparsity 0.8\n") == 2
    with Path("runs/results.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == RUNS

    after = json.loads(call("plan", "study.toml", "--json").stdout)
    assert (after["hash"], after["done"], after["epochs_to_go"], after["seconds"]) == (planned["hash"], RUNS, 0, 0)
    finished = results(Path("runs"))
    again = call("run", "study.toml", "--workers", "1")
    assert (again.code, again.stdout, again.stderr) == (0, done.stdout, "wrote runs/report.html\n")
    assert results(Path("runs")) == finished

    answers = json.loads(call("run", "study.toml", "--json", "--quiet").stdout)
    assert (answers["study"], answers["hash"]) == ("study", planned["hash"])
    assert [answer["method"] for answer in answers["answers"]] == ["snip", "lt"]


def test_a_study_of_one_question_is_the_same_as_a_check(call: Call, study: Path) -> None:
    study.write_text(STUDY.replace(', "lt"', ""))
    options = "--model resnet8 --width 2 --sparsity 0.8 --checks rearrange-mask --seeds 2 --train-images 100"
    rest = "--test-images 50 --samples-per-class 2 --epochs 1 --workers 1 --quiet"
    checked = call("check", "snip", *options.split(), *rest.split())
    finished = results(Path("runs"))
    asked = call("run", "study.toml", "--workers", "1")
    assert (checked.code, asked.code, asked.stderr) == (0, 0, "wrote runs/report.html\n")
    assert asked.stdout == checked.stdout
    assert results(Path("runs")) == finished


def test_the_plan_says_what_is_shared_and_what_is_left(call: Call, study: Path) -> None:
    text = call("plan", "study.toml").stdout
    assert "together, each run once" in text
    rate = read_study(study, None).questions[0].recipe.learning_rate
    assert f"digits, resnet8 of width 2, 1 epoch at learning rate {rate:g} " in text
    assert "Time: unknown for 12 epochs, until one run of digits with resnet8 of width 2 is done in runs;" in text
    assert "Disk: about 3 MB more in runs." in text  # 12 runs of 0.2 MB each, and weights
    dense = next(line.split() for line in text.splitlines() if line.split()[:1] == ["dense"])
    assert dense[-3:] == ["2", "0", "4"]
    for _ in range(2):  # what is done already counts too
        call("run", "study.toml", "--workers", "1", "--quiet")
    assert "12 of the 12 runs of the latest study are done" in call("status").stdout.splitlines()
    study.write_text(STUDY.replace("seeds = 2", "seeds = 4"))
    text = call("plan", "study.toml").stdout
    assert "of one worker, as measured in runs on cpu." in text
    study.write_text(STUDY)
    assert "Nothing is left to do." in call("plan", "study.toml").stdout


def test_a_study_that_compares_nothing_shows_accuracies(call: Call, study: Path) -> None:
    study.write_text(STUDY.replace('["rearrange-mask"]', '[]\nbaseline = "none"').replace(', "lt"', ""))
    shown = call("run", "study.toml", "--workers", "1", "--quiet").stdout
    epochs = "1 epoch (constant learning rate)"
    title = f"snip on digits (100 training images, 50 test images), resnet8 of width 2, {epochs}, 2 seeds"
    assert " ".join(shown.split()).startswith(title)
    (row,) = [line.split() for line in shown.splitlines() if line.split()[:1] == ["snip"] and "±" in line]
    (answer,) = json.loads(call("run", "study.toml", "--json", "--quiet").stdout)["answers"]
    (tickets,) = answer["tickets"]
    assert (tickets["sparsity"], tickets["n"]) == (0.8, 2)
    assert row == ["snip", f"{tickets['accuracy']:.2f}", "±", f"{tickets['deviation']:.2f}"]
    assert answer["verdicts"] == answer["baselines"] == []


def fail_dense_run_of_first_seed(study: Path) -> Path:
    """Leave a failed dense run, as one that an error ended, and return its result's file."""
    asked = read_study(study, None)
    dense = asked.questions[0].dense_run(0)
    (job,) = asked.jobs(lambda run: run == dense, Path("runs"), "cpu")
    Path("runs").mkdir()
    result = execute(job, lambda epoch, accuracy: None)
    folder = RunStore(Path("runs")).folder(dense)
    failed = RunResult(**(vars(result) | {"status": Status.FAILED, "accuracy": None, "reason": "no luck"}))
    folder.write_result(failed)
    return folder.path / "result.json"


def test_failed_runs_stay_until_they_are_retried(call: Call, study: Path) -> None:
    file = fail_dense_run_of_first_seed(study)
    failed = file.read_bytes()
    ended = call("run", "study.toml", "--workers", "1", "--quiet")
    assert ended.code == 1
    (said,) = ended.stderr.splitlines()
    assert said.startswith(f"prunecheck: 3 runs of {RUNS} failed, which is no result: ")
    assert "the dense run whose weights it needs failed: no luck (2 runs)" in said
    assert "--retry-failed" in said
    statuses = [json.loads(content)["status"] for content in results(Path("runs")).values()]
    assert (statuses.count("failed"), statuses.count("collapsed")) == (3, 0)
    assert file.read_bytes() == failed
    planned = json.loads(call("plan", "study.toml", "--json").stdout)
    assert (planned["done"], planned["failed"]) == (RUNS - 3, 3)
    assert "3 failed: `prunecheck run --retry-failed` does them again." in call("plan", "study.toml").stdout
    before = results(Path("runs"))
    assert call("run", "study.toml", "--workers", "1", "--quiet", "--retry-failed").code == 0
    after = results(Path("runs"))
    changed = {name for name, content in before.items() if after[name] != content}
    # The dense network, and the lottery tickets of that seed, which had no trained weights to be made of.
    assert {name.partition("width2-")[2].partition("-seed")[0] for name in changed} == {
        "dense",
        "lt-0.8",
        "lt-0.8-rearrange-mask",
    }
    assert all("seed0" in name for name in changed)
    assert {json.loads(after[name])["status"] for name in changed} == {"trained"}
    assert before.keys() == after.keys()


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (STUDY.replace("seeds", "sedes"), "study.toml, line 8: there is no key named 'sedes': did you mean seeds"),
        (STUDY.replace("[0.8]", '"0.8"'), "study.toml, line 6: sparsities takes a list of numbers"),
        (STUDY.replace("[0.8]", "[0.999]"), "sparsity 0.999 cannot be reached"),
        (STUDY + "[[exclude]]\nseeds = 2\n", "everything is excluded"),
        (
            STUDY.replace('"lt"', '"weight-rewinding@2"'),
            "weight-rewinding@2 on digits with resnet8 of width 2: weight-",
        ),
        (STUDY.replace('"lt"', '"mine.py:score"'), "mine.py:score failed (ZeroDivisionError: division by zero)"),
        (STUDY.replace('"resnet8"', '"vgg11"'), "vgg11 needs images of at least 16x16 pixels"),
        (STUDY.replace("samples_per_class = 2", "samples_per_class = 11"), "needs 11 of each class"),
        (STUDY.replace("[recipe.short", "[recipe.short\n["), "study.toml, line 14"),
    ],
)
def test_a_wrong_study_is_refused_whole(refused: Refused, study: Path, command: str, text: str, said: str) -> None:
    Path("mine.py").write_text("def score(model, batches):\n    return 1 / 0\n")
    study.write_text(text)
    assert said in refused(command, "study.toml")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan"], "needs a value"),
        (["plan", "missing.toml"], "missing.toml cannot be read (No such file or directory)"),
        (
            ["run", "."],
            ". is a folder: give the path of a study file, or see what became of the runs in it with `prunecheck",
        ),
        (["run", "study.toml", "--workers", "0"], "--workers takes a whole number, at least 1, not 0."),
        (["run", "study.toml", "--device", "tpu"], "--device takes cpu, cuda or cuda:N, not 'tpu'."),
        (["run", "study.toml", "--data-root", "nowhere"], "--data-root takes a folder"),
        (["run", "study.toml", "--out", "study.toml"], "study.toml is a file"),
        (
            ["run", "study.toml", "--scheduler", "tcp://127.0.0.1:1", "--workers", "2"],
            "leave --workers and --dashboard",
        ),
        (["run", "study.toml", "--retry-faild"], "--retry-failed"),
    ],
)
def test_a_wrong_argument_is_refused(refused: Refused, study: Path, arguments: list[str], said: str) -> None:
    assert said in refused(*arguments)


def test_a_scheduler_that_is_not_there_is_refused(call: Call, study: Path) -> None:
    ended = call("run", "study.toml", "--scheduler", "tcp://127.0.0.1:1", "--quiet")
    assert (ended.code, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert "tcp://127.0.0.1:1" in line
    assert results(Path("runs")) == {}


def test_a_second_command_in_the_same_folder_is_refused(refused: Refused, study: Path) -> None:
    with RunStore(Path("runs")).locked():
        assert "another prunecheck is at work in runs" in refused("run", "study.toml")


def test_no_space_is_found_before_anything_starts(
    refused: Refused, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Files that small cannot be asked of a disk here: the networks are made to seem large.
    monkeypatch.setattr("prunecheck.studies.plan.BYTES_PER_RUN", 10**15)
    assert "MB left and the runs need 12000000000." in refused("run", "study.toml")
    assert list(Path("runs").iterdir()) == [Path("runs/.lock")]
