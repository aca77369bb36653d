"""Each form beside the programs that read it: torch, torch.nn.utils.prune, safetensors, and our own reader."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, load_model
from torch import Tensor, nn
from torch.nn.utils import prune

from prunecheck.errors import InputError
from prunecheck.pruning import Ticket, allocate, random_scores
from prunecheck.pruning.checkpoint_files import read_checkpoint
from prunecheck.pruning.export_formats import (
    EXPORT_FORMATS,
    ExportedNetwork,
    export_bytes,
    export_remarks,
    find_format,
)
from prunecheck.pruning.foreign_checkpoints import fit_checkpoint
from prunecheck.pruning.layers import Masks, prunable_weights, weight_name
from prunecheck.pruning.tickets import Weights, copy_weights
from prunecheck.pruning.tied_weights import tied_in_files, tied_in_network

IMAGES = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(8))

FORMATS = [entry.name for entry in EXPORT_FORMATS if not entry.item.needs_network]
TORCH_FORMATS = ("state-dict", "torch-prune")
DESCRIPTION: dict[str, object] = {"method": "snip", "sparsity": 0.6, "seed": 3}


class Tied(nn.Module):
    """Two layers of one weight, and a layer beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(36, 12), nn.Linear(12, 36), nn.Linear(36, 12)
        self.last.weight = self.first.weight

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.first(images.flatten(1)))
        result: Tensor = self.last(torch.relu(self.middle(hidden)))
        return result


class Attention(nn.Module):
    """Reads the weight of its last layer without calling it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.attention = nn.Linear(6, 8), nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, images: Tensor) -> Tensor:
        rows = self.embed(images.squeeze(1))
        result: Tensor = self.attention(rows, rows, rows, need_weights=False)[0].mean(1)
        return result


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4), nn.Flatten(), nn.Linear(16, 3)
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "convolutional": convolutional,
    "half precision": lambda: convolutional().to(torch.bfloat16),
    "tied": Tied,
    "attention": Attention,
}


def filled(model: nn.Module, seed: int = 1) -> nn.Module:
    """Draw weights and buffers, each from a generator of its own; keep what is tied."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) - 0.3)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            module.running_var.abs_().add_(0.5)
    return model.eval()


def masks_for(model: nn.Module) -> Masks:
    return allocate(random_scores(model, generator=torch.Generator().manual_seed(3)), 0.6)


def exported(model: nn.Module, masks: Masks) -> ExportedNetwork:
    return ExportedNetwork(Ticket(copy_weights(model), masks), DESCRIPTION, tied=tied_in_network(masks, model))


def content_of(network: ExportedNetwork, name: str) -> bytes:
    return export_bytes(network, EXPORT_FORMATS.get(name))


def loaded(content: bytes) -> Weights:
    read: Weights = torch.load(io.BytesIO(content), weights_only=True)
    return read


def masked_logits(model: nn.Module, masks: Masks) -> Tensor:
    """Compute with a network whose parameters are masked in place."""
    with torch.no_grad():
        for layer, mask in masks.items():
            model.get_parameter(weight_name(layer)).mul_(mask)
        return logits(model)


def logits(model: nn.Module) -> Tensor:
    with torch.no_grad():
        result: Tensor = model(IMAGES.to(next(model.parameters()).dtype))
    return result


@pytest.fixture(params=NETWORKS)
def make(request: pytest.FixtureRequest) -> Callable[[], nn.Module]:
    return NETWORKS[request.param]


def test_a_state_dict_is_loaded_by_torch_and_computes_what_the_ticket_does(make: Callable[[], nn.Module]) -> None:
    model = filled(make())
    masks = masks_for(model)
    network, other = exported(model, masks), filled(make(), seed=2)
    content = loaded(content_of(network, "state-dict"))
    other.load_state_dict(content, strict=True)
    assert torch.equal(logits(other), masked_logits(model, masks))
    for name, tensor in copy_weights(model).items():
        assert content[name].dtype == tensor.dtype
        assert torch.equal(content[name], tensor), name
        assert not torch.signbit(content[name])[tensor == 0].any()


