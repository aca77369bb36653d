import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from prunecheck.audits.agreement import Agreement, LayerOverlap, agreement, overlaps
from prunecheck.pruning.layers import Masks
from prunecheck.pruning.patterns.blocks import Blocks
from prunecheck.pruning.patterns.n_of_m import NOfM

LAYERS = {"wide": (3, 4), "narrow": (5,)}


def mask(shape: tuple[int, ...], kept: int, generator: torch.Generator) -> torch.Tensor:
    order = torch.randperm(math.prod(shape), generator=generator)
    return (order < kept).view(shape)


def masks(counts: dict[str, int], generator: torch.Generator) -> Masks:
    return {layer: mask(LAYERS[layer], counts[layer], generator) for layer in LAYERS}


def test_what_both_keep_is_counted_layer_by_layer() -> None:
    first = {"a": torch.tensor([[True, True], [False, False]]), "b": torch.tensor([True, False, True])}
    second = {"a": torch.tensor([[False, True], [True, False]]), "b": torch.tensor([True, False, False])}
    assert overlaps(first, second) == {"a": LayerOverlap(4, 2, 2, 1), "b": LayerOverlap(3, 2, 1, 1)}


def test_agreement_by_hand() -> None:
    # Of 2 x 2 of 4 weights 1 is expected in common, of 2 and 1 of 3 it is 2/3; 7 weights are kept in both masks.
    found = agreement([{"a": LayerOverlap(4, 2, 2, 1), "b": LayerOverlap(3, 2, 1, 0)}])
    assert found is not None
    assert found.observed == pytest.approx(2 * 1 / 7)
    assert found.chance == pytest.approx(2 * (1 + 2 / 3) / 7)
    # Hypergeometric: 2 * (2/4) (2/4) (2/3) = 1/3, and one draw of three of which two count: 2/9.
    assert found.std == pytest.approx(2 * math.sqrt(1 / 3 + 2 / 9) / 7)
    assert found.most == pytest.approx(2 * (2 + 1) / 7)


def test_equal_masks_agree_and_disjoint_ones_do_not() -> None:
    generator = torch.Generator().manual_seed(0)
    first = masks({"wide": 5, "narrow": 2}, generator)
    same = agreement([overlaps(first, first)])
    assert same is not None
    assert (same.observed, same.most) == (1, 1)
    other = agreement([overlaps(first, {layer: ~kept for layer, kept in first.items()})])
    assert other is not None
    assert other.observed == 0


@pytest.mark.parametrize("kept", [0, 12])
def test_a_layer_that_is_whole_or_empty_leaves_nothing_to_chance(kept: int) -> None:
    layer = LayerOverlap(12, kept, 5, min(kept, 5))
    assert layer.variance == 0
    assert layer.expected == layer.common


def test_a_layer_of_one_weight_has_no_deviation() -> None:
    assert LayerOverlap(1, 1, 1, 1).variance == 0


def test_nothing_kept_is_no_agreement() -> None:
    assert agreement([]) is None
    assert agreement([{"a": LayerOverlap(4, 0, 0, 0)}]) is None


def test_pairs_in_which_nothing_is_kept_do_not_count() -> None:
    full, empty = {"a": LayerOverlap(4, 2, 2, 1)}, {"a": LayerOverlap(4, 0, 0, 0)}
    assert agreement([full, empty]) == agreement([full])


def test_the_mean_over_pairs_is_the_mean_and_its_deviation_falls() -> None:
    one = {"a": LayerOverlap(10, 4, 5, 3)}
    other = {"a": LayerOverlap(10, 4, 5, 1)}
    single, both = agreement([one]), agreement([one, other])
    assert single is not None
    assert both is not None
    assert both.observed == pytest.approx(2 * 2 / 9)
    assert (both.chance, both.most) == (single.chance, single.most)
    assert both.std == pytest.approx(single.std / math.sqrt(2))


@given(st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), *[st.integers(0, n)] * 2)), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_shares_are_within_their_bounds(sizes: tuple[int, int, int], seed: int) -> None:
    total, first, second = sizes
    generator = torch.Generator().manual_seed(seed)
    pair = overlaps({"a": mask((total,), first, generator)}, {"a": mask((total,), second, generator)})
    found = agreement([pair])
    if first + second == 0:
        assert found is None
        return
    assert found is not None
    assert 0 <= found.observed <= found.most <= 1
    assert 0 <= found.chance <= found.most + 1e-12


def test_chance_is_what_random_masks_have_in_common_on_average() -> None:
    """Mean and deviation of a simulation, for three masks compared in pairs, as those of three seeds are."""
    generator = torch.Generator().manual_seed(7)
    counts = [{"wide": 5, "narrow": 3}, {"wide": 7, "narrow": 2}, {"wide": 4, "narrow": 4}]
    draws = 1000
    observed = []
    expected: Agreement | None = None
    for _ in range(draws):
        a, b, c = (masks(count, generator) for count in counts)
        found = agreement([overlaps(a, b), overlaps(a, c), overlaps(b, c)])
        assert found is not None
        expected = expected or found
        assert (found.chance, found.std) == (expected.chance, expected.std)
        observed.append(found.observed)
    assert expected is not None
    values = torch.tensor(observed, dtype=torch.float64)
    standard_error = expected.std / math.sqrt(draws)
    assert abs(float(values.mean()) - expected.chance) < 4 * standard_error
    # The deviation of a deviation is about 1 / sqrt(2 n) of it.
    assert abs(float(values.std()) / expected.std - 1) < 4 / math.sqrt(2 * draws)


def test_groups_of_a_pattern_are_each_as_likely_as_their_counts_allow() -> None:
    layer = LayerOverlap(12, 6, 6, 4, groups=3)
    group = hypergeom(4, 2, 2)
    assert layer.expected == pytest.approx(3 * group.mean())
    assert layer.variance == pytest.approx(3 * group.var())


def test_of_a_pattern_units_are_compared() -> None:
    first = {"a": torch.tensor([[True, True, False, False], [False, False, True, True]])}
    second = {"a": torch.tensor([[True, False, True, False], [False, False, True, True]])}
    assert overlaps(first, second, NOfM(2, 4)) == {"a": LayerOverlap(8, 4, 4, 3, groups=2)}
    assert overlaps(first, {"a": ~first["a"]}, Blocks(1, 2)) == {"a": LayerOverlap(4, 2, 2, 0)}
