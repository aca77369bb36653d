"""The scripts, given files of other tools and of our own export."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.paper.scripts import TicketFlags, parse_flags
from prunecheck.paper.scripts.masks import masked
from prunecheck.paper.scripts.tickets import make_run_ticket, read_source, ticket_spec
from prunecheck.pruning import allocate, magnitude
from prunecheck.pruning.export_formats import export_bytes, find_format
from prunecheck.pruning.layers import Masks, weight_name
from prunecheck.pruning.tickets import Weights, copy_weights
from prunecheck.runs.export import read_exported_run

torch_prune: Any = prune
"""Untyped."""

Read = Callable[[Path | str], dict[str, Any]]


@pytest.fixture
def model() -> nn.Module:
    return build_model("resnet8", 10, seed=3)


@pytest.fixture
def masks(model: nn.Module) -> Masks:
    return allocate(magnitude(model), 0.9, "uniform")


def pruned_by_torch(model: nn.Module, masks: Masks) -> nn.Module:
    for layer, mask in masks.items():
        torch_prune.custom_from_mask(model.get_submodule(layer), "weight", mask)
    return model


def require_equal(found: dict[str, Tensor] | None, expected: dict[str, Tensor]) -> None:
    assert found is not None
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def said_counts(scripts: Any) -> dict[str, int]:
    """What the script printed of each layer."""
    rows = [line.split() for line in scripts.said if line.startswith("LAYER")]
    return {row[-1]: int(row[row.index("REMAINED_PARA") + 2]) for row in rows}


def source(scripts: Any, arguments: str) -> Any:
    return read_source(parse_flags(TicketFlags, ["-a", "resnet", "--depth", "8", *arguments.split()]), scripts.data)


FILES: dict[str, Callable[[nn.Module, Weights, Masks], Any]] = {
    "compile": lambda m, w, k: {"_orig_mod." + name: t for name, t in masked(w, k).items()},
    "torch-prune": lambda m, w, k: pruned_by_torch(m, k).state_dict(),
    "net": lambda m, w, k: {"net": masked(w, k), "acc": 93.0},
    "lightning": lambda m, w, k: {"state_dict": {"model." + name: t for name, t in masked(w, k).items()}},
    "masks alone": lambda m, w, k: k,
}


@pytest.mark.parametrize("form", FILES)
def test_a_ticket_is_trained_with_the_masks_of_the_file(
    scripts: Any, model: nn.Module, masks: Masks, form: str, read: Read
) -> None:
    torch.save(FILES[form](model, copy_weights(model), masks), "file.pt")
    scripts.train_ticket("--resume file.pt --epochs 1 --manualSeed 1 --save_dir out --writerdir curves")
    assert said_counts(scripts) == {layer: int(mask.sum()) for layer, mask in masks.items()}
    trained = read("out/scratch.pth.tar")["state_dict"]
    for layer, mask in masks.items():
        assert not trained[weight_name(layer)][~mask].any()
        assert trained[weight_name(layer)][mask].all()


@pytest.mark.parametrize("form", ["ticket", "state-dict", "state-dict-safetensors", "torch-prune"])
def test_what_we_export_is_read(scripts: Any, masks: Masks, read: Read, only_run: Any, form: str) -> None:
    scripts.train_ticket("--SNIP 1 --init_prune_ratio 0.9 --epochs 1 --manualSeed 1 --save_dir out --writerdir curves")
    spec, _ = only_run("out")
    network = read_exported_run(Path("out") / spec.folder_name).network
    trained = network.ticket
    Path("exported.pt").write_bytes(export_bytes(network, find_format(form)))
    found = source(scripts, "--model exported.pt --resume exported.pt")
    assert found.masks is not None
    assert set(found.masks) == set(trained.masks)
    for layer, mask in trained.masks.items():
        assert torch.equal(found.masks[layer], mask)
    assert found.weights is not None
    assert all(torch.equal(tensor, trained.weights[name]) for name, tensor in found.weights.items())
    assert found.weights.keys() == trained.weights.keys()
    scripts.said.clear()
    scripts.train_ticket("--resume exported.pt --epochs 1 --manualSeed 1 --save_dir again --writerdir curves/2")
    assert said_counts(scripts) == {layer: int(mask.sum()) for layer, mask in trained.masks.items()}


def test_a_mask_that_is_moved_uncovers_the_weights_of_the_file(scripts: Any, model: nn.Module, masks: Masks) -> None:
    weights = copy_weights(model)
    torch.save(pruned_by_torch(model, masks).state_dict(), "file.pt")
    arguments = "-a resnet --depth 8 --model file.pt --resume file.pt --rearrange 1"
    flags = parse_flags(TicketFlags, arguments.split())
    found = read_source(flags, scripts.data)
    ticket = make_run_ticket(flags, scripts.data, found, ticket_spec(flags, scripts.data, found), "cpu")
    require_equal(ticket.weights, weights)
    assert not torch.equal(ticket.masks["conv1"], masks["conv1"])


def test_a_network_that_torch_pruned_is_measured_and_pruned_further_as_it_computes(
    scripts: Any, model: nn.Module, masks: Masks, read: Read
) -> None:
    torch.save({"state_dict": masked(copy_weights(model), masks)}, "zeros.pt")
    torch.save({"model": pruned_by_torch(model, masks).state_dict()}, "masks.pt")
    zeros, of_masks = (scripts.baseline(f"--evaluate --resume {name}.pt") for name in ("zeros", "masks"))
    assert zeros == of_masks
    reached = [
        scripts.lt_prune(f"--prune_ratio 0.5 --resume {name}.pt --save_dir {name}") for name in ("zeros", "masks")
    ]
    assert reached[0] == reached[1]
    require_equal(read("masks/pruned_masks.pth.tar")["masks"], read("zeros/pruned_masks.pth.tar")["masks"])
    kept = sum(int(mask.sum()) for mask in read("masks/pruned_masks.pth.tar")["masks"].values())
    assert kept == round(0.5 * sum(int(mask.sum()) for mask in masks.values()))


def test_what_was_read_is_said(scripts: Any, model: nn.Module, masks: Masks) -> None:
    state = pruned_by_torch(model, {layer: mask for layer, mask in masks.items() if layer != "fc"}).state_dict()
    torch.save({"state_dict": {"model." + n: t for n, t in state.items()} | {"loss.weight": torch.ones(3)}}, "file.pt")
    expected = (
        "file.pt: the network is below state_dict.model; the masks of 9 of 10 layers are stored in it; not read: "
        "state_dict.loss.weight"
    )
    assert source(scripts, "--model file.pt --resume file.pt").notes == (expected,)
    scripts.lt_prune("--prune_ratio 0.5 --resume file.pt --save_dir out")
    assert expected in scripts.said
    torch.save({"state_dict": masked(copy_weights(build_model("resnet8", 10)), masks)}, "usual.pt")
    assert source(scripts, "--resume usual.pt").notes == ()


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("train_ticket", "--model file.pt --writerdir curves"),
        ("lt_prune", "--resume file.pt"),
        ("baseline", "--resume file.pt"),
        ("baseline", "--evaluate --resume file.pt"),
    ],
)
def test_masks_alone_are_no_weights(scripts: Any, masks: Masks, script: str, arguments: str) -> None:
    torch.save({"masks": masks}, "file.pt")
    with pytest.raises(InputError, match=r"^file.pt holds masks and no weights: give a checkpoint that holds the net"):
        getattr(scripts, script)(f"{arguments} --save_dir out")


def test_an_option_is_named_whose_file_is_not_there(scripts: Any) -> None:
    for option in ("--model", "--resume"):
        with pytest.raises(InputError, match=rf"^{option} none.pt does not exist: give the path of a checkpoint\.$"):
            source(scripts, f"{option} none.pt")


def test_a_compiled_network_that_is_not_pruned_has_no_mask(scripts: Any, model: nn.Module) -> None:
    torch.save({"_orig_mod." + name: tensor for name, tensor in model.state_dict().items()}, "file.pt")
    with pytest.raises(InputError, match=r"no weight of file.pt is 0, so that it has no mask"):
        source(scripts, "--resume file.pt")
