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

from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import Ticket, allocate, random_scores, save_ticket
from prunecheck.pruning.checkpoint_files import read_checkpoint
from prunecheck.pruning.foreign_checkpoints import ForeignCheckpoint, fit_checkpoint
from prunecheck.pruning.layers import Masks, weight_name
from prunecheck.pruning.tickets import Weights, copy_weights

torch_prune: Any = prune
"""Untyped."""

NAME = "resnet8 for the 10 classes of cifar10"

CHOICE = "the --arch, --depth and --dataset"


def network(seed: int = 1) -> nn.Module:
    return build_model("resnet8", 10, seed=seed, width=4)


@pytest.fixture
def masks() -> Masks:
    return allocate(random_scores(network(), generator=torch.Generator().manual_seed(3)), 0.8)


def zeroed(weights: Weights, masks: Masks) -> Weights:
    return weights | {weight_name(k): weights[weight_name(k)] * mask for k, mask in masks.items()}


def read(path: Path) -> ForeignCheckpoint:
    return fit_checkpoint(read_checkpoint(path), network(seed=9), path, NAME, CHOICE)


def written(content: Any, folder: Path) -> Path:
    torch.save(content, folder / "file.pt")
    return folder / "file.pt"


def refused(content: Any, folder: Path) -> str:
    with pytest.raises(InputError) as raised:
        read(written(content, folder))
    text = str(raised.value)
    assert text.count("\n") == 0
    assert text.endswith(".")
    return text.removeprefix(f"{folder / 'file.pt'} ")


def require_equal(found: dict[str, Tensor] | None, expected: dict[str, Tensor]) -> None:
    assert found is not None
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


def pruned_by_torch(masks: Masks) -> nn.Module:
    """A network as torch.nn.utils.prune leaves it: weights in weight_orig, whole, and masks beside them."""
    model = network()
    for layer, mask in masks.items():
        torch_prune.custom_from_mask(model.get_submodule(layer), "weight", mask)
    return model


def in_front(prefix: str, weights: Weights) -> Weights:
    return {prefix + name: tensor for name, tensor in weights.items()}


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


