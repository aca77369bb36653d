"""Tickets out of trained weights: what they are made of, recomputed by hand from the runs that they need."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy
import pytest
import torch
from torch import Tensor

from prunecheck.checks import find_check
from prunecheck.data import Batches, Dataset, Images, load_dataset
from prunecheck.engine.execution import execute
from prunecheck.engine.job import Job
from prunecheck.engine.tickets import build_network, corrupted
from prunecheck.pruning import DENSE, Ticket, dense_ticket, keep_ratios, load_ticket, prunable_weights
from prunecheck.pruning.layers import Masks, weight_name
from prunecheck.randomness import generator
from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunFolder, RunStore
from prunecheck.training import Checkpoint, train
from tests.runs.dependencies_of import chain_of, needs_of, with_needed

MakeSpec = Callable[..., RunSpec]
MakeJob = Callable[[RunSpec, Path], Job]
Complete = Callable[[RunSpec], RunFolder]

CORRUPTIONS = ["random-labels", "half-data", "single-class+random-pixels"]


def unheard(epoch: int, accuracy: float | None) -> None:
    """Take what is told of an epoch."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all runs of this module lie, so that what they share is done once."""
    return tmp_path_factory.mktemp("runs")


def complete_in(root: Path, spec: RunSpec, make_job: MakeJob) -> RunResult:
    """Do a run after those that it needs."""
    runs = with_needed(spec)
    assert runs[-1] == spec
    return [execute(make_job(run, root), unheard) for run in runs][-1]


@pytest.fixture(scope="module")
def complete(root: Path, make_job: MakeJob) -> Complete:
    """Return a function that does a run and those that it needs, and returns its folder."""

    def do(spec: RunSpec) -> RunFolder:
        assert complete_in(root, spec, make_job).status == "trained"
        return RunStore(root).folder(spec)

    return do


def ticket_of(folder: RunFolder) -> Ticket:
    """Return a run's ticket, its layers in the order of the network, as they are drawn for."""
    ticket, _ = load_ticket(folder.path / "ticket.safetensors")
    layers = prunable_weights(build_network(folder.spec, dataset_of(folder.spec)))
    return replace(ticket, masks={layer: ticket.masks[layer] for layer in layers})


def final_weights(folder: RunFolder) -> dict[str, Tensor]:
    return Checkpoint.read(folder.path / "last.safetensors").weights


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def dataset_of(spec: RunSpec) -> Dataset:
    return load_dataset("digits").shortened(spec.setting.train_images, spec.setting.test_images)


def initial_weights(spec: RunSpec, seed: int | None = None) -> dict[str, Tensor]:
    at_seed = spec if seed is None else replace(spec, seed=seed)
    return dict(build_network(at_seed, dataset_of(spec)).state_dict())


def largest_of_convolutions(weights: dict[str, Tensor], like: Masks, sparsity: float) -> Masks:
    """Return the mask of a lottery ticket by sorting: linear layers whole, the rest of what stays by one threshold."""
    sizes = {layer: mask.numel() for layer, mask in like.items()}
    convolutions = [layer for layer, mask in like.items() if mask.dim() == 4]
    linear = sum(size for layer, size in sizes.items() if layer not in convolutions)
    count = round(sum(sizes.values()) * (1 - sparsity)) - linear
    magnitudes = torch.cat([weights[weight_name(layer)].abs().flatten() for layer in convolutions])
    kept = torch.zeros(len(magnitudes), dtype=torch.bool)
    kept[magnitudes.argsort(descending=True)[:count]] = True
    parts = dict(zip(convolutions, torch.split(kept, [sizes[layer] for layer in convolutions]), strict=True))
    whole = torch.ones(1, dtype=torch.bool)
    return {layer: parts.get(layer, whole.expand(mask.numel())).view(mask.shape) for layer, mask in like.items()}


def count(masks: Masks) -> int:
    return sum(int(mask.sum()) for mask in masks.values())


def train_on(ticket: Ticket, spec: RunSpec, images: Images) -> list[Checkpoint]:
    """Train a ticket on the given images, and return the checkpoint of every epoch."""
    seen: list[Checkpoint] = []
    dataset = replace(dataset_of(spec), train=images)
    network = build_network(spec, dataset)
    train([ticket], network, dataset, spec.setting.recipe, [spec.seed], on_epoch=lambda _, c: seen.append(c))
    return seen


