import math
import re
from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import ALLOCATIONS, keep_ratios, prunable_shapes
from prunecheck.pruning.allocations import Ratios, exact_ratio
from prunecheck.pruning.layers import Shapes

FALLING = ["smart", "smart-linear", "smart-cubic"]
BY_RATIOS = [*FALLING, "uniform"]
RANDOM_GRAPHS = ["er", "erk"]

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


@pytest.mark.parametrize(
    ("allocation", "kept"),
    [
        # 520 for the convolutions; shares 4, 3, 2 weigh 90*4 + 900*3 + 10*2 = 3080: 60.8, 455.8, 3.4.
        ("smart-linear", [60, 455, 3, 30]),
        # Shares 64, 27, 8 weigh 5760 + 24300 + 80 = 30140: 99.4 of 90 (9 too many), 419.2 + 9, 1.4.
        ("smart-cubic", [90, 428, 1, 30]),
        # Shares 2, 6, 12 weigh 180 + 5400 + 120 = 5700: 16.4, 492.6, 10.9 of 10.
        ("smart-ascend", [16, 492, 10, 30]),
    ],
)
def test_the_other_smart_ratios_by_hand(allocation: str, kept: list[int]) -> None:
    assert counts(ALLOCATIONS.get(allocation)(BROKEN_CHAIN, 0.5), BROKEN_CHAIN) == kept


def test_rising_ratios_leave_the_first_layer_of_a_resnet_empty_at_high_sparsity() -> None:
    model = build_model("resnet32", num_classes=10)
    shapes = prunable_shapes(model)
    kept = counts(keep_ratios("smart-ascend", model, 0.98), shapes)
    assert kept[0] == 0 < kept[1]
    assert abs(sum(kept) - 0.02 * sum(map(math.prod, shapes.values()))) <= 2 * len(shapes) + 1
    assert kept[0] < counts(keep_ratios("smart", model, 0.98), shapes)[0]


@pytest.mark.parametrize("sparsity", [0.1, 0.25, 0.3])
def test_rising_ratios_with_no_layer_to_overflow_into_are_refused_with_the_lowest_sparsity(sparsity: float) -> None:
    model = build_model("resnet20", num_classes=10)
    shapes = prunable_shapes(model)
    with pytest.raises(InputError, match=r"the last layers are full before: choose at least (\S+)\.$") as refused:
        keep_ratios("smart-ascend", model, sparsity)
    lowest = float(str(refused.value).split()[-1].rstrip("."))
    assert lowest > sparsity
    kept = counts(keep_ratios("smart-ascend", model, lowest), shapes)
    assert sum(kept) == pytest.approx((1 - lowest) * sum(map(math.prod, shapes.values())), rel=1e-4)
    with pytest.raises(InputError, match="the last layers are full"):
        keep_ratios("smart-ascend", model, lowest - 2e-4)


SMALL: Shapes = {"conv": (4, 2, 3, 3), "fc": (2, 4)}


def test_erdos_renyi_by_hand() -> None:
    # Shares 6/8 and 6/8: 80 weights at 0.5 keep half of each layer.
    assert counts(ALLOCATIONS.get("er")(SMALL, 0.5), SMALL) == [36, 4]


def test_erdos_renyi_kernel_by_hand() -> None:
    # Shares 12/72 and 6/8 weigh 12 + 6 = 18. 9 stay: 9/18 of 12 and of 6.
    ratios = ALLOCATIONS.get("erk")(SMALL, 1 - 9 / 80)
    assert ratios == pytest.approx({"conv": 6 / 72, "fc": 3 / 8})


def test_a_layer_that_erdos_renyi_fills_stays_whole_and_the_rest_is_shared_anew() -> None:
    # 40 stay: 40/18 * 6 = 13.3 of the linear layer's 8, so it stays whole and the convolution keeps 32 of 72.
    assert ALLOCATIONS.get("erk")(SMALL, 0.5) == pytest.approx({"conv": 32 / 72, "fc": 1.0})


LAYER_SHAPES = st.one_of(
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 5), st.integers(1, 5)),
)


@settings(max_examples=150, deadline=None)
@given(
    layers=st.lists(LAYER_SHAPES, min_size=1, max_size=8),
    sparsity=st.floats(0, 1, exclude_max=True),
    allocation=st.sampled_from(RANDOM_GRAPHS),
)
def test_erdos_renyi_meets_every_sparsity_in_proportion_to_its_shares(
    layers: list[tuple[int, ...]], sparsity: float, allocation: str
) -> None:
    shapes = {f"layer{i}": shape for i, shape in enumerate(layers)}
    ratios = ALLOCATIONS.get(allocation)(shapes, sparsity)
    assert list(ratios) == list(shapes)
    assert all(0 <= ratio <= 1 for ratio in ratios.values())
    total = sum(map(math.prod, layers))
    kept = sum(ratio * math.prod(shapes[layer]) for layer, ratio in ratios.items())
    assert kept == pytest.approx((1 - sparsity) * total, rel=1e-9, abs=1e-9)
    width = 2 if allocation == "er" else 4
    shares = {layer: sum(s[:width]) / math.prod(s[:width]) for layer, s in shapes.items()}
    scales = {layer: ratio / shares[layer] for layer, ratio in ratios.items()}
    # Those not full share one scale, and a full one would get no less by it.
    open_scales = [scales[layer] for layer, ratio in ratios.items() if ratio < 1]
    assert all(scale == pytest.approx(max(open_scales), rel=1e-9) for scale in open_scales)
    if open_scales:
        assert all(shares[layer] * max(open_scales) >= 1 - 1e-9 for layer, ratio in ratios.items() if ratio == 1)


