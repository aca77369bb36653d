"""Every kind of method and check, as a user calls it; their runs lie in one folder and share what they can."""

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors.torch import load_file

Command = Callable[..., Any]
Tensors = dict[str, torch.Tensor]

OPTIONS = shlex.split(
    "--epochs 2 --seeds 2 --width 4 --model resnet8 --batch-size 10 --train-images 100 --test-images 100 --json --quiet"
)
VERDICTS = {"uses it", "does not use it", "undecided", "collapsed"}


@dataclass(frozen=True)
class Runs:
    """The run folders below a folder."""

    root: Path

    def find(self, **fields: Any) -> Path:
        """Return the folder of seed 0 whose spec has these values; ``epochs`` is the recipe's."""
        fields = {"seed": 0, "epochs": 2, "check": None, "trained_on": None} | fields
        found = []
        for file in self.root.glob("*/spec.json"):
            spec = json.loads(file.read_text())
            if fields.items() <= (spec | {"epochs": spec["recipe"]["epochs"]}).items():
                found.append(file.parent)
        (folder,) = found
        return folder

    def part(self, kind: str, file: str, **fields: Any) -> Tensors:
        """Return the ``masks`` or the ``weights`` in a file of a run."""
        tensors = load_file(self.find(**fields) / f"{file}.safetensors")
        return {name.partition("/")[2]: value for name, value in tensors.items() if name.startswith(f"{kind}/")}

    def masks(self, **fields: Any) -> Tensors:
        return self.part("masks", "ticket", **fields)

    def start(self, **fields: Any) -> Tensors:
        return self.part("weights", "ticket", **fields)

    def end(self, **fields: Any) -> Tensors:
        return self.part("weights", "last", **fields)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("together") / "runs")


@pytest.fixture(scope="module")
def check(prunecheck_in_a_fork: Command, runs: Runs) -> Callable[..., dict[str, Any]]:
    """Call ``prunecheck check`` and return its answer."""

    def check(
        method: str,
        checks: str = "corrupted-data,rearrange-mask",
        baseline: str = "random-smart",
        sparsity: str = "0.8",
    ) -> dict[str, Any]:
        options = ["--checks", checks, "--baseline", baseline, "--sparsity", sparsity, "--workers", "1"]
        ended = prunecheck_in_a_fork("check", method, *OPTIONS, *options, cwd=runs.root.parent)
        assert (ended.code, ended.stderr) == (0, "")
        answer: dict[str, Any] = json.loads(ended.stdout)
        assert [item["check"] for item in answer["verdicts"]] == checks.split(",")
        assert {item["verdict"] for item in answer["verdicts"]} <= VERDICTS
        assert all(item["method"] == method and item["n"] == 2 for item in answer["verdicts"])
        return answer

    return check


def same(a: Tensors, b: Tensors) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def counts(masks: Tensors) -> dict[str, int]:
    return {layer: int(mask.sum()) for layer, mask in masks.items()}


def keeps_the_largest(masks: Tensors, weights: Tensors) -> bool:
    """Say whether no removed weight of a convolution is larger than one that is kept."""
    sizes = {layer: weights[f"{layer}.weight"].abs() for layer in masks if layer != "fc"}
    smallest = min(sizes[layer][masks[layer]].min() for layer in sizes)
    largest = max(sizes[layer][~masks[layer]].max() for layer in sizes)
    return bool(smallest >= largest)


def assert_only_the_mask_moved(runs: Runs, method: str) -> None:
    own, moved = runs.masks(method=method), runs.masks(method=method, check="rearrange-mask")
    assert counts(own) == counts(moved)
    assert not same(own, moved)
    assert same(runs.start(method=method), runs.start(method=method, check="rearrange-mask"))


def test_lottery_tickets_are_the_largest_trained_weights_back_at_the_start(check: Command, runs: Runs) -> None:
    check("lt")
    assert same(runs.start(method="lt"), runs.start(method="dense"))
    assert keeps_the_largest(runs.masks(method="lt"), runs.end(method="dense"))
    trained_on_noise = runs.end(method="dense", trained_on="corrupted-data")
    corrupted = runs.masks(method="lt", check="corrupted-data")
    assert keeps_the_largest(corrupted, trained_on_noise)
    assert not keeps_the_largest(corrupted, runs.end(method="dense"))
    assert_only_the_mask_moved(runs, "lt")