def test_a_state_dict_of_safetensors_is_loaded_by_its_library(make: Callable[[], nn.Module], tmp_path: Path) -> None:
    model, file = filled(make()), tmp_path / "model.safetensors"
    masks = masks_for(model)
    network, other = exported(model, masks), filled(make(), seed=2)
    file.write_bytes(content_of(network, "state-dict-safetensors"))
    read = load(file.read_bytes())
    expected = loaded(content_of(network, "state-dict"))
    assert read.keys() == expected.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in expected.items())
    load_model(other, file, strict=not isinstance(model, Tied))  # to it, a tied weight that is there twice is surplus
    assert torch.equal(logits(other), masked_logits(model, masks))
    with safe_open(file, framework="pt") as opened:
        assert opened.metadata()["format"] == "pt"
        assert '"method": "snip"' in opened.metadata()["prunecheck"]


def pruned_by_torch(model: nn.Module, content: Weights) -> nn.Module:
    for name, module in list(model.named_modules()):
        if f"{name}.weight_mask" in content:
            prune.identity(module, "weight")  # type: ignore[no-untyped-call]
    model.load_state_dict(content, strict=True)
    return model


def test_torch_prune_loads_its_form_and_makes_it_permanent(make: Callable[[], nn.Module]) -> None:
    model = filled(make())
    masks, weights = masks_for(model), copy_weights(model)
    network = exported(model, masks)
    content = loaded(content_of(network, "torch-prune"))
    other = pruned_by_torch(filled(make(), seed=2), content)
    expected = masked_logits(model, masks)
    if not isinstance(model, Attention):  # its last layer is not called, which torch.nn.utils.prune relies upon
        assert torch.equal(logits(other), expected)
    for layer, mask in masks.items():
        module: Any = other.get_submodule(layer)
        assert torch.equal(module.weight_mask.bool(), mask)
        assert module.weight_mask.dtype == module.weight_orig.dtype
        assert torch.equal(module.weight_orig, weights[weight_name(layer)])
    for module in other.modules():
        if prune.is_pruned(module) and hasattr(module, "weight_mask"):
            prune.remove(module, "weight")  # type: ignore[no-untyped-call]
    assert torch.equal(logits(other), expected)
    assert other.state_dict().keys() == weights.keys()


def test_it_is_what_torch_prune_itself_would_save(make: Callable[[], nn.Module]) -> None:
    model = filled(make())
    masks = masks_for(model)
    content = loaded(content_of(exported(model, masks), "torch-prune"))
    for name, mask in exported(model, masks).masks_by_weight.items():
        module = model.get_submodule(name.rpartition(".")[0])
        prune.custom_from_mask(module, "weight", mask)  # type: ignore[no-untyped-call]
    real = model.state_dict()
    assert content.keys() == real.keys()
    for name, tensor in real.items():
        assert content[name].dtype == tensor.dtype
        assert torch.equal(content[name], tensor), name


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("left_dense", [False, True])
def test_our_reader_finds_the_same_masks_and_weights(
    make: Callable[[], nn.Module], name: str, left_dense: bool, tmp_path: Path
) -> None:
    model, file = filled(make()), tmp_path / f"file{EXPORT_FORMATS.get(name).endings[0]}"
    masks = masks_for(model)
    whole = next(iter(masks)) if left_dense and not isinstance(model, Tied) else None
    masks = {layer: mask for layer, mask in masks.items() if layer != whole}
    network = exported(model, masks)
    file.write_bytes(content_of(network, name))
    found = fit_checkpoint(read_checkpoint(file), filled(make(), seed=2), file, "network")
    shapes = {layer: weight.shape for layer, weight in prunable_weights(model).items()}
    everything = {layer: masks.get(layer, torch.ones(shape, dtype=torch.bool)) for layer, shape in shapes.items()}
    assert found.masks.keys() == everything.keys()
    assert all(torch.equal(found.masks[layer], mask) for layer, mask in everything.items())
    keeps = EXPORT_FORMATS.get(name).keeps_masks
    assert found.stored == (masks.keys() if keeps else set())
    expected = network.ticket.weights if keeps else network.masked_weights
    assert found.weights is not None
    assert found.weights.keys() == expected.keys()
    for key, tensor in expected.items():
        assert torch.equal(found.weights[key], tensor), key


