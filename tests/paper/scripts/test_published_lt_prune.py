import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.paper.scripts.lt_prune import prune_further
from prunecheck.pruning import allocate, magnitude, prunable_shapes
from prunecheck.pruning.layers import Masks
from prunecheck.pruning.masks import GLOBAL_CONVOLUTIONS

Read = Callable[[Path | str], dict[str, Any]]


def kept(masks: Masks) -> int:
    return sum(int(mask.sum()) for mask in masks.values())


def test_the_pruned_file_holds_the_largest_weights_of_the_convolutions(scripts: Any, read: Read) -> None:
    scripts.baseline("--epochs 1 --manualSeed 5 --save_dir dense")
    before, after = scripts.lt_prune("--resume dense/checkpoint.pth.tar --prune_ratio 0.9 --save_dir lt")
    dense, pruned = read("dense/checkpoint.pth.tar"), read("lt/pruned.pth.tar")
    model = build_model("resnet8", 10)
    model.load_state_dict(dense["state_dict"])
    masks = allocate(magnitude(model), 0.9, GLOBAL_CONVOLUTIONS)
    assert set(pruned) == {"epoch", "state_dict", "acc", "best_acc"}
    assert (pruned["epoch"], pruned["best_acc"], pruned["acc"]) == (0, 0, after.accuracy)
    for name, tensor in dense["state_dict"].items():
        layer = name.removesuffix(".weight")
        expected = tensor * masks[layer] if layer in masks else tensor
        assert torch.equal(pruned["state_dict"][name], expected)
    stored = read("lt/pruned_masks.pth.tar")["masks"]
    assert list(stored) == list(masks)
    assert all(torch.equal(stored[layer], mask) for layer, mask in masks.items())
    assert before.accuracy == dense["acc"]
    measured = scripts.baseline("--evaluate --resume lt/pruned.pth.tar")
    assert measured == after


def test_the_report_is_the_published_one(scripts: Any) -> None:
    before, after = scripts.lt_prune("--prune_ratio 0.9 --save_dir lt --manualSeed 5")
    total = 307_296
    pruned = total - round(total * 0.1)
    assert Path("lt/prune.txt").read_text() == (
        f"Before pruning: Test Loss:  {before.loss:.8f}, Test Acc:  {before.accuracy:.2f}\n"
        f"Total params: {total}, Pruned params: {pruned}, Pruned ratio: {pruned / total}\n"
        f"After Pruning: Test Loss:  {after.loss:.8f}, Test Acc:  {after.accuracy:.2f}\n"
    )
    assert "no --resume: initial weights are pruned, those of --manualSeed 5" in scripts.said


def test_an_empty_layer_is_said(scripts: Any) -> None:
    scripts.lt_prune("--prune_ratio 0.9957 --save_dir lt --manualSeed 5")
    assert Path("lt/prune.txt").read_text().endswith("There exists a layer with 0 parameters left.\n")


def test_what_was_pruned_stays_pruned_when_more_is(scripts: Any, read: Read) -> None:
    scripts.lt_prune("--prune_ratio 0.5 --save_dir first --manualSeed 5")
    scripts.lt_prune("--resume first/pruned.pth.tar --prune_ratio 0.5 --save_dir second")
    first, second = (read(f"{name}/pruned_masks.pth.tar")["masks"] for name in ("first", "second"))
    assert all(not (second[layer] & ~mask).any() for layer, mask in first.items())
    assert kept(first) == 307_296 / 2
    assert kept(second) == 307_296 / 4
    assert second["fc"].all()


def test_pruned_linear_weights_do_not_come_back() -> None:
    """By hand: of 24 + 6 weights 18 are left, 3 of them linear; half of 18 go, all from the convolution."""
    scores = {"conv": torch.arange(1.0, 25).view(2, 3, 2, 2), "fc": torch.arange(6.0).view(2, 3)}
    left = {"conv": scores["conv"] > 9, "fc": scores["fc"] >= 3}
    masks = prune_further(scores, left, 0.5)
    assert torch.equal(masks["fc"], left["fc"])
    assert torch.equal(masks["conv"], scores["conv"] > 24 - 6)
    with pytest.raises(InputError, match=r"--prune_ratio 0\.9 leaves no weight of the convolutions"):
        prune_further(scores, left, 0.9)


def test_a_ratio_out_of_reach_is_refused(scripts: Any) -> None:
    with pytest.raises(InputError, match="cannot be reached while the linear layers stay whole"):
        scripts.lt_prune("--prune_ratio 0.999 --save_dir lt")
    assert not Path("lt").exists()


def test_other_masks_are_not_overwritten_unasked(scripts: Any, read: Read) -> None:
    scripts.lt_prune("--prune_ratio 0.9 --save_dir lt")
    scripts.lt_prune("--prune_ratio 0.9 --save_dir lt")  # the same again
    with pytest.raises(InputError, match=r"another run of LT_prune.py \(prune ratio 0.9, not 0.8\)"):
        scripts.lt_prune("--prune_ratio 0.8 --save_dir lt")
    scripts.lt_prune("--prune_ratio 0.8 --save_dir lt --overwrite")
    total = sum(torch.Size(shape).numel() for shape in prunable_shapes(build_model("resnet8", 10)).values())
    assert kept(read("lt/pruned_masks.pth.tar")["masks"]) == round(0.2 * total)


def test_a_checkpoint_of_other_classes_is_refused(scripts: Any) -> None:
    scripts.baseline("--epochs 1 --save_dir dense")
    with pytest.raises(InputError) as raised:
        scripts.lt_prune("--resume dense/checkpoint.pth.tar -d cifar100")
    assert str(raised.value) == (
        "dense/checkpoint.pth.tar is not a checkpoint of resnet8 for the 20 classes of cifar100: it has fc.weight of "
        "shape (10, 128) instead of (20, 128), fc.bias of shape (10,) instead of (20,); give the --arch, --depth and "
        "--dataset that it was made with."
    )


@pytest.mark.parametrize("script", ["lt_prune", "baseline", "train_ticket"])
@pytest.mark.parametrize("save_dir", ["file", "file/below", "/proc/below"])
def test_a_save_dir_that_cannot_be_made_is_refused_before_any_data_are_read(
    scripts: Any, monkeypatch: pytest.MonkeyPatch, script: str, save_dir: str
) -> None:
    Path("file").write_text("")
    module = importlib.import_module(f"prunecheck.paper.scripts.{script}")
    monkeypatch.setattr(module, "load", lambda *_: pytest.fail("data were read"))
    ticket = " --smart_ratio 1" if script == "train_ticket" else ""
    with pytest.raises(InputError, match=r"^(file is a file: give the name of a folder|/proc cannot be written to \()"):
        getattr(scripts, script)(f"--save_dir {save_dir}{ticket}")


def test_what_a_kill_has_left_in_save_dir_goes_with_the_next_call(scripts: Any) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    Path("lt").mkdir()
    Path(f"lt/.pruned.pth.tar.{ended.pid}.part").write_bytes(bytes(1000))
    scripts.lt_prune("--prune_ratio 0.9 --save_dir lt --manualSeed 5")
    assert not list(Path("lt").glob(".*.part"))