UNREADABLE: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "meta": (lambda t: t.to("meta"), "has a tensor without values (meta) in fc.weight"),
    "quantised": (
        lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
        "has a quantised tensor (its small weights have become 0 and cannot be told from pruned ones) in fc.weight",
    ),
    "complex": (lambda t: t.to(torch.complex64), "has complex numbers in fc.weight"),
    "integers": (lambda t: t.long(), "has values of type int64 in fc.weight"),
    "number": (lambda t: 3, "has a value of type int in fc.weight"),
    "nan": (lambda t: t * float("nan"), "has values that are not finite in fc.weight: its training diverged"),
    "infinity": (lambda t: t / 0, "has values that are not finite in fc.weight: its training diverged"),
    "too large": (lambda t: t.double() * 1e300, "has values that are not finite in fc.weight: its training diverged"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", UNREADABLE)
def test_values_that_are_no_weights_are_named(tmp_path: Path, kind: str) -> None:
    change, words = UNREADABLE[kind]
    weights: dict[str, Any] = copy_weights(network())
    weights["fc.weight"] = change(weights["fc.weight"])
    assert refused(weights, tmp_path).startswith(words)


@pytest.mark.parametrize("value", [0.5, -1.0, 2.0, float("nan")])
def test_soft_masks_are_refused(tmp_path: Path, masks: Masks, value: float) -> None:
    state = pruned_by_torch(masks).state_dict()
    state["fc.weight_mask"][1, 2] = value
    assert refused(state, tmp_path) == (
        f"has a mask fc.weight_mask with values other than 0 and 1 (such as {value:g}): make it 0 where a weight is "
        "pruned and 1 where it is kept."
    )


def test_masks_of_another_shape_or_layer_are_refused(tmp_path: Path, masks: Masks) -> None:
    state = pruned_by_torch(masks).state_dict()
    state["fc.weight_mask"] = state["fc.weight_mask"][:, :5]
    text = (
        "has a mask fc.weight_mask of shape (10, 5) for weights of shape (10, 16): give a checkpoint of this network."
    )
    assert refused(state, tmp_path) == text
    weights = copy_weights(network())
    assert refused({"model": weights, "masks": masks | {"head": masks["fc"]}}, tmp_path) == (
        "has a mask masks.head, which is not of a layer of this network: name the masks as its layers are named "
        "(conv1, layer1.0.conv1, layer1.0.conv2, ...)."
    )
    assert refused({"model": weights, "masks": masks, "weight_masks": dict(masks)}, tmp_path) == (
        "holds several groups of masks (masks, weight_masks): save those that are meant alone."
    )


def test_of_several_networks_none_is_chosen(tmp_path: Path) -> None:
    one, other = copy_weights(network(1)), copy_weights(network(2))
    assert refused({"model": one, "ema": other}, tmp_path) == (
        "holds several networks that fit and differ (ema, model): save the state_dict of the one that is meant with "
        "torch.save, and give that."
    )
    assert "differ (student, teacher)" in refused(in_front("student.", one) | in_front("teacher.", other), tmp_path)
    assert "differ (the top, module)" in refused(one | in_front("module.", other), tmp_path)
    require_equal(read(written({"model": one, "ema": copy_weights(network(1))}, tmp_path)).weights, one)


def test_what_does_not_fit_is_named_key_by_key(tmp_path: Path) -> None:
    state = dict(build_model("resnet8", 100, width=4).state_dict())
    del state["conv1.weight"]
    state["fc.scale"] = torch.ones(1)
    assert refused({"net": in_front("module.", state)}, tmp_path) == (
        f"is not a checkpoint of {NAME}: it lacks conv1.weight, has net.module.fc.scale too many, has fc.weight of "
        "shape (100, 16) instead of (10, 16), fc.bias of shape (100,) instead of (10,); give the --arch, --depth and "
        "--dataset that it was made with."
    )


def test_of_many_names_three_are_shown(tmp_path: Path) -> None:
    deeper, wider = build_model("resnet14", 10, width=4), build_model("resnet8", 10, width=8)
    # Beside these, a deeper block has the weights, biases, means, variances and counters of two batch norms.
    assert refused(deeper.state_dict(), tmp_path) == (
        f"is not a checkpoint of {NAME}: it has layer1.1.conv1.weight, layer1.1.bn1.weight, layer1.1.bn1.bias and 33 "
        "more too many; give the --arch, --depth and --dataset that it was made with."
    )
    differ = sum(wider.state_dict()[n].shape != t.shape for n, t in network().state_dict().items())
    text = refused(wider.state_dict(), tmp_path)
    assert "has conv1.weight of shape (8, 3, 3, 3) instead of (4, 3, 3, 3), bn1.weight of shape (8,) instead" in text
    assert f" and {differ - 3} more; give the --arch" in text


def without(weights: Weights, *ends: str) -> Weights:
    return {name: tensor for name, tensor in weights.items() if not name.endswith(ends)}


def test_the_remedy_is_for_the_kind_of_file(tmp_path: Path) -> None:
    model = network()
    weights = copy_weights(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    cases: list[tuple[Any, str, str]] = [
        (without(weights, "running_mean", "running_var"), "lacks bn1.running_mean", "a part of the network"),
        (without(weights, "fc.weight", "fc.bias"), "lacks fc.weight, fc.bias;", "a part of the network"),
        (weights | {"total_ops": torch.ones(1)}, "has total_ops too many", "of this network with additions"),
        ({"optimizer": optimizer.state_dict()}, "lacks conv1.weight", "the state of an optimiser"),
        (
            {"state_dict": build_model("vgg11_bn", 10).state_dict()},
            "has state_dict.features.0.weight",
            "of another network",
        ),
        ({"epoch": 1, "args": ["a"]}, "", "holds no state_dict"),
        ([weights], "", "holds list and no state_dict"),
        (torch.ones(3), "", "holds Tensor and no state_dict"),
    ]
    for content, names, kind in cases:
        text = refused(content, tmp_path)
        assert names in text
        assert kind in text
        assert ("--depth" in text) == (kind == "of another network")


def test_names_cannot_reach_the_terminal_as_commands(tmp_path: Path) -> None:
    text = refused(copy_weights(network()) | {"\x1b]0;evil\x07\n" + "x" * 500: torch.ones(1)}, tmp_path)
    assert "\x1b" not in text
    assert r"\x1b]0;evil\x07\nxxx" in text
    assert len(text) < 400
