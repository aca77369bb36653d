"""Images varied and normalised as the user says: by options, keys of study files and arguments in Python."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
from safetensors.torch import load_file

import prunecheck
from prunecheck.data import Augmentation
from prunecheck.engine.job import find_spec_dataset
from prunecheck.runs.spec import RunSpec
from prunecheck.studies.study_file import read_study

Call = Callable[..., Any]
Refused = Callable[..., str]

AMOUNTS = shlex.split("--model resnet8 --width 2 --seeds 1 --train-images 50 --samples-per-class 2")
SMALL = [
    *AMOUNTS,
    *shlex.split("--epochs 1 --test-images 50 --sparsity 0.8 --checks rearrange-mask --baseline none"),
    *("--workers", "1", "--quiet"),
]

STUDY = """
methods = ["snip"]
datasets = ["digits"]
models = ["resnet8"]
widths = [2]
sparsities = [0.8]
checks = ["rearrange-mask"]
baseline = "none"
seeds = 1
train_images = 50
test_images = 50
samples_per_class = 2
recipes = ["short"]
normalize = "none"

[recipe.short]
epochs = 1
learning_rate = 0.2

[dataset.digits]
augment = "crop=2,flip"
"""


def specs() -> set[RunSpec]:
    return {RunSpec.from_json(file.read_text()) for file in Path("runs").glob("*/spec.json")}


def test_a_check_is_of_other_runs_and_says_so(call: Call) -> None:
    ended = call("check", "snip", *SMALL, "--augment", "flip,crop=2", "--normalize", "none")
    assert ended.code == 0
    assert "digits (50 training images, 50 test images, augment crop=2,flip, normalize none)" in ended.stdout
    assert {(spec.setting.augment, spec.setting.normalize) for spec in specs()} == {("crop=2,flip", "none")}
    assert all("augment-crop_2_flip-normalize-none" in path.name for path in Path("runs").glob("digits-*"))
    report = Path("runs/report.html").read_text()
    assert "augment crop=2,flip, normalize none" in report
    done = len(specs())

    # A study file and Python name the same runs, which are not done again.
    Path("study.toml").write_text(STUDY)
    planned = json.loads(call("plan", "study.toml", "--json").stdout)
    assert (planned["runs"], planned["done"]) == (done, done)
    assert planned["questions"][0]["augment"] == "crop=2,flip"
    for job in read_study(Path("study.toml"), None).jobs(lambda spec: True, Path("runs"), "cpu"):
        trained_on = find_spec_dataset(job)
        assert (trained_on.augmentation, trained_on.mean) == (Augmentation(2, flip=True), (0.0,))
        assert len(trained_on.train) == 50
    assert "digits (augment crop=2,flip, normalize none), resnet8" in call("plan", "study.toml").stdout.replace(
        "\n", " "
    )
    small: dict[str, Any] = {"train_images": 50, "test_images": 50, "samples_per_class": 2, "checks": "rearrange-mask"}
    small |= {"model": "resnet8", "width": 2, "seeds": 1, "epochs": 1, "sparsity": 0.8, "baseline": None, "quiet": True}
    answer = prunecheck.check("snip", **small, augment="crop=2,flip", normalize="none")
    assert len(specs()) == done
    assert answer.to_dict()["normalize"] == "none"

    # What the data set does by itself is no other run.
    call("check", "snip", *SMALL)
    call("check", "snip", *SMALL, "--augment", "crop=1")
    assert len(specs()) == 2 * done


def test_what_is_scored_is_normalised_so(call: Call) -> None:
    kept = []
    ways: list[list[str]] = [[], ["--normalize", "mean=0 std=0.01"], ["--augment", "crop=3,flip"]]
    for number, options in enumerate(ways):
        few = ["--samples-per-class", "1"]
        text = ["--model", "resnet8", "--width", "4", "--sparsity", "0.9", "--dataset", "digits", *few]
        assert call("prune", "snip", *text, *options, "-o", f"{number}.safetensors").code == 0
        tensors = load_file(f"{number}.safetensors")
        kept.append(numpy.concatenate([tensors[name].numpy().ravel() for name in sorted(tensors) if "masks/" in name]))
    assert not numpy.array_equal(kept[0], kept[1])
    assert not numpy.array_equal(kept[0], kept[2])


def test_an_audit_says_how_images_were_varied(call: Call) -> None:
    found = call("audit", "snip", *AMOUNTS, "--augment", "none", "--normalize", "mean=0 std=1", "--json")
    assert (json.loads(found.stdout)["augment"], json.loads(found.stdout)["normalize"]) == ("none", "mean=0 std=1")
    assert "digits (50 training images, augment none)" in call("audit", "snip", *AMOUNTS, "--augment", "none").stdout


def test_the_sheet_shows_the_augmentation(call: Call) -> None:
    ways = {"own": [], "other": ["--augment", "crop=3,flip"], "none": ["--augment", "none"]}
    for name, options in ways.items():
        assert call("data", "show", "digits", "--checks", "random-labels", *options, "-o", f"{name}.png").code == 0
    assert len({Path(f"{name}.png").read_bytes() for name in ways}) == 3


def test_wrong_texts_are_refused_by_each_front_end(call: Call, refused: Refused) -> None:
    for command in (["check", "snip"], ["audit", "snip"], ["data", "show", "digits"]):
        assert refused(*command, "--augment", "crop").startswith("--augment takes none, or crop=PIXELS")
        assert refused(*command, "--normalize", "mean=1").startswith("--normalize takes none, dataset, or mean and std")
        assert refused(*command, "--augment", "crop=8").startswith("--augment crop=8 moves images of digits")
    own = ["prune", "magnitude", "--model", "resnet8", "--sparsity", "0.9", "--num-classes", "10"]
    assert refused(*own, "--augment", "flip").startswith("--augment and --normalize are about a data set")
    Path("study.toml").write_text(STUDY.replace("crop=2,flip", "crop=9"))
    said = refused("plan", "study.toml")
    assert "study.toml, line 21: dataset.digits.augment: " in said
    assert "augment crop=9 moves images of digits, which are 8x8" in said
    Path("study.toml").write_text(STUDY.replace('"none"\n\n', '"no"\n\n'))
    assert "study.toml, line 14: normalize takes none, dataset, or mean" in refused("plan", "study.toml")
