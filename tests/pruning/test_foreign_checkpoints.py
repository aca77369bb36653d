"""Real files of other tools, written as they write them, and what is said of those that do not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune
from torch.nn.utils.parametrizations import orthogonal, weight_norm

from prunecheck.pruning import Ticket, save_ticket
from prunecheck.pruning.layers import Masks
from prunecheck.pruning.tickets import copy_weights
from tests.pruning.foreign_files import (
    in_front,
    network,
    pruned_by_torch,
    read,
    refused,
    require_equal,
    written,
    zeroed,
)

torch_prune: Any = prune
"""Untyped."""


class Holder(nn.Module):
    """A network inside of another module, under a name."""

    def __init__(self, name: str, inside: nn.Module) -> None:
        super().__init__()
        self.add_module(name, inside)


def compiled(model: nn.Module) -> nn.Module:
    wrapped: Any = torch.compile(model)
    assert isinstance(wrapped, nn.Module)
    return wrapped


WRAPPED: dict[str, Callable[[nn.Module], nn.Module]] = {
    "plain": lambda model: model,
    "compile": compiled,
    "DataParallel": nn.DataParallel,
    "compile of DataParallel": lambda model: compiled(nn.DataParallel(model)),
    "DataParallel of compile": lambda model: nn.DataParallel(compiled(model)),
    "backbone of compile": lambda model: Holder("backbone", compiled(model)),
    "any name": lambda model: Holder("student_1", Holder("encoder", nn.DataParallel(model))),
    "averaged": torch.optim.swa_utils.AveragedModel,
}


@pytest.mark.parametrize("wrapper", WRAPPED)
@pytest.mark.parametrize("key", [None, "state_dict", "model", "net", "model_state_dict", "network", "ema", "my_key"])
def test_networks_in_wrappers_and_under_keys_are_read(
    tmp_path: Path, masks: Masks, wrapper: str, key: str | None
) -> None:
    model = network()
    model.load_state_dict(zeroed(copy_weights(model), masks))
    expected = copy_weights(model)
    state = WRAPPED[wrapper](model).state_dict()
    found = read(written(state if key is None else {"epoch": 3, key: state, "acc": 93.1}, tmp_path))
    require_equal(found.weights, expected)
    require_equal(found.masks, masks)
    assert not found.stored


def test_a_part_that_was_compiled_is_read(tmp_path: Path) -> None:
    model = network()
    expected = copy_weights(model)
    model.get_submodule("layer2").add_module("0", compiled(model.get_submodule("layer2.0")))
    assert any(".0._orig_mod." in name for name in model.state_dict())
    require_equal(read(written({"model": model.state_dict()}, tmp_path)).weights, expected)


def test_lightning_checkpoints_are_read_and_what_stands_beside_is_named(tmp_path: Path, masks: Masks) -> None:
    weights = zeroed(copy_weights(network()), masks)
    content = {
        "epoch": 4,
        "global_step": 1000,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": in_front("model.", weights) | {"criterion.weight": torch.ones(10)},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 5}}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.9)}},
        "optimizer_states": [{"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}],
        "lr_schedulers": [{"last_epoch": 5}],
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 0.1},
    }
    found = read(written(content, tmp_path))
    require_equal(found.weights, weights)
    require_equal(found.masks, masks)
    assert (found.place, found.left_out) == ("state_dict.model.", ("state_dict.criterion.weight",))


def test_an_optimizer_with_the_names_of_weights_is_no_network(tmp_path: Path) -> None:
    weights = copy_weights(network())
    momentum = {name: torch.ones_like(tensor) for name, tensor in weights.items()}
    for content in ({"model": weights, "momentum": momentum}, {"optimizer": {"exp_avg": momentum}, **weights}):
        require_equal(read(written(content, tmp_path)).weights, weights)


def test_dicts_in_dicts_are_one_name(tmp_path: Path) -> None:
    weights = copy_weights(network())
    tree: dict[str, Any] = {}
    for name, tensor in weights.items():
        *parts, last = name.split(".")
        place = tree
        for part in parts:
            place = place.setdefault(part, {})
        place[last] = tensor
    require_equal(read(written({"params": tree, "rng": torch.ones(5)}, tmp_path)).weights, weights)


@pytest.mark.parametrize("wrapper", ["plain", "compile", "DataParallel of compile", "any name"])
def test_what_torch_prunes_is_read(tmp_path: Path, masks: Masks, wrapper: str) -> None:
    """With the weights below the masks, which a mask that is moved uncovers."""
    weights = copy_weights(network())
    model = pruned_by_torch(masks)
    found = read(written({"net": WRAPPED[wrapper](model).state_dict()}, tmp_path))
    require_equal(found.weights, weights)
    require_equal(found.masks, masks)
    assert found.stored == set(masks)


def test_zeros_are_masks_where_none_is_stored_and_stored_masks_win(tmp_path: Path, masks: Masks) -> None:
    model = network()
    weights = zeroed(copy_weights(model), masks)
    weights["conv1.weight"].zero_()
    model.load_state_dict(weights)
    torch_prune.custom_from_mask(model.get_submodule("conv1"), "weight", masks["conv1"])
    torch_prune.random_unstructured(model.get_submodule("layer1.0.conv1"), "weight", 0.5)
    torch_prune.remove(model.get_submodule("layer1.0.conv1"), "weight")
    found = read(written(model.state_dict(), tmp_path))
    assert found.stored == {"conv1"}
    left = model.state_dict()["layer1.0.conv1.weight"] != 0
    assert 0 < left.sum() < masks["layer1.0.conv1"].sum()
    require_equal(found.masks, masks | {"layer1.0.conv1": left})


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.float64])
@pytest.mark.parametrize("names", ["layers", "weights", "wrapped"])
def test_masks_beside_the_weights_are_read(tmp_path: Path, masks: Masks, dtype: torch.dtype, names: str) -> None:
    weights = copy_weights(network())
    named = {
        {"layers": layer, "weights": f"{layer}.weight", "wrapped": f"module.{layer}.weight"}[names]: mask.to(dtype)
        for layer, mask in masks.items()
    }
    found = read(written({"state_dict": in_front("module.", weights), "masks": named}, tmp_path))
    require_equal(found.weights, weights)
    require_equal(found.masks, masks)


def test_buffers_beside_weights_are_masks_also_of_biases_and_norms(tmp_path: Path, masks: Masks) -> None:
    weights = copy_weights(network())
    others = {"fc.bias_mask": torch.arange(10.0) % 2, "bn1.weight_mask": torch.tensor([1.0, 0, 1, 1])}
    state = weights | {f"{layer}.weight_mask": mask.float() for layer, mask in masks.items()} | others
    found = read(written(state, tmp_path))
    multiplied = {
        "fc.bias": weights["fc.bias"] * others["fc.bias_mask"],
        "bn1.weight": weights["bn1.weight"] * others["bn1.weight_mask"],
    }
    require_equal(found.weights, weights | multiplied)
    require_equal(found.masks, masks)


class TimesMask(nn.Module):
    """As torch.ao.pruning parametrises weights."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.mask


