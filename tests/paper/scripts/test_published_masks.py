from pathlib import Path

import pytest
import torch

from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.paper.scripts.masks import masked, masks_file, masks_of, network_in, write_pruned
from prunecheck.pruning import allocate, magnitude
from prunecheck.pruning.checkpoint_files import read_checkpoint
from prunecheck.pruning.layers import Masks
from prunecheck.pruning.tickets import Weights, copy_weights


def read_masks(path: Path, model: torch.nn.Module) -> tuple[Masks, bool]:
    return masks_of(path, network_in(path, read_checkpoint(path), model, "resnet8"), model)


@pytest.fixture
def model() -> torch.nn.Module:
    return build_model("resnet8", 10)


@pytest.fixture
def masks(model: torch.nn.Module) -> Masks:
    return allocate(magnitude(model), 0.9)


@pytest.fixture
def pruned(model: torch.nn.Module, masks: Masks) -> Weights:
    """With a kept weight that happens to be 0."""
    weights = masked(copy_weights(model), masks)
    weights["conv1.weight"].view(-1)[masks["conv1"].flatten().nonzero()[0]] = 0
    return weights


def test_pruned_weights_are_0_and_others_as_they_were(model: torch.nn.Module, masks: Masks) -> None:
    weights = copy_weights(model)
    found = masked(weights, masks)
    for layer, mask in masks.items():
        assert torch.equal(found[f"{layer}.weight"], weights[f"{layer}.weight"] * mask)
    assert torch.equal(found["fc.bias"], weights["fc.bias"])
    assert torch.equal(weights["conv1.weight"], model.state_dict()["conv1.weight"])


def test_a_kept_weight_that_is_0_is_not_taken_for_pruned(
    tmp_path: Path, model: torch.nn.Module, masks: Masks, pruned: Weights
) -> None:
    path = tmp_path / "pruned.pth.tar"
    write_pruned(path, {"state_dict": pruned}, masks)
    assert masks_file(path) == tmp_path / "pruned_masks.pth.tar"
    found, stored = read_masks(path, model)
    assert stored
    assert all(torch.equal(found[layer], mask) for layer, mask in masks.items())


def test_without_stored_masks_the_zeros_are_the_mask(
    tmp_path: Path, model: torch.nn.Module, masks: Masks, pruned: Weights
) -> None:
    path = tmp_path / "pruned.pth.tar"
    write_pruned(path, {"state_dict": pruned}, masks)
    masks_file(path).unlink()
    found, stored = read_masks(path, model)
    assert not stored
    differ = sum(int((found[layer] != mask).sum()) for layer, mask in masks.items())
    assert differ == 1
    assert not (found["conv1"] & ~masks["conv1"]).any()


def test_masks_of_another_file_are_not_used(
    tmp_path: Path, model: torch.nn.Module, masks: Masks, pruned: Weights
) -> None:
    path = tmp_path / "pruned.pth.tar"
    write_pruned(path, {"state_dict": pruned}, masks)
    torch.save({"state_dict": copy_weights(model)}, path)
    found, stored = read_masks(path, model)
    assert not stored
    assert all(mask.all() for mask in found.values())


def test_masks_that_do_not_fit_are_refused(
    tmp_path: Path, model: torch.nn.Module, masks: Masks, pruned: Weights
) -> None:
    path = tmp_path / "pruned.pth.tar"
    for other in (
        {layer: mask for layer, mask in masks.items() if layer != "fc"},
        masks | {"fc": masks["fc"].float()},
        masks | {"fc": masks["fc"][:, :5]},
        masks | {"fc": masks["fc"].to("meta")},
        masks | {"fc": masks["fc"].to_sparse()},
    ):
        write_pruned(path, {"state_dict": pruned}, other)
        with pytest.raises(InputError, match="does not hold the masks of this network"):
            read_masks(path, model)