def corrupt(images: Images, check: str, seed: int) -> Images:
    """Do data checks by their functions alone: selections first."""
    parts = sorted(find_check(check).parts, key=lambda part: part.changes != "selection")
    for part in parts:
        images = part.function(images, 10, generator(seed, "check", part.base))
    return images


def test_a_lottery_ticket_is_the_largest_trained_weights_of_the_convolutions_back_at_initialisation(
    spec: MakeSpec, complete: Complete
) -> None:
    run = spec(method="lt")
    (dense,) = needs_of(run)
    assert dense == spec(method=DENSE, sparsity=0.0)
    ticket = ticket_of(complete(run))
    trained = final_weights(complete(dense))
    assert equal(ticket.masks, largest_of_convolutions(trained, ticket.masks, 0.8))
    assert bool(ticket.masks["fc"].all())
    assert count(ticket.masks) == round(0.2 * sum(mask.numel() for mask in ticket.masks.values()))
    assert equal(ticket.weights, initial_weights(run))
    # The trained weights have another mask than the initial ones: training was looked at.
    assert not equal(ticket.masks, largest_of_convolutions(ticket.weights, ticket.masks, 0.8))


def test_weights_are_rewound_to_those_of_the_whole_training_after_so_many_epochs(
    spec: MakeSpec, complete: Complete
) -> None:
    whole = train_on(dense_ticket(build_network(spec(), dataset_of(spec()))), spec(), dataset_of(spec()).train)
    lottery = ticket_of(complete(spec(method="lt")))
    for epoch in (1, 2, 3):
        run = spec(method=f"weight-rewinding@{epoch}")
        ticket = ticket_of(complete(run))
        assert equal(ticket.weights, whole[epoch - 1].weights)
        assert equal(ticket.masks, lottery.masks)
    # The dense run stopped after two epochs is the whole one, milestones and all.
    two = next(need for need in needs_of(spec(method="weight-rewinding@2")) if need.setting.recipe.epochs == 2)
    assert two.setting.recipe.milestones == spec().setting.recipe.milestones
    assert Checkpoint.read(complete(two).path / "last.safetensors").metrics == whole[1].metrics


def test_rewinding_the_learning_rate_goes_on_from_the_trained_weights_with_the_whole_schedule(
    spec: MakeSpec, complete: Complete
) -> None:
    folder = complete(spec(method="lr-rewinding"))
    ticket, trained = ticket_of(folder), final_weights(complete(spec(method=DENSE, sparsity=0.0)))
    assert equal(ticket.weights, trained)
    assert equal(ticket.masks, ticket_of(complete(spec(method="lt"))).masks)
    rates = [epoch.learning_rate for epoch in Checkpoint.read(folder.path / "last.safetensors").metrics]
    assert rates == [spec().setting.recipe.learning_rate_at(epoch) for epoch in range(3)]


def test_a_hybrid_ticket_is_the_largest_trained_weights_within_smart_ratios_trained_on(
    spec: MakeSpec, complete: Complete
) -> None:
    run = spec(method="hybrid")
    ticket, trained = ticket_of(complete(run)), final_weights(complete(spec(method=DENSE, sparsity=0.0)))
    assert equal(ticket.weights, trained)
    ratios = keep_ratios("smart", build_network(run, dataset_of(run)), 0.8)
    for layer, mask in ticket.masks.items():
        magnitudes = trained[weight_name(layer)].abs().flatten()
        largest = magnitudes.argsort(descending=True)[: round(ratios[layer] * len(magnitudes))]
        assert set(mask.flatten().nonzero().flatten().tolist()) == set(largest.tolist()), layer


def test_the_dense_run_is_shared_by_all_that_is_made_of_it(tmp_path: Path, spec: MakeSpec, make_job: MakeJob) -> None:
    runs = [
        spec(method="lt", sparsity=0.5, epochs=1),
        spec(method="lt", sparsity=0.8, epochs=1),
        spec(method="hybrid", epochs=1),
        spec(method="imp@1", epochs=1),
        spec(method="random-ratios-of:lt", epochs=1),
        spec(method="lt", check="rearrange-mask", epochs=1),
    ]
    states = []
    for run in runs:
        complete_in(tmp_path, run, make_job)
        (dense,) = [folder for folder in tmp_path.iterdir() if "-dense-" in folder.name]
        states.append({file.name: file.stat().st_mtime_ns for file in dense.iterdir()})
    assert states == [states[0]] * len(runs)
    assert len([*tmp_path.iterdir()]) == 1 + len(runs)