class Doubled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


def test_parametrisations_that_are_masks_are_read_and_apply_together(tmp_path: Path, masks: Masks) -> None:
    model, half = network(), torch.arange(masks["fc"].numel()).view(masks["fc"].shape) % 2
    weights = copy_weights(model)
    for layer, mask in masks.items():
        parametrize.register_parametrization(model.get_submodule(layer), "weight", TimesMask(mask))
    parametrize.register_parametrization(model.get_submodule("fc"), "weight", TimesMask(half))
    found = read(written(compiled(model).state_dict(), tmp_path))
    require_equal(found.weights, weights)
    require_equal(found.masks, masks | {"fc": masks["fc"] & (half == 1)})


def test_what_the_sparsifier_of_torch_writes_is_read_once_its_masks_are_in_the_weights(tmp_path: Path) -> None:
    import torch.ao.pruning

    model = network()
    make_sparsifier: Any = vars(torch.ao.pruning)["WeightNormSparsifier"]
    sparsifier = make_sparsifier(sparsity_level=0.7, sparse_block_shape=(1, 1), zeros_per_block=1)
    sparsifier.prepare(model, [{"tensor_fqn": "fc.weight"}])
    sparsifier.step()
    # Its parametrisation keeps the mask out of the state dict.
    assert "remove_parametrizations before you save" in refused(model.state_dict(), tmp_path)
    sparsifier.squash_mask()
    found = read(written(model.state_dict(), tmp_path))
    assert not found.stored
    assert found.masks["fc"].sum() == round(0.3 * found.masks["fc"].numel())