@pytest.mark.parametrize("name", TORCH_FORMATS)
def test_each_tensor_is_saved_with_no_more_than_its_own_values(name: str) -> None:
    model = filled(Tied())
    weights = {key: tensor.detach() for key, tensor in model.state_dict().items()}  # two of one storage
    masks = masks_for(model)
    network = ExportedNetwork(Ticket(weights, masks), {}, tied=tied_in_network(masks, model))
    tensors = loaded(content_of(network, name))
    assert len({tensor.untyped_storage().data_ptr() for tensor in tensors.values()}) == len(tensors)
    assert all(tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in tensors.values())


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_exported_stays_as_it_was_and_gives_the_same_bytes_again(name: str) -> None:
    model = filled(convolutional())
    network = exported(model, masks_for(model))
    before = {key: tensor.clone() for key, tensor in network.ticket.weights.items()}
    assert content_of(network, name) == content_of(network, name)
    assert all(torch.equal(network.ticket.weights[key], tensor) for key, tensor in before.items())


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "torch-prune"])
def test_a_dense_network_is_written_whole(name: str, tmp_path: Path) -> None:
    model, file = filled(convolutional()), tmp_path / f"file{EXPORT_FORMATS.get(name).endings[0]}"
    file.write_bytes(content_of(exported(model, {}), name))
    found = fit_checkpoint(read_checkpoint(file), filled(convolutional(), seed=2), file, "network")
    assert found.weights is not None
    assert all(torch.equal(found.weights[key], tensor) for key, tensor in model.state_dict().items())


def test_a_dense_network_has_no_masks_for_torch_prune() -> None:
    with pytest.raises(InputError, match="a dense network has no masks, which the format torch-prune is made of"):
        content_of(exported(filled(convolutional()), {}), "torch-prune")


def test_kept_weights_that_are_0_are_said_where_the_format_loses_them() -> None:
    model = filled(convolutional())
    masks = masks_for(model)
    kept = masks["0"].nonzero()[:2]
    with torch.no_grad():
        for place in kept:
            model.get_parameter("0.weight")[tuple(place)] = 0.0
    network = exported(model, masks)
    for name in FORMATS:
        said = export_remarks(network, EXPORT_FORMATS.get(name))
        lost = name in ("state-dict", "state-dict-safetensors")
        assert [remark.partition(",")[0] for remark in said] == (["2 kept weights are 0"] if lost else [])
    one = replace(network, ticket=Ticket(network.ticket.weights | {"0.weight": torch.ones(4, 1, 3, 3)}, masks))
    assert export_remarks(one, EXPORT_FORMATS.get("state-dict")) == []


def test_ties_are_found_in_files_by_their_values_before_and_after_the_training() -> None:
    model = filled(Tied())
    masks = masks_for(model)
    assert tied_in_network(masks, model) == tied_in_files(masks, copy_weights(model)) == {"last.weight": "first"}
    copied = copy_weights(filled(Tied()))
    trained = copied | {"last.weight": copied["last.weight"] + 1}
    assert tied_in_files(masks, copied, trained) == {}
    constant = {name: torch.zeros_like(tensor) for name, tensor in copied.items()}
    assert tied_in_files(masks, constant) == {}
    assert tied_in_files({}, copied) == {}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.safetensors", "ticket"),
        ("a.SAFETENSORS", "ticket"),
        ("a.pt", "state-dict"),
        ("a.b.pth", "state-dict"),
        ("model.pth.tar", "state-dict"),
    ],
)
def test_the_ending_of_a_name_says_the_format(file: str, name: str) -> None:
    assert find_format(None, Path(file)).name == name
    assert find_format(name, Path(file)).name == name


@pytest.mark.parametrize(
    ("name", "file", "said"),
    [
        (
            None,
            "model",
            "end it in .safetensors, .pt, .onnx or .pt2, or give a format",
        ),
        ("torch-prune", "a.safetensors", "a.safetensors does not end in .pt, .pth, .pth.tar or .bin, as a file of"),
        ("ticket", "a.pt", "a.pt does not end in .safetensors, as a file of the format ticket does"),
        ("state-dictt", "a.pt", "did you mean state-dict"),
    ],
)
def test_a_format_that_is_unknown_or_another_files_is_refused(name: str | None, file: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        find_format(name, Path(file))
    assert said in str(refused.value)
