import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from prunecheck.errors import InputError
from prunecheck.pruning import allocate, sparsity_of
from prunecheck.pruning.layers import Masks, Scores
from prunecheck.pruning.masks import drawn_by_lot

SHAPES = st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=4), min_size=1, max_size=4)
SPARSITIES = st.floats(0, 1, exclude_max=True)
SEEDS = st.integers(0, 2**32)


def distinct_scores(shapes: list[list[int]], seed: int) -> Scores:
    generator = torch.Generator().manual_seed(seed)
    sizes = [math.prod(shape) for shape in shapes]
    parts = torch.split(torch.randperm(sum(sizes), generator=generator).double(), sizes)
    return {f"layer{i}": part.view(shape) for i, (part, shape) in enumerate(zip(parts, shapes, strict=True))}


def tied_scores(shapes: list[list[int]], seed: int) -> Scores:
    generator = torch.Generator().manual_seed(seed)
    return {f"layer{i}": torch.randint(-1, 2, shape, generator=generator) for i, shape in enumerate(shapes)}


def joined(tensors: Scores | Masks) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors.values()])


def holds_the_largest(values: list[float], kept: list[bool], count: int) -> bool:
    """Say whether so many are kept, and none of them is less than one that is not."""
    chosen = [value for value, is_kept in zip(values, kept, strict=True) if is_kept]
    others = [value for value, is_kept in zip(values, kept, strict=True) if not is_kept]
    return len(chosen) == count and (not chosen or not others or min(chosen) >= max(others))


@settings(max_examples=60, deadline=None)
@given(shapes=SHAPES, sparsity=SPARSITIES, seed=SEEDS, ties=st.booleans())
def test_global_keeps_the_largest_of_all(shapes: list[list[int]], sparsity: float, seed: int, ties: bool) -> None:
    scores = (tied_scores if ties else distinct_scores)(shapes, seed)
    masks = allocate(scores, sparsity, "global")
    assert [(layer, mask.shape, mask.dtype) for layer, mask in masks.items()] == [
        (layer, score.shape, torch.bool) for layer, score in scores.items()
    ]
    values = joined(scores).tolist()
    assert holds_the_largest(values, joined(masks).tolist(), round(len(values) * (1 - sparsity)))
    assert sparsity_of(masks) == pytest.approx(1 - round(len(values) * (1 - sparsity)) / len(values))


@settings(max_examples=60, deadline=None)
@given(shapes=SHAPES, ratio=st.floats(0, 1), seed=SEEDS, ties=st.booleans())
def test_ratios_keep_the_largest_of_each_layer(shapes: list[list[int]], ratio: float, seed: int, ties: bool) -> None:
    scores = (tied_scores if ties else distinct_scores)(shapes, seed)
    ratios = {layer: ratio ** (1 + i) for i, layer in enumerate(scores)}
    masks = allocate(scores, 0.5, dict(reversed(ratios.items())))
    assert list(masks) == list(scores)
    for layer, score in scores.items():
        count = round(score.numel() * ratios[layer])
        assert holds_the_largest(score.flatten().tolist(), masks[layer].flatten().tolist(), count)


@settings(max_examples=30, deadline=None)
@given(shapes=SHAPES, sparsity=SPARSITIES, seed=SEEDS)
def test_permuting_the_scores_of_a_layer_permutes_its_mask_and_no_other(
    shapes: list[list[int]], sparsity: float, seed: int
) -> None:
    scores = distinct_scores(shapes, seed)
    masks = allocate(scores, sparsity)
    score, mask = scores["layer0"], masks["layer0"]
    order = torch.randperm(score.numel(), generator=torch.Generator().manual_seed(seed + 1))
    moved = allocate({**scores, "layer0": score.flatten()[order].view(score.shape)}, sparsity)
    assert torch.equal(moved["layer0"], mask.flatten()[order].view(mask.shape))
    assert all(torch.equal(moved[layer], masks[layer]) for layer in list(masks)[1:])


