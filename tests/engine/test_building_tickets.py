from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from torch import nn

from prunecheck.checks import CHECKS, Check
from prunecheck.data import Batches, Dataset, Images, load_dataset
from prunecheck.data.batches import Batch
from prunecheck.engine.tickets import build_network, build_ticket
from prunecheck.errors import InputError
from prunecheck.pruning import CRITERIA, Criterion, Ticket, find_method, magnitude
from prunecheck.pruning.layers import Masks, Scores
from prunecheck.randomness import generator
from prunecheck.registry import Entry
from prunecheck.runs.spec import RunSpec

MakeSpec = Callable[..., RunSpec]


def equal(first: Masks, second: Masks) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_corruption_is_given_the_same_images_whatever_its_name_and_does_not_change_the_data_set(
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
    assert (numpy.bincount(seen[0].labels) >= 3).all()


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


def ticket_with(dataset: Dataset, spec: RunSpec) -> Ticket:
    return build_ticket(spec, dataset, build_network(spec, dataset), find_method(spec.method))


def poisoned(dataset: Dataset, places: slice) -> Dataset:
    """Return the set with other pixels in some places of its training part."""
    pixels = dataset.train.pixels.copy()
    pixels[places] = 255 - pixels[places]
    return replace(dataset, train=replace(dataset.train, pixels=pixels))


def test_half_of_the_data_shows_the_scorer_no_image_of_the_second_half(make_spec: MakeSpec) -> None:
    dataset = load_dataset("digits")
    first, second = poisoned(dataset, slice(0, 320)), poisoned(dataset, slice(320, None))
    half = make_spec(check="half-data")
    masks = ticket_with(dataset, half).masks
    assert equal(masks, ticket_with(second, half).masks)
    assert not equal(masks, ticket_with(first, half).masks)
    whole = make_spec()
    assert not equal(ticket_with(dataset, whole).masks, ticket_with(second, whole).masks)
    assert not equal(ticket_with(dataset, whole).masks, masks)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[list[Batch]]:
    """Register criteria that write down what they are shown, and return what they were."""
    shown: list[list[Batch]] = []

    def look(model: nn.Module, batches: list[Batch]) -> Scores:
        shown.append([(x.clone(), y.clone()) for x, y in batches])
        return magnitude(model)

    def look_twice(model: nn.Module, batches: list[Batch]) -> Scores:
        look(model, batches)
        return look(model, batches)

    in_passes = (
        Criterion("learns", look_twice, sees="training set"),
        Criterion("rounds", look_twice, new_samples=True),
    )
    for criterion in (Criterion("looks", look), *in_passes):
        monkeypatch.setitem(CRITERIA.entries, criterion.name, Entry(criterion.name, criterion, ""))
    return shown


def test_the_criterion_is_shown_as_many_rounds_of_samples_as_the_spec_says(
    make_spec: MakeSpec, seen: list[list[Batch]]
) -> None:
    ticket_with(load_dataset("digits"), make_spec(method="looks", samples_per_class=2, scoring_rounds=3))
    (batches,) = seen
    assert [y.tolist() for _, y in batches] == [[label for label in range(10) for _ in range(2)]] * 3
    assert not torch.equal(batches[0][0], batches[1][0])


def test_a_single_class_is_all_that_the_criterion_sees(make_spec: MakeSpec, seen: list[list[Batch]]) -> None:
    classes = set()
    for seed in range(6):
        ticket_with(load_dataset("digits"), make_spec(method="looks", check="single-class", seed=seed))
        ((_, labels),) = seen[-1]
        assert len(labels) == 3
        assert len(set(labels.tolist())) == 1
        classes.add(int(labels[0]))
    assert len(classes) > 1


def test_with_no_labels_drawn_anew_the_criterion_sees_what_it_sees_without_a_check(
    make_spec: MakeSpec, seen: list[list[Batch]]
) -> None:
    for check in (None, "random-labels@0", "random-labels", "random-labels@1"):
        ticket_with(load_dataset("digits"), make_spec(method="looks", check=check))
    ((x, y),), *others = seen
    assert [torch.equal(images, x) for ((images, _),) in others] == [True, False, False]
    assert all(torch.equal(labels, y) for ((_, labels),) in others)
    assert torch.equal(others[1][0][0], others[2][0][0])


def test_a_run_and_its_corruption_see_as_many_images_of_each_label_and_others_for_another_seed(
    make_spec: MakeSpec, seen: list[list[Batch]]
) -> None:
    for seed, check in ((0, None), (0, "random-labels"), (1, None), (1, "random-labels"), (0, "rearrange-mask")):
        ticket_with(load_dataset("digits"), make_spec(method="looks", check=check, seed=seed))
    x = [batches[0][0] for batches in seen]
    y = [batches[0][1] for batches in seen]
    assert torch.equal(x[0], x[4])
    assert all(labels.tolist() == [label for label in range(10) for _ in range(3)] for labels in y)
    for first, second in ((0, 1), (2, 3), (0, 2), (1, 3)):
        assert not torch.equal(x[first], x[second])


@pytest.mark.parametrize("check", [None, "random-labels", "single-class"])
def test_a_criterion_in_rounds_sees_other_samples_in_every_pass(
    check: str | None, make_spec: MakeSpec, seen: list[list[Batch]]
) -> None:
    spec = make_spec(method="rounds", check=check, scoring_rounds=2)
    for _ in range(2):
        ticket_with(load_dataset("digits"), spec)
    first, second, again, _ = seen
    labels = 1 if check == "single-class" else 10
    assert all([n for n in y.bincount().tolist() if n] == [3] * labels for one in seen for _, y in one)
    assert [len(one) for one in seen] == [2] * 4
    assert not torch.equal(first[0][0], second[0][0])
    assert all(torch.equal(x, y) for (x, _), (y, _) in zip(first, again, strict=True))


def test_a_criterion_that_learns_sees_another_epoch_of_all_training_images_in_every_pass(
    make_spec: MakeSpec, seen: list[list[Batch]]
) -> None:
    dataset = load_dataset("digits")
    spec = make_spec(method="learns", samples_per_class=0, scoring_rounds=0)
    ticket_with(dataset, spec)
    first, second = (torch.cat([y for _, y in epoch]) for epoch in seen)
    expected = sorted(dataset.train.labels.tolist())
    assert sorted(first.tolist()) == sorted(second.tolist()) == expected
    assert not torch.equal(first, second)
    assert [len(y) for _, y in seen[0]] == [spec.setting.recipe.batch_size] * 10
    trained_on = torch.cat([y for _, y in Batches(dataset.train, dataset, 64).epoch(spec.seed, 0)])
    assert not torch.equal(first, trained_on)


def test_a_criterion_that_learns_sees_corrupted_data_in_the_order_that_they_keep(
    make_spec: MakeSpec, seen: list[list[Batch]]
) -> None:
    dataset = load_dataset("digits")
    ticket_with(dataset, make_spec(method="learns", check="random-labels+half-data"))
    half = Images(dataset.train.pixels[:320], dataset.train.labels[:320])
    expected = CHECKS.get("random-labels").function(half, 10, generator(0, "check", "random-labels")).labels
    assert [torch.cat([y for _, y in epoch]).tolist() for epoch in seen] == [expected.tolist()] * 2
    assert not numpy.array_equal(expected, half.labels)


def test_a_criterion_that_sees_nothing_is_shown_no_image_of_the_data(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[list[Batch]] = []

    def look(model: nn.Module, batches: list[Batch]) -> Scores:
        shown.append([*batches])
        return magnitude(model)

    monkeypatch.setitem(CRITERIA.entries, "blind", Entry("blind", Criterion("blind", look, sees="nothing"), ""))
    dataset = load_dataset("digits")
    spec = make_spec(method="blind", samples_per_class=10_000)
    ticket_with(dataset, spec)
    (((x, y),),) = shown
    assert (x.shape, y.tolist()) == ((1, 1, 8, 8), [0])
    assert not x.any()


def test_scores_are_changed_by_a_check_of_scores(make_spec: MakeSpec) -> None:
    dataset = load_dataset("digits")
    spec = make_spec(method="magnitude-uniform", sparsity=0.6)
    usual = ticket_with(dataset, spec)
    inverted = ticket_with(dataset, replace(spec, check="invert-scores"))
    for layer in ("conv1", "layer1.0.conv1", "layer2.0.conv2"):
        weights = usual.weights[f"{layer}.weight"].abs()
        assert float(weights[usual.masks[layer]].min()) > float(weights[inverted.masks[layer]].max())
    assert all(torch.equal(usual.weights[name], weight) for name, weight in inverted.weights.items())


def test_ratios_only_has_the_counts_and_not_the_mask(make_spec: MakeSpec) -> None:
    dataset, spec = load_dataset("digits"), make_spec()
    usual, ratios = ticket_with(dataset, spec), ticket_with(dataset, replace(spec, check="ratios-only"))
    rearranged = ticket_with(dataset, replace(spec, check="rearrange-mask"))
    for layer, mask in usual.masks.items():
        assert int(ratios.masks[layer].sum()) == int(mask.sum())
        assert bool(mask.all()) or not mask.any() or not torch.equal(ratios.masks[layer], mask), layer
    assert not equal(ratios.masks, rearranged.masks)


def test_a_mask_is_rearranged_the_same_alone_and_with_other_weights(make_spec: MakeSpec) -> None:
    dataset = load_dataset("digits")
    alone, reinitialised, both = (
        ticket_with(dataset, make_spec(check=check)) for check in ("rearrange-mask", "reinit", "rearrange-mask+reinit")
    )
    assert equal(both.masks, alone.masks)
    assert equal(both.weights, reinitialised.weights)
    assert not equal(both.masks, reinitialised.masks)


def test_a_selection_that_leaves_too_few_images_of_a_class_says_so(make_spec: MakeSpec) -> None:
    with pytest.raises(InputError, match="needs 40 of each class"):
        ticket_with(load_dataset("digits"), make_spec(check="part-of-data", samples_per_class=40))
