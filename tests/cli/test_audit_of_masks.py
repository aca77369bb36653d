"""``prunecheck audit mask:FILE``: what a mask keeps, what it saves, and whether it held in training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import prunecheck
from prunecheck.models import build_model
from prunecheck.pruning import allocate, random_scores
from prunecheck.pruning.layers import Masks, weight_name
from prunecheck.pruning.tickets import Weights, copy_weights
from tests.pruning.masked_networks import write_open_lth

Call = Callable[..., Any]
Refused = Callable[..., str]

NETWORK = ["--model", "resnet8", "--width", "4"]

MODEL = build_model("resnet8", 10, seed=3, width=4, input_channels=1)


def drawn(seed: int = 0) -> Masks:
    return allocate(random_scores(MODEL, generator=torch.Generator().manual_seed(seed)), 0.8)


def trained(masks: Masks, returned: int = 0) -> Weights:
    """A trained network, in which the first pruned weights of ``fc`` are not 0."""
    weights = copy_weights(MODEL)
    for layer, mask in masks.items():
        weights[weight_name(layer)] = (weights[weight_name(layer)] + 0.001) * mask
    pruned = (~masks["fc"]).nonzero()[:returned]
    weights["fc.weight"][pruned[:, 0], pruned[:, 1]] = 0.5
    return weights


PRUNED = sum(int((~mask).sum()) for mask in drawn().values())


def test_a_mask_that_holds_and_one_that_does_not(call: Call) -> None:
    masks = drawn()
    torch.save(masks, "mask.pt")
    torch.save({"state_dict": trained(masks)}, "trained.pth.tar")
    torch.save(trained(masks, returned=7), "dense.pt")
    ended = call("audit", "mask:mask.pt", *NETWORK, "--after", "trained.pth.tar")
    assert (ended.code, ended.stderr) == (0, "")
    assert f"the mask holds: all {PRUNED:,} pruned weights are 0 in trained.pth.tar" in ended.stdout
    assert "in torch a mask saves neither time nor memory" in " ".join(ended.stdout.split())
    assert ", 1 seed\n" in ended.stdout
    assert "mask:mask.pt is one mask in a file, which has nothing to be compared with." in ended.stdout
    assert "agreement" not in ended.stdout

    ended = call("audit", "mask:mask.pt", *NETWORK, "--after", "dense.pt", "--json")
    (method,) = json.loads(ended.stdout)["methods"]
    (after,) = method["after"]
    assert (after["holds"], after["pruned"], after["returned"]) == (False, PRUNED, 7)
    assert after["verdict"].startswith(f"7 of {PRUNED:,} pruned weights are not 0 in dense.pt: the network that was ")
    by_layer = {layer["layer"]: layer["returned"] for layer in after["layers"]}
    assert by_layer == dict.fromkeys(masks, 0) | {"fc": 7}
    assert method["agreements"] == []
    costs = method["costs"]
    assert costs["flops"] == 2 * costs["multiply_adds"]
    assert costs["multiply_adds_kept"] == sum(layer["multiply_adds_kept"] for layer in method["layers"])
    assert method["kept"] < method["total"]


def test_a_checkpoint_with_a_mask_of_its_own_is_read_as_it_computes(call: Call) -> None:
    masks = drawn()
    torch.save(masks, "mask.pt")
    state = trained(masks, returned=7)
    fc = state.pop("fc.weight")
    torch.save(state | {"fc.weight_orig": fc, "fc.weight_mask": masks["fc"].float()}, "trained.pt")
    ended = call("audit", "mask:mask.pt", *NETWORK, "--after", "trained.pt")
    assert "the mask holds" in ended.stdout


def test_each_seed_has_its_own_checkpoint(call: Call) -> None:
    for seed in (0, 1):
        torch.save(drawn(seed), f"m{seed}.pt")
        torch.save(trained(drawn(seed), returned=seed), f"t{seed}.pt")
    after = ["--seeds", "2", "--after", "t{seed}.pt", "--json"]
    (method,) = json.loads(call("audit", "mask:m{seed}.pt", *NETWORK, *after).stdout)["methods"]
    assert [(one["seed"], one["returned"]) for one in method["after"]] == [(0, 0), (1, 1)]
    assert [one["against"] for one in method["agreements"]] == ["other-seeds"]
    # One mask, trained with two seeds.
    (method,) = json.loads(call("audit", "mask:m0.pt", *NETWORK, *after).stdout)["methods"]
    assert method["after"][0]["holds"]
    assert not method["after"][1]["holds"]


def test_the_last_model_of_open_lth_is_compared(call: Call) -> None:
    masks = drawn()
    write_open_lth(Path("level_3/main"), copy_weights(MODEL), trained(masks, returned=3), masks)
    ended = call("audit", "mask:level_3/main", *NETWORK, "--after", "level_3/main")
    assert ended.code == 0, ended.stderr
    assert f"3 of {PRUNED:,} pruned weights are not 0 in level_3/main" in ended.stdout


def test_a_mask_that_lets_nothing_through_is_shown(call: Call) -> None:
    torch.save(drawn() | {"fc": torch.zeros(10, 16)}, "dead.pt")
    ended = call("audit", "mask:dead.pt", *NETWORK)
    assert ended.code == 0, ended.stderr
    assert "collapsed, seed 0: fc" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["snip", "--after", "trained.pt"], "--after compares a trained checkpoint with the mask that it was trained"),
        (["mask:m0.pt,snip", "--after", "trained.pt"], "audit mask:PATH, and nothing beside it."),
        (["mask:m0.pt", "--after", "no.pt"], "--after: there is no file"),
        (["mask:m0.pt", "--after", "m0.pt"], "m0.pt holds masks and no weights: give the checkpoint of a trained"),
        (["mask:m0.pt", "--after", "wide.pt"], "is not a checkpoint of resnet8 of width 4: it has conv1.weight"),
        (["mask:m{seed}.pt", "--seeds", "1", "--after", "trained.pt"], "give one for each seed, with {seed} in its"),
        (["mask:m0.pt", "--sparsity", "0.5"], "and --sparsity is 0.5: leave that out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_input_is_refused(refused: Refused, arguments: list[str], said: str) -> None:
    torch.save(drawn(), "m0.pt")
    torch.save(trained(drawn()), "trained.pt")
    wide = build_model("resnet8", 10, seed=3, width=8, input_channels=1)
    torch.save(copy_weights(wide), "wide.pt")
    assert said in refused("audit", *arguments, *NETWORK)


def test_what_trains_two_masks_is_a_command_to_copy(call: Call) -> None:
    for seed in range(2):
        torch.save(drawn(seed), f"s{seed}.pt")
    ended = call("audit", "magnitude,mask:s{seed}.pt", *NETWORK, "--seeds", "2")
    assert ended.stdout.splitlines()[-1] == (
        "  prunecheck check 'mask:s{seed}.pt' --baseline magnitude --checks none --seeds 2 --model resnet8 --width 4"
    )
    assert "differ in accuracy is found by training both:" in " ".join(ended.stdout.split())
    assert "\n\nagreement between methods" in ended.stdout
    masks = prunecheck.mask_from(["s0.pt", "s1.pt"])
    text = str(prunecheck.audit(["magnitude", masks], model="resnet8", width=4, seeds=2, checks="none"))
    assert text.splitlines()[-1] == (
        f"  prunecheck.check('mask:{Path.cwd()}/s0.pt:{Path.cwd()}/s1.pt', model='resnet8', seeds=2, checks='none', "
        "baseline='magnitude', width=4)"
    )