@pytest.mark.parametrize("check", CORRUPTIONS)
def test_a_ticket_is_scored_on_what_was_trained_on_corrupted_data_and_trained_on_the_true_data(
    spec: MakeSpec, complete: Complete, check: str
) -> None:
    run = spec(method="lt", check=check)
    (dense,) = needs_of(run)
    assert dense == spec(method=DENSE, sparsity=0.0, trained_on=check)
    folder = complete(run)
    true = dataset_of(run).train
    by_hand = train_on(dense_ticket(build_network(run, dataset_of(run))), run, corrupt(true, check, 0))
    trained = final_weights(complete(dense))
    assert equal(trained, by_hand[-1].weights)
    ticket = ticket_of(folder)
    assert equal(ticket.masks, largest_of_convolutions(trained, ticket.masks, 0.8))
    assert equal(ticket.weights, initial_weights(run))
    assert not equal(ticket.masks, ticket_of(complete(spec(method="lt"))).masks)
    assert equal(final_weights(folder), train_on(ticket, run, true)[-1].weights)


def test_images_in_file_order_stay_in_it_under_a_further_corruption(spec: MakeSpec) -> None:
    dataset = dataset_of(spec())
    both = corrupted(dataset, find_check("half-data+random-labels"), 0)
    assert len(both.train) == 50
    order = [label for _, labels in Batches(both.train, both, 16).epoch(0, 0) for label in labels.tolist()]
    assert order == both.train.labels.tolist()
    assert numpy.array_equal(both.train.pixels, dataset.train.pixels[:50])
    assert both.test is dataset.test


def test_the_weights_that_training_goes_on_from_are_those_of_corrupted_data_too(
    spec: MakeSpec, complete: Complete
) -> None:
    run = spec(method="hybrid", check="random-labels")
    (dense,) = needs_of(run)
    assert equal(ticket_of(complete(run)).weights, final_weights(complete(dense)))


def test_a_check_of_the_ticket_is_done_to_the_trained_ticket_and_trains_nothing_anew(
    spec: MakeSpec, complete: Complete
) -> None:
    unchanged = ticket_of(complete(spec(method="lr-rewinding")))
    for check in ("rearrange-mask", "reinit", "rearrange-mask+reinit"):
        run = spec(method="lr-rewinding", check=check)
        assert needs_of(run) == [spec(method=DENSE, sparsity=0.0)]
        ticket = ticket_of(complete(run))
        expected = find_check("rearrange-mask").change_ticket(unchanged, 0).masks
        assert equal(ticket.masks, expected if "rearrange" in check else unchanged.masks)
        assert equal(ticket.weights, unchanged.weights) is ("reinit" not in check)
    first, second = (
        ticket_of(complete(spec(method="lr-rewinding", check=check))).weights
        for check in ("reinit", "rearrange-mask+reinit")
    )
    assert equal(first, second)
    # Drawn as initial weights are, not shuffled out of trained ones.
    assert torch.equal(first["bn1.running_mean"], initial_weights(spec())["bn1.running_mean"])


def test_data_and_ticket_are_both_changed_by_a_check_that_joins_them(spec: MakeSpec, complete: Complete) -> None:
    of_labels = ticket_of(complete(spec(method="lt", check="random-labels")))
    both = spec(method="lt", check="rearrange-mask+random-labels")
    assert needs_of(both) == [spec(method=DENSE, sparsity=0.0, trained_on="random-labels")]
    expected = find_check("rearrange-mask").change_ticket(of_labels, 0)
    assert equal(ticket_of(complete(both)).masks, expected.masks)


def test_inverted_scores_of_a_lottery_ticket_keep_its_smallest_trained_weights(
    spec: MakeSpec, complete: Complete
) -> None:
    run = spec(method="lt", check="invert-scores", sparsity=0.5)
    masks, trained = ticket_of(complete(run)).masks, final_weights(complete(spec(method=DENSE, sparsity=0.0)))
    convolutions = [layer for layer, mask in masks.items() if mask.dim() == 4]
    kept = torch.cat([trained[weight_name(layer)][masks[layer]].abs() for layer in convolutions])
    lost = torch.cat([trained[weight_name(layer)][~masks[layer]].abs() for layer in convolutions])
    assert float(kept.max()) <= float(lost.min())
    assert bool(masks["fc"].all())