@pytest.mark.parametrize("method", ["hybrid", "lr-rewinding"])
def test_tickets_with_learning_rate_rewinding_start_from_the_trained_weights(
    check: Command, runs: Runs, method: str
) -> None:
    check(method)
    assert same(runs.start(method=method), runs.end(method="dense"))
    trained_on_noise = runs.end(method="dense", trained_on="corrupted-data")
    assert same(runs.start(method=method, check="corrupted-data"), trained_on_noise)
    assert keeps_the_largest(runs.masks(method=method), runs.end(method="dense")) == (method == "lr-rewinding")
    assert_only_the_mask_moved(runs, method)


def test_weight_rewinding_starts_from_the_weights_of_its_epoch(check: Command, runs: Runs) -> None:
    check("weight-rewinding@1")
    start = runs.start(method="weight-rewinding@1")
    assert same(start, runs.end(method="dense", epochs=1))
    assert not same(start, runs.end(method="dense"))
    assert keeps_the_largest(runs.masks(method="weight-rewinding@1"), runs.end(method="dense"))
    assert_only_the_mask_moved(runs, "weight-rewinding@1")


def test_imp_prunes_what_its_round_before_has_left(check: Command, runs: Runs) -> None:
    check("imp@2")
    halfway = runs.masks(method="imp@1", sparsity=pytest.approx(1 - 0.2**0.5, abs=1e-6))
    end = runs.masks(method="imp@2", sparsity=0.8)
    assert all(not (end[layer] & ~halfway[layer]).any() for layer in end)
    assert sum(counts(end).values()) < sum(counts(halfway).values())
    assert same(runs.start(method="imp@2"), runs.start(method="dense"))


def test_random_tickets_have_the_ratios_of_the_method_that_they_name(check: Command, runs: Runs) -> None:
    answer = check("random-ratios-of:snip", baseline="snip")
    assert [item["check"] for item in answer["baselines"]] == ["snip"]
    drawn, chosen = runs.masks(method="random-ratios-of:snip"), runs.masks(method="snip")
    assert counts(drawn) == counts(chosen)
    assert not same(drawn, chosen)


def test_synflow_sees_no_data_and_needs_no_test_to_show_it(check: Command, runs: Runs) -> None:
    data, mask = check("synflow")["verdicts"]
    assert (data["verdict"], data["p"], data["difference"]) == ("does not use it", 0.0, 0.0)
    assert mask["p"] > 0
    assert not list(runs.root.glob("*synflow*corrupted*"))


def test_criterion_and_allocation_are_joined(check: Command, runs: Runs) -> None:
    answer = check("snip-erk", baseline="random-erk")
    assert [item["check"] for item in answer["baselines"]] == ["random-erk"]
    assert counts(runs.masks(method="snip-erk")) == counts(runs.masks(method="random-erk"))
    assert not same(runs.masks(method="snip-erk"), runs.masks(method="snip-erk", check="corrupted-data"))


SHARES = ["random-labels@0.25", "random-labels@0.5", "random-labels"]


def test_shares_of_a_check_and_checks_that_are_done_together(check: Command, runs: Runs) -> None:
    checks = [*SHARES, "rearrange-mask", "reinit", "rearrange-mask+reinit"]
    answer = check("snip", ",".join(checks), baseline="random-uniform")
    masks = {name: runs.masks(method="snip", check=name) for name in (None, *checks)}
    overlap = [sum(int((masks[None][layer] & masks[share][layer]).sum()) for layer in masks[None]) for share in SHARES]
    assert sum(counts(masks[None]).values()) > overlap[0] > overlap[2]
    assert not same(masks[SHARES[0]], masks[SHARES[1]])
    both = runs.start(method="snip", check="rearrange-mask+reinit")
    assert same(masks["rearrange-mask+reinit"], masks["rearrange-mask"])
    assert same(both, runs.start(method="snip", check="reinit"))
    assert not same(both, runs.start(method="snip"))
    assert "the labels" in answer["reading"]
    assert "each layer it keeps together with the weights that training starts from" in answer["reading"]
    assert "random-uniform tickets" in answer["reading"]


