"""Updates of masks, by hand and by their properties."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunecheck.errors import InputError
from prunecheck.pruning import TopologyUpdates
from prunecheck.pruning.topology import UpdateSchedule, exchange, prune_further, updated_masks
from prunecheck.randomness import generator

RIGL = TopologyUpdates(growth="gradient", interval=10)
SET = TopologyUpdates(growth="random", interval=10)
GMP = TopologyUpdates(is_gradual=True, interval=10, sparsity=0.8)

WEIGHTS = {"fc": torch.tensor([[0.1, -0.9, 0.0, 0.0], [0.4, 0.0, -0.2, 0.0]])}
MASKS = {"fc": torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0]]).bool()}
GRADIENTS = {"fc": torch.tensor([[0.0, 9.0, 0.3, -0.5], [8.0, 0.1, 0.0, 0.2]])}


def drawing(seed: int = 0) -> torch.Generator:
    return generator(seed, "test")


def test_rigl_drops_the_smallest_weights_and_grows_the_steepest() -> None:
    # Four kept, half of them exchanged: |0.1| and |-0.2| go; gradients 0.5 and 0.3 are the largest of what is not kept.
    moved = exchange({"fc": WEIGHTS["fc"].abs()}, {"fc": GRADIENTS["fc"].abs()}, MASKS, 0.5, drawing())
    assert moved["fc"].int().tolist() == [[0, 1, 1, 1], [1, 0, 0, 0]]


def test_what_was_dropped_can_be_grown_again() -> None:
    gradients = {"fc": torch.tensor([[7.0, 0, 0.3, 0.5], [0, 0, 0, 0]])}
    moved = exchange({"fc": WEIGHTS["fc"].abs()}, gradients, MASKS, 0.5, drawing())
    assert moved["fc"].int().tolist() == [[1, 1, 0, 1], [1, 0, 0, 0]]


def test_a_kept_weight_of_0_is_not_taken_for_a_removed_one() -> None:
    weights = {"fc": torch.tensor([0.0, 0.0, 0.0, 5.0])}
    masks = {"fc": torch.tensor([True, False, False, True])}
    moved = exchange(weights, {"fc": torch.zeros(4)}, masks, 0.0, drawing())
    assert torch.equal(moved["fc"], masks["fc"])


def test_the_drop_fraction_falls_along_a_cosine() -> None:
    schedule = UpdateSchedule(RIGL, steps=400)  # which exchanges until step 300
    assert schedule.drop_fraction(0) == pytest.approx(0.3)
    assert schedule.drop_fraction(100) == pytest.approx(0.3 / 2 * 1.5)
    assert schedule.drop_fraction(150) == pytest.approx(0.15)
    assert schedule.drop_fraction(200) == pytest.approx(0.3 / 2 * 0.5)
    assert schedule.drop_fraction(300) == pytest.approx(0)


def test_updates_are_due_at_whole_intervals_until_the_stop() -> None:
    due = [step for step in range(1, 60) if UpdateSchedule(RIGL, steps=60).is_due(step)]
    assert due == [10, 20, 30, 40]  # 75 % are 45 steps
    assert [step for step in range(1, 60) if UpdateSchedule(GMP, steps=60).is_due(step)] == due
    # At the stop a cosine is at 0, so that nothing would be exchanged; a cubic ends there.
    assert not UpdateSchedule(RIGL, steps=80).is_due(60)
    assert UpdateSchedule(GMP, steps=80).is_due(60)


def test_the_published_interval_is_shortened_for_short_trainings() -> None:
    updates = TopologyUpdates(growth="random")
    assert UpdateSchedule(updates, steps=125_000).interval == 100
    assert UpdateSchedule(updates, steps=200).interval == 10
    assert UpdateSchedule(updates, steps=2).interval == 1
    assert UpdateSchedule(TopologyUpdates(growth="gradient"), steps=2).interval == 2  # between which it learns


def test_gradual_pruning_follows_the_cubic_of_zhu_and_gupta() -> None:
    schedule = UpdateSchedule(GMP, steps=80)
    for step, share in ((10, 1 - (5 / 6) ** 3), (30, 7 / 8), (60, 1.0)):
        assert schedule.pruned_share(step) == pytest.approx(share)
    weights = {"a": torch.randn(40, 10, generator=drawing()), "b": torch.randn(100, generator=drawing(1))}
    masks = {layer: torch.ones_like(weight, dtype=torch.bool) for layer, weight in weights.items()}
    for step in (10, 20, 30, 40, 50, 60):
        masks = updated_masks(schedule, step, weights, masks, None, drawing(step))
        sparsity = 0.8 * (1 - (1 - step / 60) ** 3)
        assert sum(int(mask.sum()) for mask in masks.values()) == round(500 * (1 - sparsity))
        smallest = min(float(weights[layer][masks[layer]].abs().min()) for layer in weights)
        assert all((weights[layer][~masks[layer]].abs() <= smallest).all() for layer in weights)


def test_gradual_pruning_goes_to_the_ratios_of_an_allocation() -> None:
    weights = {"a": torch.randn(40, 10, generator=drawing()), "b": torch.randn(10, 10, generator=drawing(1))}
    masks = {layer: torch.ones_like(weight, dtype=torch.bool) for layer, weight in weights.items()}
    halfway = prune_further(weights, masks, 0.8, "er", 0.5, drawing())
    whole = prune_further(weights, halfway, 0.8, "er", 1.0, drawing())
    # ER: ratios in proportion to 50 / 400 and 20 / 100, of 100 weights in all.
    for layer, ratio in (("a", 100 / 70 * 0.125), ("b", 100 / 70 * 0.2)):
        size = weights[layer].numel()
        assert int(whole[layer].sum()) == round(size * ratio)
        assert int(halfway[layer].sum()) == round(size * (1 - 0.5 * (1 - ratio)))
        assert not bool((whole[layer] & ~halfway[layer]).any())


def test_all_is_pruned_in_the_middle_if_at_once() -> None:
    schedule = UpdateSchedule(TopologyUpdates(is_gradual=True, interval=10, at_once=True, sparsity=0.5), steps=80)
    assert [schedule.pruned_share(step) for step in (10, 20, 30, 40, 60)] == [0, 0, 1, 1, 1]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30)), min_size=1, max_size=4),
    st.floats(0, 1),
    st.integers(0, 10_000),
    st.sampled_from(["gradient", "random"]),
    st.sampled_from(["magnitude", "random"]),
)
def test_every_layer_keeps_as_many_weights(
    layers: list[tuple[int, int]], fraction: float, seed: int, growth: str, drop: str
) -> None:
    source = drawing(seed)
    weights, masks, gradients = {}, {}, {}
    for index, (size, kept) in enumerate(layers):
        order = torch.randperm(size, generator=source)
        masks[str(index)] = order < kept
        weights[str(index)] = torch.randint(-2, 3, (size,), generator=source).float() * masks[str(index)]
        gradients[str(index)] = torch.randint(-2, 3, (size,), generator=source).float()
    updates = TopologyUpdates(growth=growth, drop=drop, drop_fraction=fraction, interval=1)
    moved = updated_masks(UpdateSchedule(updates, 100), 1, weights, masks, gradients, drawing(seed))
    for layer, mask in masks.items():
        kept = int(mask.sum())
        assert int(moved[layer].sum()) == kept
        dropped = int(UpdateSchedule(updates, 100).drop_fraction(1) * kept)
        assert int((mask & ~moved[layer]).sum()) <= dropped


@settings(max_examples=30, deadline=None)
@given(st.integers(60, 4000), st.floats(0.05, 0.98), st.integers(0, 1000))
def test_granet_meets_the_cubic_and_still_exchanges(steps: int, sparsity: float, seed: int) -> None:
    updates = TopologyUpdates(growth="gradient", drop_fraction=0.5, is_gradual=True, sparsity=sparsity)
    schedule = UpdateSchedule(updates, steps)
    weights = {"a": torch.randn(300, generator=drawing(seed)), "b": torch.randn(50, generator=drawing(seed + 1))}
    gradients = {layer: torch.randn(weight.shape, generator=drawing(seed + 2)) for layer, weight in weights.items()}
    masks = {layer: torch.ones_like(weight, dtype=torch.bool) for layer, weight in weights.items()}
    due = [step for step in range(1, steps + 1) if schedule.is_due(step)]
    for step in (due[0], due[len(due) // 2], due[-1]):
        masks = updated_masks(schedule, step, weights, masks, gradients, drawing(step))
        share = 1 - (1 - step / due[-1]) ** 3
        assert sum(int(mask.sum()) for mask in masks.values()) == round(350 * (1 - sparsity * share))


def test_the_same_generator_moves_a_mask_in_the_same_way() -> None:
    weights, masks = {"a": torch.randn(200, generator=drawing())}, {"a": torch.arange(200) < 50}
    schedule = UpdateSchedule(SET, 100)
    first, again, other = (updated_masks(schedule, 10, weights, masks, None, drawing(seed))["a"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_training_too_short_to_be_pruned_is_refused() -> None:
    with pytest.raises(InputError, match="choose a shorter interval"):
        UpdateSchedule(TopologyUpdates(is_gradual=True, interval=100), steps=100)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"growth": "gradeint"}, "did you mean gradient"),
        ({"drop": "smallest"}, "drop named"),
        ({"drop_fraction": 1.5}, "drop_fraction takes"),
        ({"stop": 0.0}, "stop takes"),
        ({"interval": 0}, "interval takes"),
    ],
)
def test_what_updates_cannot_be_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        TopologyUpdates(**wrong)  # type: ignore[arg-type]


def test_updates_are_read_as_they_were_written() -> None:
    assert TopologyUpdates.from_json(GMP.to_json()) == GMP
    for wrong in ({"growth": "unknown"}, {"grows": 1}, {"interval": "often"}):
        with pytest.raises(ValueError, match=r"growth|grows|interval"):
            TopologyUpdates.from_json(wrong)
