from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch

from prunecheck.checks import CHECKS, Check
from prunecheck.data import Images, load_dataset
from prunecheck.pruning import Ticket, find_method
from prunecheck.pruning.layers import Masks
from prunecheck.registry import Entry
from prunecheck.studies import RunSpec
from prunecheck.studies.execution import build_network, build_ticket

MakeSpec = Callable[..., RunSpec]


def equal(first: Masks, second: Masks) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_corruption_changes_the_chosen_images_and_not_the_choice_or_the_data_set(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Images] = []

    def spoil(images: Images, num_classes: int, generator: torch.Generator) -> Images:
        seen.append(Images(images.pixels.copy(), images.labels.copy()))
        images.pixels[:] = 0
        return images

    dataset = load_dataset("digits")
    before = dataset.train.pixels.copy()
    for name in ("spoil", "spoil-too"):
        monkeypatch.setitem(CHECKS.entries, name, Entry(name, Check(name, "data", "nothing", spoil), ""))
        spec = make_spec(check=name)
        build_ticket(spec, dataset, build_network(spec, dataset), find_method("snip"))
    assert numpy.array_equal(dataset.train.pixels, before)
    assert numpy.array_equal(seen[0].pixels, seen[1].pixels)
    assert numpy.bincount(seen[0].labels).tolist() == [3] * 10


def test_a_check_that_mends_a_ticket_without_a_path_is_not_called_collapsed(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keep_all(ticket: Ticket, generator: torch.Generator) -> Ticket:
        return replace(ticket, masks={layer: torch.ones_like(mask) for layer, mask in ticket.masks.items()})

    monkeypatch.setitem(CHECKS.entries, "keep-all", Entry("keep-all", Check("keep-all", "ticket", "", keep_all), ""))
    dataset = load_dataset("digits")
    spec = make_spec(sparsity=0.9999)
    collapsed = build_ticket(spec, dataset, build_network(spec, dataset), find_method("snip"))
    assert collapsed.collapse is not None
    mended = replace(spec, check="keep-all")
    assert build_ticket(mended, dataset, build_network(mended, dataset), find_method("snip")).collapse is None


def test_a_criterion_that_draws_unasked_draws_the_same_for_the_same_seed(tmp_path: Path, make_spec: MakeSpec) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\nfrom prunecheck.pruning import prunable_weights\n"
        "def score(model, batches):\n"
        "    return {name: torch.rand_like(weight) for name, weight in prunable_weights(model).items()}\n"
    )
    dataset, method = load_dataset("digits"), find_method(f"{file}:score")
    masks = []
    for seed in (0, 0, 1):
        spec = make_spec(seed=seed)
        masks.append(build_ticket(spec, dataset, build_network(spec, dataset), method).masks)
    assert equal(masks[0], masks[1])
    assert not equal(masks[0], masks[2])