def test_a_layer_can_lose_everything_under_one_threshold() -> None:
    scores = {"weak": torch.tensor([1.0, 2.0]), "strong": torch.tensor([[3.0, 5.0], [4.0, 6.0]])}
    masks = allocate(scores, 0.5, "global")
    assert masks["weak"].tolist() == [False, False]
    assert masks["strong"].tolist() == [[False, True], [True, True]]


@pytest.mark.parametrize(
    "dtype",
    [
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64),
    ],
)
def test_scores_of_every_kind_of_number_can_choose(dtype: torch.dtype) -> None:
    scores = {"layer": torch.tensor([3, 1, 4, 1, 5, 9, 2, 6], dtype=dtype)}
    assert allocate(scores, 0.5)["layer"].nonzero().flatten().tolist() == [2, 4, 5, 7]


def test_infinite_scores_have_their_place_in_the_order() -> None:
    scores = {"layer": torch.tensor([-math.inf, 0.0, math.inf, -1.0])}
    assert allocate(scores, 0.5)["layer"].tolist() == [False, True, True, False]


@pytest.mark.parametrize("count", range(1, 8))
def test_scores_that_are_no_numbers_come_last_and_the_count_stays_exact(count: int) -> None:
    scores = {"a": torch.tensor([math.nan, 2.0, math.nan]), "b": torch.tensor([math.inf, math.nan, 1.0, 3.0])}
    masks = allocate(scores, 1 - count / 7)
    kept = torch.cat([score[masks[layer]] for layer, score in scores.items()])
    assert len(kept) == count
    assert int(kept.isnan().sum()) == max(0, count - 4)


def test_complex_scores_have_no_order() -> None:
    with pytest.raises(InputError, match="scores of layer a have no order"):
        allocate({"a": torch.zeros(3, dtype=torch.complex64)}, 0.5)


def test_equal_scores_are_drawn_wherever_they_stand() -> None:
    mask = torch.zeros(1000, dtype=torch.bool)
    mask[torch.arange(0, 1000, 20)] = True
    found = allocate({"a": mask}, 0.9, generator=torch.Generator().manual_seed(0))["a"]
    assert int(found.sum()) == 100
    assert bool(found[mask].all())
    drawn = found & ~mask
    assert 10 <= int(drawn[:500].sum()) <= 40  # 25 +- 3.5 by chance; by position all 50
    other = allocate({"a": mask}, 0.9, generator=torch.Generator().manual_seed(1))["a"]
    assert not torch.equal(other, found)
    assert torch.equal(allocate({"a": mask}, 0.9)["a"], allocate({"a": mask}, 0.9)["a"])
    by_lot = drawn_by_lot({"a": mask}, {"a": found})["a"]
    assert torch.equal(by_lot, drawn)


def test_nothing_is_drawn_by_lot_where_the_threshold_parts_the_scores() -> None:
    scores = {"a": torch.tensor([0.0, 0.0, 1.0, 1.0]), "b": torch.tensor([2.0, 2.0])}
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    masks = allocate(scores, 1 / 3, generator=generator)
    assert not any(part.any() for part in drawn_by_lot(scores, masks).values())
    assert torch.equal(generator.get_state(), state)
    in_layers = allocate(scores, 0.5, {"a": 0.25, "b": 1.0})
    assert [int(part.sum()) for part in drawn_by_lot(scores, in_layers, {"a": 0.25, "b": 1.0}).values()] == [1, 0]


