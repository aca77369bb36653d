import math
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import ALLOCATIONS, keep_ratios, prunable_shapes
from prunecheck.pruning.allocations import Ratios, exact_ratio
from prunecheck.pruning.layers import Shapes

BY_RATIOS = ["smart", "uniform"]

CHAIN: Shapes = {"a": (10, 1, 3, 3), "b": (10, 10, 3, 3), "fc": (10, 10)}
BROKEN_CHAIN: Shapes = {"a": (10, 1, 3, 3), "b": (10, 10, 3, 3), "shortcut": (10, 1, 1, 1), "fc": (10, 10)}
NARROW_FIRST: Shapes = {"a": (2, 1, 3, 3), "b": (1, 2, 3, 3), "c": (20, 1, 3, 3), "fc": (2, 20)}

NETWORKS: dict[str, nn.Module] = {
    f"{name}, width {width}": build_model(name, num_classes=10, width=width, input_channels=1)
    for name, width in [
        ("resnet8", 1),
        ("resnet8", 8),
        ("resnet20", 32),
        ("resnet56", 4),
        ("vgg11", 1),
        ("vgg16_bn", 16),
    ]
}


def counts(ratios: Ratios, shapes: Shapes) -> list[int]:
    return [int(ratio * math.prod(shapes[layer])) for layer, ratio in ratios.items()]


def smart_counts(shapes: Shapes, sparsity: float) -> list[int]:
    return counts(ALLOCATIONS.get("smart")(shapes, sparsity), shapes)


def test_smart_is_quadratic_over_squared_depth_in_a_plain_chain() -> None:
    # 1090 weights, int(1090 / 8) - 30 = 106 for the convolutions. Shares 3*4 / 1 = 12 and 2*3 / 4 = 1.5 weigh
    # 90 * 12 + 900 * 1.5 = 2430, so a keeps 90 * 12 * 106 / 2430 = 47.1 and b 900 * 1.5 * 106 / 2430 = 58.9.
    assert smart_counts(CHAIN, 0.875) == [47, 58, 30]


def test_smart_is_quadratic_alone_where_a_shortcut_breaks_the_chain() -> None:
    # 1100 weights, 550 - 30 = 520 for the convolutions. Shares 4*5, 3*4, 2*3 weigh 90*20 + 900*12 + 10*6 = 12660.
    # 1800 * 520 / 12660 = 73.9, 10800 * 520 / 12660 = 443.6, 60 * 520 / 12660 = 2.5.
    assert smart_counts(BROKEN_CHAIN, 0.5) == [73, 443, 2, 30]


def test_what_a_layer_cannot_take_goes_to_the_next() -> None:
    # 545 - 30 = 515: a would keep 90 * 12 * 515 / 2430 = 228.9, which is 138 too many; b has 286.1 and takes them.
    assert smart_counts(CHAIN, 0.5) == [90, 424, 30]


def test_what_the_next_layer_cannot_take_either_goes_on() -> None:
    # 160 - 12 = 148 over 18 * 20 + 18 * 3 + 180 * 2/3 = 534: a would keep 99.8 of its 18 (81 too many), b has
    # 14.97 of 18 and room for 3, c has 33.3 and takes the other 78.
    assert smart_counts(NARROW_FIRST, 0.375) == [18, 18, 111, 12]


def test_uniform_keeps_one_ratio_of_every_convolution() -> None:
    # 106 of the 990 weights: 90 * 106 / 990 = 9.6 and 900 * 106 / 990 = 96.4.
    shapes = CHAIN
    assert counts(ALLOCATIONS.get("uniform")(shapes, 0.875), shapes) == [9, 96, 30]


def total_and_linear(shapes: Shapes) -> tuple[int, int]:
    """Return how many weights there are, and how many the linear layers keep."""
    linear = sum(math.prod(shape) for shape in shapes.values() if len(shape) == 2)
    return sum(map(math.prod, shapes.values())), math.floor(0.3 * linear)


@settings(max_examples=80, deadline=None)
@given(network=st.sampled_from(list(NETWORKS)), density=st.floats(0.01, 0.9), allocation=st.sampled_from(BY_RATIOS))
def test_ratios_meet_the_sparsity_and_keep_three_tenths_of_the_linear_layer(
    network: str, density: float, allocation: str
) -> None:
    shapes = prunable_shapes(NETWORKS[network])
    total, linear = total_and_linear(shapes)
    assume(linear + 1 <= total * density <= total - 0.7 * math.prod(shapes[list(shapes)[-1]]))
    ratios = keep_ratios(allocation, NETWORKS[network], 1 - density)
    assert list(ratios) == list(shapes)
    assert all(0 <= ratio <= 1 for ratio in ratios.values())
    kept = counts(ratios, shapes)
    assert kept[-1] == linear
    # Each layer's count and its surplus are cut off, and the goal is.
    assert abs(total * density - sum(kept)) <= 2 * len(shapes) + 1


