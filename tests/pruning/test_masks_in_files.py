"""Masks of every tool as a method: which files, which masks, which weights."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import prune

from prunecheck.data import ScoringData, blank_batch
from prunecheck.errors import InputError
from prunecheck.pruning import Method, Ticket, find_method, make_ticket, mask_from, save_ticket
from prunecheck.pruning.layers import Masks, prunable_weights, weight_name
from prunecheck.pruning.mask_files import are_masks_in_files, is_one_mask
from prunecheck.pruning.tickets import Weights, copy_weights
from prunecheck.randomness import generator, seeded_global_generator
from tests.pruning.masked_networks import Plain, synaptic_flow_state, write_open_lth

torch_prune: Any = prune
"""Untyped."""


def network(seed: int = 0) -> nn.Module:
    with seeded_global_generator(seed, "network"):
        return Plain()


def drawn_masks(seed: int = 1, share: float = 0.4) -> Masks:
    draws = torch.Generator().manual_seed(seed)
    weights = prunable_weights(network())
    return {layer: torch.rand(weight.shape, generator=draws) < share for layer, weight in weights.items()}


MASKS = drawn_masks()

WEIGHTS = copy_weights(network(5))
"""What is in the files; a run has others."""


def zeroed(masks: Masks = MASKS) -> Weights:
    pruned = {weight_name(layer): WEIGHTS[weight_name(layer)] * mask for layer, mask in masks.items()}
    return WEIGHTS | pruned


def sparsity_of(masks: Masks) -> float:
    return 1 - sum(int(mask.sum()) for mask in masks.values()) / sum(mask.numel() for mask in masks.values())


def ticket_of(method: Method, seed: int = 0, sparsity: float | None = None) -> Ticket:
    data = ScoringData(shape_only=[blank_batch((1, 8, 8))])
    asked = sparsity_of(MASKS) if sparsity is None else sparsity
    return make_ticket(method, network(), data, asked, generator(seed, "mask placement"), seed=seed)


def require_masks(found: Ticket, expected: Masks = MASKS) -> None:
    assert list(found.masks) == list(expected)
    for layer, mask in expected.items():
        assert torch.equal(found.masks[layer], mask), layer


def by_torch(folder: Path) -> Path:
    model = network(5)
    for layer, mask in MASKS.items():
        torch_prune.custom_from_mask(model.get_submodule(layer), "weight", mask)
    torch.save(model.state_dict(), folder / "pruned.pth")
    return folder / "pruned.pth"


def own_ticket(folder: Path) -> Path:
    save_ticket(Ticket(WEIGHTS, MASKS), folder / "ticket.safetensors", {"method": "snip"})
    return folder / "ticket.safetensors"


def saved(name: str, content: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        torch.save(content, folder / name)
        return folder / name

    return write


def safetensors_with_zeros(folder: Path) -> Path:
    save_file(zeroed(), folder / "zeros.safetensors")
    return folder / "zeros.safetensors"


def savez(folder: Path) -> Path:
    arrays: dict[str, Any] = {layer: mask.numpy().astype("uint8") for layer, mask in MASKS.items()}
    numpy.savez(folder / "masks.npz", **arrays)
    return folder / "masks.npz"


def open_lth(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        write_open_lth(folder / "level_3/main", WEIGHTS, copy_weights(network(6)), MASKS)
        return folder / "level_3/main" / name

    return write


FILES: dict[str, Callable[[Path], Path]] = {
    "own ticket": own_ticket,
    "torch.nn.utils.prune": by_torch,
    "zeros .pt": saved("zeros.pt", zeroed()),
    "zeros .pth.tar": saved("zeros.pth.tar", {"epoch": 3, "state_dict": zeroed()}),
    "zeros .safetensors": safetensors_with_zeros,
    "model, module.": saved("m.pth", {"model": {f"module.{name}": value for name, value in zeroed().items()}}),
    "net, _orig_mod.": saved("n.pth", {"net": {f"_orig_mod.{name}": value for name, value in zeroed().items()}}),
    "backbone.": saved("b.pt", {f"backbone.{name}": value for name, value in zeroed().items()}),
    "Synaptic-Flow": saved("model.pt", synaptic_flow_state(WEIGHTS, MASKS)),
    "open_lth folder": open_lth(""),
}

MASKS_ONLY: dict[str, Callable[[Path], Path]] = {
    "open_lth mask.pth": open_lth("mask.pth"),
    "by layer, bool": saved("masks.pt", MASKS),
    "npz": savez,
    "in a group": saved("group.pt", {"masks": {weight_name(layer): mask.float() for layer, mask in MASKS.items()}}),
}


@pytest.mark.parametrize("form", [*FILES, *MASKS_ONLY])
def test_masks_of_every_form_are_read_and_trained_from_the_initial_weights(tmp_path: Path, form: str) -> None:
    path = (FILES | MASKS_ONLY)[form](tmp_path)
    found = ticket_of(mask_from(path))
    require_masks(found)
    initial = network().state_dict()
    assert all(torch.equal(tensor, initial[name]) for name, tensor in found.weights.items())


@pytest.mark.parametrize("form", FILES)
def test_training_starts_from_the_weights_of_the_file_if_asked(tmp_path: Path, form: str) -> None:
    found = ticket_of(mask_from(FILES[form](tmp_path), start="file"))
    require_masks(found)
    initial = network().state_dict()
    for name, tensor in found.weights.items():
        mask = MASKS.get(name.removesuffix(".weight"))
        if mask is None or not name.endswith(".weight"):
            assert torch.equal(tensor, WEIGHTS[name]), name
        else:
            assert torch.equal(tensor[mask], WEIGHTS[name][mask]), name
            # Below the mask stand the file's own weights, or the run's where the file has zeros.
            below = tensor[~mask]
            assert torch.equal(below, WEIGHTS[name][~mask]) or torch.equal(below, initial[name][~mask]), name


def test_the_checkpoint_of_open_lth_has_its_masks_beside_the_network(tmp_path: Path) -> None:
    # Its weights are those after a step, which the tool masks only before the next: none of them is 0.
    path = open_lth("checkpoint.pth")(tmp_path)
    require_masks(ticket_of(mask_from(path)))


@pytest.mark.parametrize("form", MASKS_ONLY)
def test_a_file_without_weights_cannot_be_started_from(tmp_path: Path, form: str) -> None:
    path = MASKS_ONLY[form](tmp_path)
    with pytest.raises(InputError, match=r"holds masks and no weights, .* leave start out, or give a checkpoint"):
        ticket_of(mask_from(path, start="file"))


def test_masks_of_a_network_that_has_nothing_but_prunable_weights_are_no_weights(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False))
    mask = torch.rand(10, 64, generator=torch.Generator().manual_seed(0)) < 0.5
    torch.save({"1.weight": mask.float()}, tmp_path / "mask.pt")
    data = ScoringData(shape_only=[blank_batch((1, 8, 8))])
    sparsity = 1 - float(mask.float().mean())
    with pytest.raises(InputError, match="holds masks and no weights"):
        make_ticket(mask_from(tmp_path / "mask.pt", start="file"), model, data, sparsity, generator(0, "x"))
    found = make_ticket(mask_from(tmp_path / "mask.pt"), model, data, sparsity, generator(0, "x"))
    assert torch.equal(found.masks["1"], mask)
    # Weights between 0 and 1 are weights there, since not all are 0 or 1.
    torch.save({"1.weight": mask * 0.5}, tmp_path / "weights.pt")
    found = make_ticket(mask_from(tmp_path / "weights.pt", start="file"), model, data, sparsity, generator(0, "x"))
    assert torch.equal(found.weights["1.weight"][mask], torch.full((int(mask.sum()),), 0.5))


def by_seed(folder: Path, names: list[str]) -> list[Masks]:
    folder.mkdir()
    drawn = [drawn_masks(10 + number) for number in range(len(names))]
    for name, masks in zip(names, drawn, strict=True):
        torch.save(masks, folder / name)
    return drawn


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mask:{folder}/m{{seed}}.pt", "mask:m{seed}.pt"),
        ("mask:{folder}", "mask:masks/"),
        ("mask:{folder}/m0.pt:{folder}/m2.pt:{folder}/m10.pt", "mask:m0.pt:m2.pt:m10.pt"),
    ],
)
def test_each_seed_has_its_own_mask(tmp_path: Path, text: str, name: str) -> None:
    folder = tmp_path / "masks"
    drawn = by_seed(folder, ["m0.pt", "m2.pt", "m10.pt"])
    method = find_method(text.format(folder=folder))
    assert method.name == name
    assert are_masks_in_files(name) and not is_one_mask(name)
    seeds = [0, 2, 10] if "{seed}" in name else [0, 1, 2]
    for seed, masks in zip(seeds, drawn, strict=True):
        require_masks(ticket_of(method, seed, sparsity_of(masks)), masks)
    assert method.files
    with pytest.raises(InputError, match=r"seed"):
        method.files.require_seeds([*seeds, 11, 12])


def test_seeds_without_a_file_are_named(tmp_path: Path) -> None:
    by_seed(tmp_path / "masks", ["m0.pt"])
    files = mask_from(tmp_path / "masks/m{seed}.pt").files
    assert files
    with pytest.raises(InputError) as raised:
        files.require_seeds(range(6))
    missing = ", ".join(str(tmp_path / f"masks/m{seed}.pt") for seed in (1, 2, 3))
    assert str(raised.value) == (
        f"mask:m{{seed}}.pt has no file of 5 of the 6 seeds ({missing} and 2 more): make them, or ask for other seeds."
    )


def test_replicates_of_open_lth_are_masks_by_seed(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_open_lth(tmp_path / f"replicate_{seed}/level_2/main", WEIGHTS, WEIGHTS, drawn_masks(seed))
    method = find_method(f"mask:{tmp_path}/replicate_{{seed}}/level_2/main")
    assert method.name == "mask:replicate_{seed}/level_2/main"
    require_masks(ticket_of(method, 2, sparsity_of(drawn_masks(2))), drawn_masks(2))


def test_a_method_is_found_by_its_argument_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_ticket(tmp_path)
    monkeypatch.chdir(tmp_path)
    method = find_method("mask:ticket.safetensors?start=file")
    assert method.name == "mask:ticket.safetensors?start=file"
    assert is_one_mask(method.name)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert find_method(method.argument).argument == f"mask:{tmp_path}/ticket.safetensors?start=file"
    assert find_method(method.argument).source_hash == method.source_hash
    ratios = find_method(f"random-ratios-of:{method.argument}")
    assert ratios.name == "random-ratios-of:mask:ticket.safetensors?start=file"
    assert not is_one_mask(ratios.name)
    assert ratios.source_hash == method.source_hash
    counts = {layer: int(mask.sum()) for layer, mask in MASKS.items()}
    drawn = ticket_of(find_method(ratios.argument)).masks
    assert {layer: int(mask.sum()) for layer, mask in drawn.items()} == counts
    assert not all(torch.equal(drawn[layer], mask) for layer, mask in MASKS.items())


def test_the_hash_is_that_of_the_content(tmp_path: Path) -> None:
    torch.save(MASKS, tmp_path / "a.pt")
    before = mask_from(tmp_path / "a.pt")
    first = before.source_hash
    assert before.code
    assert before.code.changed() == []
    (tmp_path / "b.pt").write_bytes((tmp_path / "a.pt").read_bytes())
    assert mask_from(tmp_path / "b.pt").source_hash == first
    torch.save(drawn_masks(7), tmp_path / "a.pt")
    assert before.code.changed() == ["mask 0"]
    assert mask_from(tmp_path / "a.pt").source_hash != first
    assert before.source_hash == first


def test_the_hash_of_an_open_lth_folder_covers_what_is_read(tmp_path: Path) -> None:
    folder = open_lth("")(tmp_path)
    only_mask, with_weights = mask_from(folder), mask_from(folder, start="file")
    assert only_mask.source_hash != with_weights.source_hash
    torch.save(copy_weights(network(7)), folder / "model_ep0_it0.pth")
    changed = [method.code.changed() for method in (only_mask, with_weights) if method.code]
    assert changed == [[], ["weights 0"]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mask:", "mask:PATH takes the path of a mask, or of a pruned checkpoint: name one."),
        ("mask:no.pt", "there is no file {cwd}/no.pt: give the path of a mask, or of a pruned checkpoint."),
        ("mask:a.pt:no.pt", "there is no file {cwd}/no.pt: give the path of a mask, or of a pruned checkpoint."),
        ("mask:s{seed}.pt", "there is no file {cwd}/s{seed}.pt with a seed in the place of {seed}: correct the path."),
        ("mask:empty", "the folder {cwd}/empty holds no mask: give one with a file for each seed"),
        ("mask:a.pt?start=files", "there is no start named 'files': did you mean file?"),
        ("mask:a.pt?begin=file", "mask:a.pt has no argument begin: its arguments are start, pattern."),
        ("mask:a.pt:s{seed}.pt", "s{seed}.pt stands in a list of files by seed"),
    ],
)
def test_wrong_paths_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(MASKS, "a.pt")
    Path("empty").mkdir()
    with pytest.raises(InputError) as raised:
        find_method(text)
    assert str(raised.value).startswith(said.replace("{cwd}", os.fspath(tmp_path)))


def transposed(masks: Masks) -> dict[str, Tensor]:
    return {layer: mask.permute(*reversed(range(mask.dim()))).contiguous() for layer, mask in masks.items()}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (MASKS | {"fc": MASKS["fc"].float() * 0.5}, r"fc with values other than 0 and 1 \(such as 0.5\): threshold it"),
        (transposed(MASKS), r"of shape \(3, 3, 1, 4\) .* seem to be in another order .*: permute them"),
        ({f"net{layer}": mask for layer, mask in MASKS.items()}, r"is not a checkpoint of this network: it lacks"),
        ({"conv": MASKS["conv"], "inner": MASKS["inner"]}, "holds masks and none for layer fc: add one"),
        (
            MASKS | {"conv": torch.ones(8, 1, 3, 3)},
            r"of shape \(8, 1, 3, 3\) for weights of shape \(4, 1, 3, 3\): give",
        ),
        (WEIGHTS, "has no mask, because no weight of it is 0: give a network that was pruned."),
        (
            {layer: torch.zeros_like(mask) for layer, mask in MASKS.items()},
            "prunes every weight, because its masks are 0 everywhere: give a mask that is 1 where a weight is kept.",
        ),
        (
            WEIGHTS | {weight_name(layer): torch.zeros_like(WEIGHTS[weight_name(layer)]) for layer in MASKS},
            "prunes every weight, because all of its prunable weights are 0: give a mask",
        ),
        (list(MASKS.values()), r"holds list and no state_dict: .* masks in a dict by layer name, {layer: mask}."),
        (synaptic_flow_state(WEIGHTS, {}), "has no mask, because its masks keep every weight"),
    ],
)
def test_what_is_no_mask_of_the_network_is_refused(tmp_path: Path, content: Any, said: str) -> None:
    torch.save(content, tmp_path / "file.pt")
    with pytest.raises(InputError, match=said) as raised:
        ticket_of(mask_from(tmp_path / "file.pt"))
    assert str(raised.value).startswith(str(tmp_path / "file.pt"))


def test_the_tables_of_synaptic_flow_are_no_masks(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pandas.DataFrame({"module": ["conv"], "sparsity": [0.1]}).to_pickle(tmp_path / "compression-synflow-1.0.pkl")
    with pytest.raises(InputError, match=r"is a table of pandas .* no mask"):
        ticket_of(mask_from(tmp_path / "compression-synflow-1.0.pkl"))


def test_the_shortcuts_of_synaptic_flow_are_left_out_only_where_they_do_nothing(tmp_path: Path) -> None:
    state = synaptic_flow_state(WEIGHTS, MASKS)
    state["shortcut.weight_mask"][0] = 0
    torch.save(state, tmp_path / "file.pt")
    with pytest.raises(InputError, match=r"has shortcut.weight, shortcut.weight_mask too many"):
        ticket_of(mask_from(tmp_path / "file.pt"))


def test_masks_of_another_sparsity_are_refused(tmp_path: Path) -> None:
    torch.save(MASKS, tmp_path / "file.pt")
    with pytest.raises(InputError, match=r"is to keep"):
        ticket_of(mask_from(tmp_path / "file.pt"), sparsity=0.9)
