import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from prunecheck.engine.tickets import build_network, build_ticket
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.paper.scripts import TicketFlags, parse_flags
from prunecheck.paper.scripts.tickets import make_run_ticket, ratios_with_linear, read_source, ticket_spec
from prunecheck.pruning import ALLOCATIONS, Ticket, find_method, prunable_shapes
from prunecheck.pruning.layers import Shapes
from prunecheck.runs.spec import RunSpec

REFERENCE = Path(__file__).parents[2] / "pruning" / "reference" / "published-masks.json"


def spec_and_ticket(scripts: Any, arguments: str) -> tuple[RunSpec, Ticket]:
    """Return the run and the ticket that the flags ask for, without training."""
    flags = parse_flags(TicketFlags, arguments.split())
    source = read_source(flags, scripts.data)
    spec = replace(ticket_spec(flags, scripts.data, source), seed=5)
    return spec, make_run_ticket(flags, scripts.data, source, spec, "cpu")


def counts(ticket: Ticket) -> list[int]:
    return [int(mask.sum()) for mask in ticket.masks.values()]


FLAGS = {
    "smart": "",
    "smart-linear": "--linear_decay 1",
    "smart-cubic": "--cubic 1",
    "smart-uniform": "--uniform 1",
    "smart-hybrid": "--hybrid 1",
}

PUBLISHED = {
    key: case
    for key, case in json.loads(REFERENCE.read_text()).items()
    if case["ratio"] == 0.98 and ((case["method"] in FLAGS and case["depth"] == 32) or case["method"] == "smart")
}
"""Other ratios are tested where ratios are made; here, that each flag means what it meant."""


@pytest.mark.parametrize("key", PUBLISHED)
def test_the_published_counts_are_kept(scripts: Any, key: str) -> None:
    case = PUBLISHED[key]
    flags = f"-a {case['arch']} --depth {case['depth']} --smart_ratio 1 {FLAGS[case['method']]}"
    _, ticket = spec_and_ticket(scripts, f"{flags} --init_prune_ratio {case['ratio']}")
    assert counts(ticket) == case["kept"]


def test_there_are_published_counts_of_every_ratio() -> None:
    assert {case["method"] for case in PUBLISHED.values()} == set(FLAGS)


def test_rising_ratios_empty_the_first_layer_of_resnet32(scripts: Any) -> None:
    _, ticket = spec_and_ticket(scripts, "-a resnet --depth 32 --smart_ratio 1 --ascend 1")
    assert ticket.collapse
    assert str(ticket.collapse) == "conv1: no weight is left"


@pytest.mark.parametrize(
    ("arguments", "method", "check"),
    [
        ("--GraSP 1", "grasp", None),
        ("--SNIP 1", "snip", None),
        ("--SNIP 1 --randLabel 1", "snip", "random-labels"),
        ("--SNIP 1 --shufflePixel 1", "snip", "corrupted-data"),
        ("--smart_ratio 1", "random-smart", None),
        ("--smart_ratio 1 --hybrid 1", "magnitude-smart", None),
        ("--smart_ratio 1 --rearrange 1", "random-smart", "rearrange-mask"),
        ("--SNIP 1 --shuffle_unmasked_weights 1 --rearrange 1", "snip", "rearrange-mask+shuffle-weights"),
        ("--SNIP 1 --shufflePixel 1 --rearrange 1", "snip", "corrupted-data+rearrange-mask"),
        ("--smart_ratio 1 --uniform 1", "random-uniform", None),
        ("--smart_ratio 1 --cubic 1 --randLabel 1", "random-smart-cubic", None),
    ],
)
def test_without_files_it_is_the_run_of_the_library(
    scripts: Any, arguments: str, method: str, check: str | None
) -> None:
    spec, ticket = spec_and_ticket(scripts, f"-a resnet --depth 8 --init_prune_ratio 0.9 {arguments}")
    assert (spec.method, spec.check, spec.sparsity, spec.method_hash) == (method, check, 0.9, None)
    sees_samples = find_method(method).sees("samples")
    assert (spec.samples_per_class, spec.scoring_rounds) == ((10, 1) if sees_samples else (0, 0))
    library = build_ticket(spec, scripts.data, build_network(spec, scripts.data), find_method(method))
    assert all(torch.equal(ticket.masks[layer], mask) for layer, mask in library.masks.items())
    assert all(torch.equal(ticket.weights[name], tensor) for name, tensor in library.weights.items())
    assert ticket.collapse == library.collapse


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        ("-a resnet --depth 32", (10, 1)),
        ("-a resnet --depth 38", (1, 10)),
        ("-a vgg19_bn --depth 110", (10, 1)),
        ("-a resnet --depth 8 -d tinyimagenet", (1, 10)),
    ],
)
def test_large_networks_see_one_image_of_a_class_at_a_time(scripts: Any, arguments: str, seen: tuple[int, int]) -> None:
    flags = parse_flags(TicketFlags, ["--SNIP", "1", *arguments.split()])
    spec = ticket_spec(flags, scripts.data, read_source(flags, scripts.data))
    assert (spec.samples_per_class, spec.scoring_rounds) == seen