@pytest.mark.parametrize("network", NETWORKS)
def test_smart_ratios_fall_with_depth_and_uniform_ones_do_not(network: str) -> None:
    smart = list(keep_ratios("smart", NETWORKS[network], 0.8).values())[:-1]
    sizes = [math.prod(shape) for shape in prunable_shapes(NETWORKS[network]).values()]
    # A count is cut off to a whole number of weights, and an overflow fills the layers from the front.
    assert all(later <= earlier + 2 / size for earlier, later, size in zip(smart, smart[1:], sizes, strict=False))
    uniform = list(keep_ratios("uniform", NETWORKS[network], 0.8).values())[:-1]
    spread = zip(uniform, sizes, strict=False)
    assert all(abs(ratio - max(uniform)) <= 1 / size for ratio, size in spread)


def range_in_reach(refusal: InputError) -> tuple[float, float]:
    found = re.search(r"choose one from (\S+) to (\S+)\.$", str(refusal))
    assert found
    return float(found[1]), float(found[2])


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("allocation", BY_RATIOS)
@pytest.mark.parametrize("sparsity", [0.0, 0.99999])
def test_a_sparsity_out_of_reach_is_answered_with_the_range_that_is_in_reach(
    network: str, allocation: str, sparsity: float
) -> None:
    model = NETWORKS[network]
    with pytest.raises(InputError, match=f"sparsity {sparsity:g} cannot be reached") as refused:
        keep_ratios(allocation, model, sparsity)
    lowest, highest = range_in_reach(refused.value)
    shapes = prunable_shapes(model)
    total, _ = total_and_linear(shapes)
    for end in (lowest, highest):
        kept = sum(counts(keep_ratios(allocation, model, end), shapes))
        assert abs(total * (1 - end) - kept) <= 2 * len(shapes) + 1
    step = 1e-4 + 1 / total
    for beyond in (lowest - step, highest + 2 * step):
        with pytest.raises(InputError, match="cannot be reached"):
            keep_ratios(allocation, model, beyond)


def test_the_range_in_reach_is_so_where_its_ends_are_numbers_of_four_digits() -> None:
    # Of 10000 weights each is one ten-thousandth: the ends are met exactly, but for rounding.
    for inputs in range(1, 200):
        shapes: Shapes = {"convolution": (10_000 - 10 * inputs, 1, 1, 1), "fc": (10, inputs)}
        with pytest.raises(InputError) as refused:
            ALLOCATIONS.get("uniform")(shapes, 0.99999)
        for end in range_in_reach(refused.value):
            assert sum(counts(ALLOCATIONS.get("uniform")(shapes, end), shapes)) > 3 * inputs


@pytest.mark.parametrize("allocation", BY_RATIOS)
def test_a_network_without_convolutions_is_refused(allocation: str) -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(InputError, match="no convolution"):
        keep_ratios(allocation, model, 0.5)


@pytest.mark.parametrize("sparsity", [1.0, -0.1, math.nan])
def test_a_sparsity_that_is_none_is_refused(sparsity: float) -> None:
    with pytest.raises(InputError, match="at least 0 and less than 1"):
        keep_ratios("smart", NETWORKS["resnet8, width 8"], sparsity)


@settings(max_examples=300, deadline=None)
@given(size=st.integers(1, 10**9), share=st.floats(0, 1))
def test_an_exact_ratio_gives_its_count_back_rounded_or_cut_off(size: int, share: float) -> None:
    count = round(share * size)
    ratio = exact_ratio(count, size)
    assert int(ratio * size) == round(ratio * size) == count
    assert 0 <= ratio <= 1


def test_every_ratio_of_a_small_layer_is_exact() -> None:
    pairs = ((count, size) for size in range(1, 300) for count in range(size + 1))
    assert all(int(exact_ratio(count, size) * size) == count for count, size in pairs)


def test_every_allocation_has_a_summary() -> None:
    assert all(entry.summary for entry in ALLOCATIONS)