def test_nothing_is_removed_and_nothing_compared_with(check: Command, runs: Runs) -> None:
    answer = check("magnitude", baseline="none", sparsity="0")
    assert answer["baselines"] == []
    assert answer["sparsities"] == [0.0]
    for item in answer["verdicts"]:
        assert item["accuracy"] == item["changed_accuracy"] == answer["dense"]["accuracy"]
    assert same(runs.end(method="magnitude"), runs.end(method="dense"))


def test_as_much_of_the_data_set_is_used_as_was_asked_for(check: Command, runs: Runs) -> None:
    answer = check("magnitude", baseline="none", sparsity="0")  # of runs that are there
    assert (answer["train_images"], answer["test_images"], answer["chance"]) == (100, 100, 10.0)
    assert (2 * answer["dense"]["accuracy"]).is_integer()  # the mean of two numbers of a hundred images
    assert "-100images-" in runs.find(method="dense").name


TALKATIVE = """
from prunecheck.pruning import prunable_weights

print("imported")

def score(model, batches):
    print("scored")
    return {name: weight.detach().abs() for name, weight in prunable_weights(model).items()}
"""


@pytest.mark.parametrize(("command", "workers"), [("prunecheck_in_a_fork", "1"), ("prunecheck", "2")])
def test_what_a_criterion_prints_is_no_part_of_the_answer(
    request: pytest.FixtureRequest, tmp_path: Path, command: str, workers: str
) -> None:
    call: Command = request.getfixturevalue(command)
    (tmp_path / "mine.py").write_text(TALKATIVE)
    options = ["--checks", "rearrange-mask", "--baseline", "none", "--sparsity", "0.8", "--workers", workers]
    ended = call("check", "mine.py:score", *OPTIONS, *options, cwd=tmp_path)
    assert ended.code == 0, ended.stderr
    assert json.loads(ended.stdout)["method"] == "mine.py:score"
    assert {"imported", "scored"} <= set(ended.stderr.split())


def write_own_images(folder: Path) -> None:
    """Write the same pictures twice: sorted into folders, and as arrays. Classes differ in brightness."""
    from PIL import Image

    draws = numpy.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, each in (("train", 24), ("test", 10)):
        labels = numpy.repeat(numpy.arange(3), each)
        images = (80 * labels[:, None, None] + draws.integers(0, 60, (len(labels), 12, 12))).astype(numpy.uint8)
        arrays |= {f"x_{part}": images, f"y_{part}": labels}
        for index, (pixels, label) in enumerate(zip(images, labels, strict=True)):
            place = folder / "pictures" / part / "abc"[label]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(place / f"{index:03}.png")
    numpy.savez_compressed(folder / "arrays.npz", **arrays)


@pytest.mark.slow
def test_own_images_give_the_same_from_a_folder_and_from_an_array_file(
    prunecheck_in_a_fork: Command, tmp_path: Path
) -> None:
    write_own_images(tmp_path)
    options = shlex.split(
        "--model resnet8 --width 4 --epochs 3 --batch-size 12 --seeds 1 --sparsity 0.5 --checks rearrange-mask"
    )
    answers = []
    for dataset in ("folder:pictures", "npz:arrays.npz"):
        ended = prunecheck_in_a_fork(
            *("check", "snip", "--dataset", dataset, *options, "--workers", "1", "--json", "--quiet"),
            *("--out", dataset.partition(":")[0]),
            cwd=tmp_path,
        )
        assert (ended.code, ended.stderr) == (0, "")
        answers.append(json.loads(ended.stdout))
    of_folder, of_file = answers
    assert (of_folder["train_images"], of_folder["test_images"], of_folder["chance"]) == (None, None, 33.3333)
    assert of_folder["dense"]["accuracy"] > 60
    assert [of_folder.pop("dataset"), of_file.pop("dataset")] == ["folder:pictures", "npz:arrays.npz"]
    assert of_folder == of_file
    assert [len(list((tmp_path / out).glob("*/result.json"))) for out in ("folder", "npz")] == [4, 4]