@pytest.mark.parametrize(
    "parametrise",
    [
        weight_norm,
        nn.utils.weight_norm,
        nn.utils.spectral_norm,
        nn.utils.parametrizations.spectral_norm,
        orthogonal,
        lambda layer: parametrize.register_parametrization(layer, "weight", Doubled()),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_weights_that_are_computed_are_refused(tmp_path: Path, parametrise: Callable[[Any], Any]) -> None:
    model = network()
    parametrise(model.get_submodule("fc"))
    text = refused(model.state_dict(), tmp_path)
    assert (
        "computed by a parametrisation which is no mask or stores none" in text
        or "computed from other parameters" in text
    )
    assert "fc." in text
    assert "--depth" not in text


def test_tickets_and_safetensors_are_read(tmp_path: Path, masks: Masks) -> None:
    weights = copy_weights(network())
    save_ticket(Ticket(weights, masks), tmp_path / "ticket.safetensors", {})
    found = read(tmp_path / "ticket.safetensors")
    require_equal(found.weights, weights)
    require_equal(found.masks, masks)
    save_file(in_front("_orig_mod.", zeroed(weights, masks)), tmp_path / "named_otherwise.bin")
    found = read(tmp_path / "named_otherwise.bin")
    require_equal(found.weights, zeroed(weights, masks))
    require_equal(found.masks, masks)


@pytest.mark.parametrize("form", ["group", "weights", "layers"])
def test_files_of_masks_alone_are_read(tmp_path: Path, masks: Masks, form: str) -> None:
    named = {layer if form == "layers" else f"{layer}.weight": mask.float() for layer, mask in masks.items()}
    found = read(written({"masks": named} if form == "group" else named, tmp_path))
    assert found.weights is None
    require_equal(found.masks, masks)
    assert found.stored == set(masks)


def test_masks_alone_without_a_layer_are_refused(tmp_path: Path, masks: Masks) -> None:
    del masks["fc"]
    assert refused({"masks": masks}, tmp_path) == (
        "holds masks and none for layer fc: add one, of ones if it is whole."
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_read(tmp_path: Path, masks: Masks, dtype: torch.dtype) -> None:
    weights = zeroed(copy_weights(network()), masks)
    state = {name: t.to(dtype) if t.is_floating_point() else t for name, t in weights.items()}
    found = read(written(state, tmp_path))
    require_equal(found.weights, {name: t.to(weights[name].dtype) for name, t in state.items()})
    require_equal(found.masks, masks)


def test_a_weight_that_only_float64_can_hold_is_kept(tmp_path: Path) -> None:
    state = {name: t.double() for name, t in copy_weights(network()).items()}
    state["fc.weight"][0, 0] = 1e-60
    found = read(written(state, tmp_path))
    assert found.weights
    assert found.weights["fc.weight"][0, 0] == 0
    assert found.masks["fc"].all()


@pytest.mark.parametrize("layout", ["coo", "csr", "numpy", "parameter"])
def test_other_kinds_of_tensors_are_read(tmp_path: Path, masks: Masks, layout: str) -> None:
    weights = zeroed(copy_weights(network()), masks)
    matrix = weights["fc.weight"]
    other: Any = {
        "coo": matrix.to_sparse(),
        "csr": matrix.to_sparse_csr(),
        "numpy": matrix.numpy(),
        "parameter": nn.Parameter(matrix),
    }[layout]
    found = read(written(weights | {"fc.weight": other}, tmp_path))
    require_equal(found.weights, weights)
    require_equal(found.masks, masks)
    assert not any(tensor.requires_grad for tensor in (found.weights or {}).values())