@pytest.fixture(params=["resnet32", "vgg19_bn"], scope="module")
def shapes(request: pytest.FixtureRequest) -> Shapes:
    return prunable_shapes(build_model(request.param, 100))


@pytest.mark.parametrize("name", ["smart", "smart-cubic", "uniform"])
@pytest.mark.parametrize("sparsity", [0.9, 0.98])
def test_the_usual_share_of_the_linear_layer_gives_the_usual_counts(shapes: Shapes, name: str, sparsity: float) -> None:
    usual = ALLOCATIONS.get(name)(shapes, sparsity)
    found = ratios_with_linear(ALLOCATIONS.get(name), shapes, sparsity, 0.3)
    sizes = {layer: math.prod(shape) for layer, shape in shapes.items()}
    assert {layer: int(ratio * sizes[layer]) for layer, ratio in found.items()} == {
        layer: int(ratio * sizes[layer]) for layer, ratio in usual.items()
    }


@pytest.mark.parametrize("linear", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("sparsity", [0.9, 0.98])
def test_what_the_linear_layer_keeps_the_convolutions_do_without(
    shapes: Shapes, sparsity: float, linear: float
) -> None:
    sizes = {layer: math.prod(shape) for layer, shape in shapes.items()}
    (last,) = (layer for layer, shape in shapes.items() if len(shape) == 2)
    found = ratios_with_linear(ALLOCATIONS.get("smart"), shapes, sparsity, linear)
    kept = {layer: int(ratio * sizes[layer]) for layer, ratio in found.items()}
    assert abs(kept[last] - linear * sizes[last]) < 1
    # Each layer's count is cut off, and what is scaled was.
    goal = sum(sizes.values()) * (1 - sparsity)
    assert goal - 2 * len(sizes) <= sum(kept.values()) <= goal + 1


def test_another_share_of_the_linear_layer_is_another_run(scripts: Any) -> None:
    usual, _ = spec_and_ticket(scripts, "-a resnet --depth 8 --smart_ratio 1")
    same, _ = spec_and_ticket(scripts, "-a resnet --depth 8 --smart_ratio 1 --linear_keep_ratio 0.3")
    other, ticket = spec_and_ticket(scripts, "-a resnet --depth 8 --smart_ratio 1 --linear_keep_ratio 0.5")
    assert usual == same
    assert other == replace(usual, method="random-smart@0.5")
    assert counts(ticket)[-1] == 640
    with pytest.raises(InputError, match=r"--linear_keep_ratio 1 keeps all that --init_prune_ratio 0\.999 leaves"):
        spec_and_ticket(scripts, "-a resnet --depth 8 --smart_ratio 1 --linear_keep_ratio 1 --init_prune_ratio 0.999")


def test_files_make_the_run_another_and_equal_files_the_same(scripts: Any) -> None:
    for name, seed in (("one", 1), ("two", 2)):
        scripts.lt_prune(f"--prune_ratio 0.9 --save_dir {name} --manualSeed {seed}")
        scripts.baseline(f"--epochs 1 --save_dir {name} --manualSeed {seed}")
    Path("copy").mkdir()
    for name in ("pruned.pth.tar", "pruned_masks.pth.tar"):
        (Path("copy") / name).write_bytes((Path("one") / name).read_bytes())

    def run(arguments: str) -> RunSpec:
        return spec_and_ticket(scripts, f"-a resnet --depth 8 {arguments}")[0]

    masks = [run(f"--resume {name}/pruned.pth.tar") for name in ("one", "two", "copy")]
    assert masks[0] == masks[2] != masks[1]
    assert replace(masks[0], method_hash=masks[1].method_hash) == masks[1]
    assert (masks[0].method, masks[0].sparsity) == ("lt", 0.9)
    weights = [run(f"--SNIP 1 --model {name}/init.pth.tar") for name in ("one", "two")]
    assert weights[0] != weights[1]
    both = run("--model one/init.pth.tar --resume one/pruned.pth.tar")
    swapped = run("--model one/pruned.pth.tar --resume one/pruned.pth.tar")
    assert len({masks[0].method_hash, both.method_hash, swapped.method_hash}) == 3
    Path("one/pruned_masks.pth.tar").unlink()  # then the mask is that of the zeros
    assert run("--resume one/pruned.pth.tar").method_hash != masks[0].method_hash


def test_masks_and_weights_come_from_the_files(scripts: Any, read: Callable[[str], dict[str, Any]]) -> None:
    scripts.lt_prune("--prune_ratio 0.9 --save_dir lt --manualSeed 1")
    scripts.baseline("--epochs 1 --save_dir dense --manualSeed 2")
    masks = read("lt/pruned_masks.pth.tar")["masks"]
    start = read("dense/init.pth.tar")["state_dict"]
    _, plain = spec_and_ticket(scripts, "-a resnet --depth 8 --resume lt/pruned.pth.tar --model dense/init.pth.tar")
    assert all(torch.equal(plain.masks[layer], mask) for layer, mask in masks.items())
    assert all(torch.equal(plain.weights[name], tensor) for name, tensor in start.items())
    _, drawn = spec_and_ticket(scripts, "-a resnet --depth 8 --resume lt/pruned.pth.tar")
    assert torch.equal(drawn.weights["conv1.weight"], build_model("resnet8", 10, seed=5).state_dict()["conv1.weight"])
    arguments = "-a resnet --depth 8 --resume lt/pruned.pth.tar --model dense/init.pth.tar --rearrange 1"
    _, rearranged = spec_and_ticket(scripts, arguments)
    assert counts(rearranged) == counts(plain)
    # Of the layers that keep some and prune some; the linear layer is whole.
    cut = [layer for layer, mask in masks.items() if not mask.all()]
    assert len(cut) == len(masks) - 1
    assert all(not torch.equal(rearranged.masks[layer], masks[layer]) for layer in cut)
    arguments = "-a resnet --depth 8 --resume lt/pruned.pth.tar --model dense/init.pth.tar --shuffle_unmasked_weights 1"
    _, shuffled = spec_and_ticket(scripts, arguments)
    for layer, mask in masks.items():
        before, after = plain.weights[f"{layer}.weight"][mask], shuffled.weights[f"{layer}.weight"][mask]
        assert torch.equal(before.sort().values, after.sort().values)
        assert not torch.equal(before, after)


def test_hybrid_tickets_keep_the_largest_weights_of_the_file(
    scripts: Any, read: Callable[[str], dict[str, Any]]
) -> None:
    scripts.baseline("--epochs 1 --save_dir dense --manualSeed 2")
    weights = read("dense/checkpoint.pth.tar")["state_dict"]
    for linear in ("0.3", "0.5"):
        arguments = "-a resnet --depth 8 --smart_ratio 1 --hybrid 1 --model dense/checkpoint.pth.tar"
        _, ticket = spec_and_ticket(scripts, f"{arguments} --linear_keep_ratio {linear}")
        for layer, mask in ticket.masks.items():
            magnitudes = weights[f"{layer}.weight"].abs()
            assert magnitudes[mask].min() >= magnitudes[~mask].max()
            assert torch.equal(ticket.weights[f"{layer}.weight"], weights[f"{layer}.weight"])