@settings(max_examples=150, deadline=None)
@given(
    layers=st.lists(LAYER_SHAPES, min_size=1, max_size=8),
    sparsity=st.floats(0, 1, exclude_max=True),
    allocation=st.sampled_from([*BY_RATIOS, "smart-ascend"]),
)
def test_ratios_of_any_layers_meet_the_sparsity_or_are_refused(
    layers: list[tuple[int, ...]], sparsity: float, allocation: str
) -> None:
    shapes = {f"layer{i}": shape for i, shape in enumerate(layers)}
    try:
        ratios = ALLOCATIONS.get(allocation)(shapes, sparsity)
    except InputError:
        return
    assert all(0 <= ratio <= 1 for ratio in ratios.values())
    total = sum(map(math.prod, layers))
    linear = sum(math.prod(shape) for shape in layers if len(shape) == 2)
    kept = counts(ratios, shapes)
    cut_off = sum(0.3 * math.prod(s) - k for s, k in zip(layers, kept, strict=True) if len(s) == 2)
    assert linear == 0 or cut_off < len(layers)
    assert abs(total * (1 - sparsity) - sum(kept)) <= slack(allocation, shapes, 1 - sparsity)


def test_uniform_keeps_one_ratio_of_every_convolution() -> None:
    # 106 of the 990 weights: 90 * 106 / 990 = 9.6 and 900 * 106 / 990 = 96.4.
    shapes = CHAIN
    assert counts(ALLOCATIONS.get("uniform")(shapes, 0.875), shapes) == [9, 96, 30]


def total_and_linear(shapes: Shapes) -> tuple[int, int]:
    """Return how many weights there are, and how many the linear layers keep."""
    linear = sum(math.prod(shape) for shape in shapes.values() if len(shape) == 2)
    return sum(map(math.prod, shapes.values())), math.floor(0.3 * linear)


SHARES: dict[str, Callable[[int, int], int]] = {
    "smart": lambda position, depth: (depth - position + 1) * (depth - position + 2),
    "smart-linear": lambda position, depth: depth - position + 1,
    "smart-cubic": lambda position, depth: (depth - position + 1) ** 3,
    "smart-ascend": lambda position, depth: position * (position + 1),
}


def slack(allocation: str, shapes: Shapes, density: float) -> float:
    """Return how far the published arithmetic may miss a sparsity, in weights.

    The goal, each layer's count and its surplus are cut off. So is each layer's part of the sum that
    shares are divided by, which weighs the more the smaller that sum.
    """
    layers = len(shapes)
    if allocation not in SHARES:
        return 2 * layers + 1
    parts = [
        math.prod(shape) * SHARES[allocation](position, layers) / position**2
        for position, shape in enumerate(shapes.values(), 1)
        if len(shape) == 4
    ]
    kept = density * sum(map(math.prod, shapes.values()))
    return 2 * layers + 1 + layers * kept / max(1, sum(parts) - layers)


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
    assert abs(total * density - sum(kept)) <= slack(allocation, shapes, density)


@pytest.mark.parametrize("network", NETWORKS)
def test_smart_ratios_fall_with_depth_and_uniform_ones_do_not(network: str) -> None:
    sizes = [math.prod(shape) for shape in prunable_shapes(NETWORKS[network]).values()]
    for falling in FALLING:
        smart = list(keep_ratios(falling, NETWORKS[network], 0.8).values())[:-1]
        # A count is cut off to a whole number of weights, and an overflow fills the layers from the front.
        assert all(later <= earlier + 2 / size for earlier, later, size in zip(smart, smart[1:], sizes, strict=False))
    uniform = list(keep_ratios("uniform", NETWORKS[network], 0.8).values())[:-1]
    spread = zip(uniform, sizes, strict=False)
    assert all(abs(ratio - max(uniform)) <= 1 / size for ratio, size in spread)


def range_in_reach(refusal: InputError) -> tuple[float, float]:
    found = re.search(r"choose one from (\S+) to ([\d.e-]*\d)", str(refusal))
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
        assert abs(total * (1 - end) - kept) <= slack(allocation, shapes, 1 - end)
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