@pytest.mark.parametrize(("method", "rounds"), [("imp@1", 1), ("imp@3", 3), ("imp@0.4", 4)])
def test_every_round_prunes_what_the_round_before_trained_and_goes_back_to_initialisation(
    spec: MakeSpec, complete: Complete, method: str, rounds: int
) -> None:
    runs = chain_of(spec(method=method))
    folders = [complete(run) for run in runs]
    assert len(runs) == 1 + rounds
    tickets = [ticket_of(folder) for folder in folders[1:]]
    for before, ticket, run in zip(folders, tickets, runs[1:], strict=False):
        by_hand = largest_of_convolutions(final_weights(before), ticket.masks, run.sparsity)
        assert equal(ticket.masks, by_hand)
        assert equal(ticket.weights, initial_weights(run))
        assert bool(ticket.masks["fc"].all())
    for earlier, later in pairwise(tickets):
        assert count(later.masks) < count(earlier.masks)
        for layer, mask in later.masks.items():
            assert not bool((mask & ~earlier.masks[layer]).any()), f"a weight of {layer} came back"
    total = sum(mask.numel() for mask in tickets[-1].masks.values())
    kept = [count(ticket.masks) for ticket in tickets]
    shares = [0.2 ** ((number + 1) / rounds) for number in range(rounds)]
    if method == "imp@0.4":
        shares = [0.6, 0.36, 0.216, 0.2]
    assert kept == [round(total * share) for share in shares]


def test_pruning_in_one_round_is_the_lottery_ticket(spec: MakeSpec, complete: Complete) -> None:
    lottery, once, three = (ticket_of(complete(spec(method=method))) for method in ("lt", "imp@1", "imp@3"))
    assert equal(once.masks, lottery.masks)
    assert equal(once.weights, lottery.weights)
    assert count(three.masks) == count(lottery.masks)
    assert not equal(three.masks, lottery.masks)


def test_rounds_under_corrupted_data_are_all_trained_on_it_but_the_last(spec: MakeSpec, complete: Complete) -> None:
    run = spec(method="imp@2", check="random-labels+rearrange-mask")
    dense, first, last = chain_of(run)
    assert dense == spec(method=DENSE, sparsity=0.0, trained_on="random-labels")
    assert first == spec(method="imp@1", sparsity=first.sparsity, check="random-labels", trained_on="random-labels")
    assert last == run
    true = dataset_of(run).train
    wrong = corrupt(true, "random-labels", 0)
    begun = ticket_of(complete(first))
    assert equal(begun.masks, largest_of_convolutions(final_weights(complete(dense)), begun.masks, first.sparsity))
    assert equal(final_weights(complete(first)), train_on(begun, first, wrong)[-1].weights)
    ticket = ticket_of(complete(last))
    by_hand = largest_of_convolutions(final_weights(complete(first)), ticket.masks, 0.8)
    assert equal(ticket.masks, find_check("rearrange-mask").change_ticket(Ticket({}, by_hand), 0).masks)
    assert equal(final_weights(complete(last)), train_on(ticket, last, true)[-1].weights)


@pytest.mark.parametrize("method", ["snip", "lt", "hybrid"])
def test_random_tickets_with_the_ratios_of_another_method_keep_as_many_of_every_layer(
    spec: MakeSpec, complete: Complete, method: str
) -> None:
    seen = {"samples_per_class": 3, "scoring_rounds": 1} if method == "snip" else {}
    other = complete(spec(method=method, **seen))
    random = complete(spec(method=f"random-ratios-of:{method}", **seen))
    result, expected = random.result(), other.result()
    assert result is not None
    assert expected is not None
    assert result.kept == expected.kept
    assert not equal(ticket_of(random).masks, ticket_of(other).masks)
    assert equal(ticket_of(random).weights, initial_weights(spec()))


def test_seeds_have_dense_runs_of_their_own(spec: MakeSpec, complete: Complete) -> None:
    run = spec(method="lt", seed=1)
    assert needs_of(run) == [spec(method=DENSE, sparsity=0.0, seed=1)]
    ticket = ticket_of(complete(run))
    assert equal(ticket.weights, initial_weights(spec(), seed=1))
    assert not equal(ticket.masks, ticket_of(complete(spec(method="lt"))).masks)