CONVOLUTIONS_AND_LINEAR = st.lists(
    st.one_of(
        st.lists(st.integers(1, 5), min_size=2, max_size=2),
        st.lists(st.integers(1, 5), min_size=4, max_size=4),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=100, deadline=None)
@given(shapes=CONVOLUTIONS_AND_LINEAR, sparsity=SPARSITIES, seed=SEEDS)
def test_global_convolutions_prunes_those_alone_and_meets_the_sparsity_of_the_whole(
    shapes: list[list[int]], sparsity: float, seed: int
) -> None:
    scores = distinct_scores(shapes, seed)
    total = sum(map(math.prod, shapes))
    linear = sum(math.prod(shape) for shape in shapes if len(shape) == 2)
    asked = round(total * (1 - sparsity))
    if asked <= linear:
        with pytest.raises(InputError, match=r"no convolution|linear layers stay whole"):
            allocate(scores, sparsity, "global-convolutions")
        return
    masks = allocate(scores, sparsity, "global-convolutions")
    assert list(masks) == list(scores)
    assert all(mask.dtype == torch.bool and mask.shape == scores[layer].shape for layer, mask in masks.items())
    assert all(bool(mask.all()) for mask in masks.values() if mask.dim() == 2)
    convolutions = {layer: score for layer, score in scores.items() if score.dim() == 4}
    pruned = torch.cat([masks[layer].flatten() for layer in convolutions])
    assert holds_the_largest(joined(convolutions).tolist(), pruned.tolist(), asked - linear)


def test_a_sparsity_that_whole_linear_layers_rule_out_is_answered_with_the_range() -> None:
    scores = distinct_scores([[4, 2, 3, 3], [10, 4]], seed=0)
    # 112 weights, 40 of them linear: 41 at least stay, so at most 71/112 = 0.63392... can go.
    with pytest.raises(InputError, match=r"sparsity 0\.64 cannot be reached .* from 0 to 0\.6339, or the allocation"):
        allocate(scores, 0.64, "global-convolutions")
    assert sum(int(mask.sum()) for mask in allocate(scores, 0.6339, "global-convolutions").values()) == 41


def test_global_convolutions_needs_a_convolution() -> None:
    with pytest.raises(InputError, match="no convolution to prune: choose the allocation global"):
        allocate(distinct_scores([[10, 4]], seed=0), 0.5, "global-convolutions")


def test_sparsity_zero_keeps_everything_and_scores_stay_as_they_were() -> None:
    scores = distinct_scores([[3, 2], [4]], seed=1)
    before = {layer: score.clone() for layer, score in scores.items()}
    assert bool(joined(allocate(scores, 0)).all())
    allocate(scores, 0.5)
    assert all(torch.equal(scores[layer], before[layer]) for layer in scores)


def test_an_allocation_is_found_by_its_name() -> None:
    scores = distinct_scores([[4, 2, 3, 3], [10, 4]], seed=0)
    masks = allocate(scores, 0.5, "uniform")
    # 112 weights: 56 stay, 12 of them (0.3 of 40) in the linear layer.
    assert [int(mask.sum()) for mask in masks.values()] == [44, 12]


@pytest.mark.parametrize("sparsity", [1.0, 1.5, -0.1, math.nan, math.inf])
@pytest.mark.parametrize("allocation", ["global", "uniform"])
def test_a_sparsity_that_is_none_is_refused(sparsity: float, allocation: str) -> None:
    with pytest.raises(InputError, match=f"less than 1, not {sparsity:g}"):
        allocate(distinct_scores([[4, 2, 3, 3], [10, 4]], seed=0), sparsity, allocation)


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [("smrt", "smart"), ("unifrom", "uniform"), ("globl", "global"), ("global-conv", "global-convolutions")],
)
def test_an_unknown_allocation_is_answered_with_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(InputError, match=rf"no allocation named '{wrong}': did you mean {nearest}\b"):
        allocate(distinct_scores([[3]], seed=0), 0.5, wrong)


@pytest.mark.parametrize("ratio", [-0.01, 1.01, math.nan])
def test_a_ratio_outside_0_to_1_is_refused_with_its_layer(ratio: float) -> None:
    with pytest.raises(InputError, match=f"layer layer1 is {ratio:g}"):
        allocate(distinct_scores([[3], [3]], seed=0), 0.5, {"layer0": 1, "layer1": ratio})


@pytest.mark.parametrize("ratios", [{"layer0": 0.5}, {"layer0": 0.5, "layer1": 0.5, "layer2": 0.5}, {}])
def test_ratios_of_other_layers_than_the_scores_are_refused(ratios: dict[str, float]) -> None:
    with pytest.raises(InputError, match="one ratio for each scored layer"):
        allocate(distinct_scores([[3], [3]], seed=0), 0.5, ratios)
