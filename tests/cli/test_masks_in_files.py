"""Masks in files, from the command line and from Python: checked, studied, refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import prunecheck
from prunecheck.engine.execution import execute
from prunecheck.engine.job import find_spec_method
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import Ticket, allocate, random_scores, save_ticket
from prunecheck.pruning.layers import Masks
from prunecheck.pruning.tickets import copy_weights, load_ticket
from prunecheck.studies.study_file import read_study

Call = Callable[..., Any]
Refused = Callable[..., str]

NETWORK = ["--model", "resnet8", "--width", "4"]

SMALL = [*NETWORK, "--epochs", "1", "--train-images", "100", "--test-images", "50", "--workers", "1", "--quiet"]


def network(seed: int = 3) -> torch.nn.Module:
    return build_model("resnet8", 10, seed=seed, width=4, input_channels=1)


def drawn(seed: int = 0, sparsity: float = 0.8) -> Masks:
    return allocate(random_scores(network(), generator=torch.Generator().manual_seed(seed)), sparsity)


@pytest.fixture
def ticket() -> Ticket:
    """A ticket in the working directory, with weights that no run has."""
    made = Ticket(copy_weights(network()), drawn(4))
    save_ticket(made, Path("ticket.safetensors"), {})
    return made


def only_run(pattern: str) -> Path:
    (found,) = Path("runs").glob(f"*{pattern}*")
    return found


def trained_ticket(pattern: str) -> Ticket:
    return load_ticket(only_run(pattern) / "ticket.safetensors")[0]


def test_a_mask_is_checked(call: Call, ticket: Ticket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checks = "corrupted-data,rearrange-mask,ratios-only,shuffle-weights,reinit"
    asked = [*SMALL, "--checks", checks, "--seeds", "1", "--baseline"]
    ended = call("check", "mask:ticket.safetensors", *asked, "random-ratios-of:mask:ticket.safetensors", "--json")
    assert ended.code == 0, ended.stderr
    found = json.loads(ended.stdout)
    total = sum(mask.numel() for mask in ticket.masks.values())
    kept = sum(int(mask.sum()) for mask in ticket.masks.values())
    assert found["sparsities"] == [round(1 - kept / total, 6)]
    assert found["checks"] == ["rearrange-mask", "ratios-only", "shuffle-weights", "reinit"]
    assert (
        "mask:ticket.safetensors is one mask, trained with 1 seed: the spread is that of training" in found["reading"]
    )
    assert "nothing can be concluded about the method that made it" in found["reading"]
    assert "checks of data are left out" in found["reading"]
    own = trained_ticket(f"-mask_ticket.safetensors-{found['sparsities'][0]}-seed0")
    assert all(torch.equal(own.masks[layer], mask) for layer, mask in ticket.masks.items())
    assert all(not torch.equal(own.weights[name], value) for name, value in ticket.weights.items() if "conv" in name)
    counts = {layer: int(mask.sum()) for layer, mask in ticket.masks.items()}
    for pattern in ("rearrange-mask", "ratios-only", "random-ratios-of"):
        assert {layer: int(mask.sum()) for layer, mask in trained_ticket(pattern).masks.items()} == counts
    assert "nothing can be concluded about the method that made it" in Path("runs/report.html").read_text()

    # From another folder, and by another process's way to find it, it is the same runs; so in Python.
    before = sorted(path.name for path in Path("runs").iterdir())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    path = f"mask:{tmp_path}/ticket.safetensors"
    again = call("check", path, *asked, f"random-ratios-of:{path}", "--out", "../runs", "--json")
    assert json.loads(again.stdout)["tickets"] == found["tickets"]
    assert sorted(path.name for path in Path("../runs").iterdir()) == before
    job = read_study_of(f'methods = ["{path}"]\nchecks = []\nbaseline = "none"', tmp_path).jobs(
        lambda spec: spec.method != "dense", tmp_path / "other", "cpu"
    )[0]
    assert str(tmp_path) in str(job.method)
    assert job.spec.sparsity == found["sparsities"][0]


def read_study_of(text: str, folder: Path) -> prunecheck.Study:
    file = folder / "study.toml"
    amounts = "train_images = 100\ntest_images = 50\nseeds = 1\nrecipes = ['short']\n[recipe.short]\nepochs = 1\n"
    file.write_text(f'{text}\ndatasets = ["digits"]\nmodels = ["resnet8"]\nwidths = [4]\n{amounts}')
    return read_study(file, None)


def test_training_starts_from_the_weights_of_the_file(call: Call, ticket: Ticket) -> None:
    asked = [*SMALL, "--checks", "rearrange-mask", "--seeds", "1", "--baseline", "none"]
    ended = call("check", "mask:ticket.safetensors", *asked, "--start", "file")
    assert ended.code == 0, ended.stderr
    assert "mask:ticket.safetensors?start=file" in ended.stdout
    for pattern in ("rearrange-mask", "file-0.79996-seed0"):
        found = trained_ticket(pattern)
        assert all(torch.equal(found.weights[name], value) for name, value in ticket.weights.items())
    asked_in_name = read_study_of('methods = ["mask:ticket.safetensors?start=file"]\nchecks = []', Path())
    asked_by_key = read_study_of('methods = ["mask:ticket.safetensors"]\nstart = "file"\nchecks = []', Path())
    assert asked_in_name.hash == asked_by_key.hash


def test_each_seed_trains_its_own_mask_and_the_reading_says_nothing_of_one(call: Call) -> None:
    for seed in (0, 1):
        torch.save(drawn(seed), f"m{seed}.pt")
    ended = call(
        "check", "mask:m{seed}.pt", *SMALL, "--checks", "rearrange-mask", "--seeds", "2", "--baseline", "none", "--json"
    )
    assert ended.code == 0, ended.stderr
    assert "one mask" not in json.loads(ended.stdout)["reading"]
    for seed in (0, 1):
        (folder,) = Path("runs").glob(f"*-mask_m_seed_.pt-0.79996-seed{seed}-*")
        found = load_ticket(folder / "ticket.safetensors")[0]
        assert all(torch.equal(found.masks[layer], mask) for layer, mask in drawn(seed).items())


def test_a_file_that_was_changed_after_the_plan_is_refused(ticket: Ticket, tmp_path: Path) -> None:
    study = read_study_of('methods = ["mask:ticket.safetensors"]\nchecks = []\nbaseline = "none"', tmp_path)
    study.validate()
    (tmp_path / "runs").mkdir()
    job = study.jobs(lambda spec: spec.method != "dense", tmp_path / "runs", "cpu")[0]
    assert find_spec_method(job) is not None
    save_ticket(Ticket(ticket.weights, drawn(9)), Path("ticket.safetensors"), {})
    with pytest.raises(InputError, match=r"ticket.safetensors was changed while its runs were going on: call .* again"):
        execute(job, lambda epoch, accuracy: None)
    changed = read_study_of('methods = ["mask:ticket.safetensors"]\nchecks = []\nbaseline = "none"', tmp_path)
    assert changed.hash != study.hash


def test_a_ticket_is_made_of_a_mask(call: Call, ticket: Ticket) -> None:
    arguments = ["prune", "mask:ticket.safetensors", *NETWORK, "--dataset", "digits", "-o", "again.safetensors"]
    ended = call(*arguments, "--start", "file")
    assert ended.code == 0, ended.stderr
    again, description = load_ticket(Path("again.safetensors"))
    assert all(torch.equal(again.masks[layer], mask) for layer, mask in ticket.masks.items())
    assert all(torch.equal(again.weights[name], value) for name, value in ticket.weights.items())
    assert description["method"] == "mask:ticket.safetensors?start=file"
    assert round(float(str(description["sparsity"])), 3) == 0.8


def no_way_through() -> Masks:
    masks = drawn(0, 0.5)
    return masks | {"fc": torch.zeros_like(masks["fc"])}


def without_a_branch() -> Masks:
    masks = drawn(0, 0.5)
    return masks | {"layer2.0.conv1": torch.zeros_like(masks["layer2.0.conv1"])}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mask:soft.pt"], "has a mask conv1 with values other than 0 and 1 (such as 0.25): threshold it"),
        (["mask:transposed.pt"], "its dimensions seem to be in another order"),
        (["mask:other.pt"], "has a mask conv1 of shape (8, 1, 3, 3) for weights of shape (4, 1, 3, 3)"),
        (["mask:foreign.pt"], "is not a checkpoint of resnet8 of width 4: it lacks conv1.weight, bn1.weight"),
        (["mask:dead.pt"], "dead.pt leaves no way through resnet8 of width 4 (fc: "),
        (["mask:none.pt"], "none.pt prunes every weight, because its masks are 0 everywhere"),
        (["mask:none.pt", "--sparsity", "0.9"], "none.pt prunes every weight, because its masks are 0 everywhere"),
        (["mask:fine.pt", "--sparsity", "0.9"], "a sparsity of 0.5, and --sparsity is 0.9: leave that out"),
        (["mask:fine.pt", "--start", "file"], "leave --start out, or give a checkpoint"),
        (["mask:fine.pt", "--start", "files"], "--start takes one of initial, file, not 'files'."),
        (["random-smart", "--start", "file"], "leave --start out, which is for mask:PATH."),
        (["mask:s{seed}.pt", "--seeds", "3"], "mask:s{seed}.pt has no file of 1 of the 3 seeds ("),
        (
            ["mask:s{seed}.pt", "--seeds", "2"],
            "s1.pt keeps 993 of 4,964 weights, a sparsity of 0.79996, and",
        ),
        (["mask:no.pt"], "there is no file "),
        (["random-smart", "--baseline", "mask:soft.pt"], "values other than 0 and 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_files_are_refused_before_any_work(refused: Refused, arguments: list[str], said: str) -> None:
    fine = drawn(0, 0.5)
    files = {
        "soft": fine | {"conv1": fine["conv1"].float() / 4},
        "transposed": {layer: mask.permute(*reversed(range(mask.dim()))) for layer, mask in fine.items()},
        "other": fine | {"conv1": torch.ones(8, 1, 3, 3)},
        "foreign": {f"unit_{layer}": mask for layer, mask in fine.items()},
        "dead": no_way_through(),
        "none": {layer: torch.zeros_like(mask) for layer, mask in fine.items()},
        "fine": fine,
        "s0": fine,
        "s1": drawn(1, 0.8),
    }
    for name, masks in files.items():
        torch.save(masks, f"{name}.pt")
    assert said in refused("check", *arguments, *SMALL, "--checks", "rearrange-mask")


def test_a_mask_without_one_branch_is_trained_and_that_is_remarked(call: Call) -> None:
    torch.save(without_a_branch(), "branch.pt")
    ended = call("check", "mask:branch.pt", *SMALL, "--seeds", "1", "--checks", "reinit", "--baseline", "none")
    assert ended.code == 0, ended.stderr
    assert "no weight is left in layer2.0.conv1" in " ".join(ended.stdout.split())


@pytest.mark.parametrize("file", ["ticket.safetensors", "state.pt", "pruned.pt", "weights.safetensors"])
def test_what_prune_writes_for_others_is_read_again(call: Call, file: str) -> None:
    forms = {"pruned.pt": ["--format", "torch-prune"], "weights.safetensors": ["--format", "state-dict-safetensors"]}
    made = ["prune", "random-smart", *NETWORK, "--dataset", "digits", "--sparsity", "0.8"]
    assert call(*made, "-o", "original.safetensors").code == 0
    ended = call(*made, "-o", file, *forms.get(file, []))
    assert ended.code == 0, ended.stderr
    again = ["prune", f"mask:{file}", *NETWORK, "--dataset", "digits", "--start", "file", "-o", "again.safetensors"]
    ended = call(*again, "--seed", "5")
    assert ended.code == 0, ended.stderr
    original, found = (load_ticket(Path(f"{name}.safetensors"))[0] for name in ("original", "again"))
    for layer, mask in original.masks.items():
        assert torch.equal(found.masks[layer], mask), layer
        name = f"{layer}.weight"
        assert torch.equal(found.weights[name][mask], original.weights[name][mask]), name
    assert ended.stdout.endswith("wrote again.safetensors\n")
