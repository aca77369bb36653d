"""Masks with patterns: exact counts, N of every M, blocks and channels whole."""

import math
from typing import cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from prunecheck.checks import rearrange_mask
from prunecheck.checks.ticket import ratios_only
from prunecheck.data import ScoringData
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import Ticket, find_method, load_ticket, magnitude, make_ticket, save_ticket, sparsity_of
from prunecheck.pruning.layers import Masks, Scores
from prunecheck.pruning.patterns import PLAIN, find_pattern, split_pattern
from prunecheck.pruning.patterns.n_of_m import NOfM
from prunecheck.pruning.patterns.whole_channels import Channels

IMAGE = (4, 8, 8)
DATA = ScoringData(shape_only=[(torch.zeros(1, *IMAGE), torch.zeros(1, dtype=torch.int64))])
SEEDS = st.integers(0, 2**32)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return build_model("resnet8", num_classes=8, width=8, input_channels=4)


def ticket_of(method: str, network: nn.Module, sparsity: float) -> Ticket:
    return make_ticket(find_method(method), network, DATA, sparsity, seeded(1))


def equal(first: Masks, second: Masks) -> bool:
    return all(torch.equal(first[layer], second[layer]) for layer in first)


def groups_of(mask: Tensor, of: int) -> Tensor:
    """Return, by a loop over outputs and places of the kernel, groups of neighbouring input channels."""
    matrix = mask.flatten(2) if mask.dim() > 2 else mask.unsqueeze(-1)
    return torch.stack([
        matrix[output, start : start + of, place]
        for output in range(matrix.shape[0])
        for place in range(matrix.shape[2])
        for start in range(0, matrix.shape[1], of)
    ])  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(
    outputs=st.integers(1, 5),
    groups=st.integers(1, 3),
    of=st.integers(2, 6),
    kernel=st.integers(1, 3),
    linear=st.booleans(),
    seed=SEEDS,
    data=st.data(),
)
def test_n_of_every_m_are_kept_and_they_are_the_largest(
    outputs: int, groups: int, of: int, kernel: int, linear: bool, seed: int, data: st.DataObject
) -> None:
    kept = data.draw(st.integers(1, of - 1))
    shape = (outputs, groups * of) if linear else (outputs, groups * of, kernel, kernel)
    scores = {"a": torch.randperm(math.prod(shape), generator=seeded(seed)).double().view(shape)}
    found = NOfM(kept, of).choose(scores, 1 - kept / of, "global", seeded(0), "mean")
    assert not found.by_lot["a"].any()
    for mask, score in zip(groups_of(found.masks["a"], of), groups_of(scores["a"], of), strict=True):
        assert int(mask.sum()) == kept
        assert float(score[mask].min()) > float(score[~mask].max())


def test_two_of_four_by_hand() -> None:
    scores = {"a": torch.tensor([[1.0, 4.0, 3.0, 2.0, 8.0, 5.0, 6.0, 7.0]])}
    found = NOfM(2, 4).choose(scores, 0.5, "global", seeded(0), "mean")
    assert found.masks["a"].int().tolist() == [[0, 1, 1, 0, 1, 0, 0, 1]]


def test_ties_in_a_group_are_drawn_and_named() -> None:
    scores = {"a": torch.tensor([[1.0, 1.0, 1.0, 2.0]])}
    kept = set()
    for seed in range(20):
        found = NOfM(2, 4).choose(scores, 0.5, "global", seeded(seed), "mean")
        assert int(found.masks["a"].sum()) == 2
        assert bool(found.masks["a"][0, 3])
        assert int(found.by_lot["a"].sum()) == 1
        assert not found.by_lot["a"][0, 3]
        kept.add(int(found.masks["a"][0, :3].int().argmax()))
    assert kept == {0, 1, 2}


def test_with_ratios_each_layer_has_an_n_of_its_own_and_the_mean_is_not_exceeded(network: nn.Module) -> None:
    masks = ticket_of("magnitude-erk-2:4", network, 0.5).masks
    counts = {layer: [*set(groups_of(mask, 4).sum(1).tolist())] for layer, mask in masks.items()}
    assert all(len(found) == 1 for found in counts.values())
    assert len({found[0] for found in counts.values()}) > 1
    step = max(mask.numel() for mask in masks.values()) / 4 / sum(mask.numel() for mask in masks.values())
    assert 0.5 <= sparsity_of(masks) < 0.5 + step
    assert counts["layer3.0.conv2"][0] < counts["layer1.0.conv1"][0]


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 3), columns=st.integers(2, 4), down=st.integers(1, 4), across=st.integers(1, 4),
    sparsity=st.floats(0, 1, exclude_max=True), seed=SEEDS,
)  # fmt: skip
def test_blocks_are_whole_and_as_many_as_asked_for(
    rows: int, columns: int, down: int, across: int, sparsity: float, seed: int
) -> None:
    shape = (rows * down, columns * across)
    scores: Scores = {layer: torch.rand(shape, generator=seeded(seed + place)) for place, layer in enumerate("ab")}
    structure = find_pattern(f"blocks-{rows}x{columns}").fit(nn.Identity(), ())
    masks = structure.choose(scores, sparsity, "global", seeded(0), "mean").masks
    kept: list[float] = []
    removed: list[float] = []
    for layer, mask in masks.items():
        for top in range(0, shape[0], rows):
            for left in range(0, shape[1], columns):
                tile = mask[top : top + rows, left : left + columns]
                assert tile.all() or not tile.any()
                score = float(scores[layer][top : top + rows, left : left + columns].double().mean())
                (kept if tile.all() else removed).append(score)
    assert len(kept) == round(round(2 * math.prod(shape) * (1 - sparsity)) / (rows * columns))
    assert not kept or not removed or min(kept) >= max(removed)


def removed_channels(masks: Masks, layer: str) -> list[bool]:
    return cast(list[bool], (~masks[layer].flatten(1).any(1)).tolist())


@pytest.mark.parametrize("method", ["random-channels", "random-smart-channels"])
def test_channels_leave_with_their_batch_norm_the_next_inputs_and_the_residual_sum(
    method: str, network: nn.Module
) -> None:
    masks = ticket_of(method, network, 0.6).masks
    stem = removed_channels(masks, "conv1")
    assert 0 < sum(stem) < 8
    assert removed_channels(masks, "layer1.0.conv2") == stem
    inside, sum2 = removed_channels(masks, "layer1.0.conv1"), removed_channels(masks, "layer2.0.conv2")
    assert sum2 == removed_channels(masks, "layer2.0.downsample.0")
    for layer, rows, columns in (
        ("conv1", stem, [False] * 4),
        ("layer1.0.conv1", inside, stem),
        ("layer1.0.conv2", stem, inside),
        ("layer2.0.downsample.0", sum2, stem),
        ("fc", [False] * 8, removed_channels(masks, "layer3.0.conv2")),
    ):
        expected = ~torch.tensor(rows)[:, None] & ~torch.tensor(columns)
        for place in masks[layer].flatten(2).unbind(-1) if masks[layer].dim() > 2 else [masks[layer]]:
            assert torch.equal(place, expected)


def test_the_channels_of_the_largest_mean_are_kept_and_the_sparsity_is_as_near_as_one_channel_allows(
    network: nn.Module,
) -> None:
    ticket = ticket_of("magnitude-channels", network, 0.5)
    structure = cast(Channels, ticket.structure)
    scores, kept = structure.unit_scores(magnitude(network), "mean"), structure.kept_units(ticket.masks)
    chosen = torch.cat([scores[pool][kept[pool]] for pool in kept])
    others = torch.cat([scores[pool][~kept[pool]] for pool in kept])
    assert float(chosen.min()) > float(others.max())
    total = sum(mask.numel() for mask in ticket.masks.values())
    assert abs(structure.kept_weights(kept) - total / 2) <= total / 2 * 0.02
    assert structure.kept_weights(kept) == sum(int(mask.sum()) for mask in ticket.masks.values())
    # By hand: the score of the first sum is the mean over its rows in both layers.
    weights = magnitude(network)
    rows = [weights[layer][3].flatten() for layer in ("conv1", "layer1.0.conv2")]
    assert float(scores["conv1+layer1.0.conv2"][0, 3]) == pytest.approx(float(torch.cat(rows).double().mean()))


def test_random_channels_are_drawn_by_a_single_number_each(network: nn.Module) -> None:
    """A mean of many numbers would keep the channels of small layers, whose means lie farther from 0.5."""
    structure = ticket_of("random-channels", network, 0.5).structure
    scores = {layer: torch.rand(mask.shape, generator=seeded(3)) for layer, mask in magnitude(network).items()}
    found = structure.unit_scores(scores, "first")
    joined = torch.cat([score.flatten() for score in found.values()])
    assert float(joined.min()) < 0.1
    assert float(joined.max()) > 0.9
    assert float(found["conv1+layer1.0.conv2"][0, 2]) == pytest.approx(float(scores["conv1"][2].flatten()[0]))


STRUCTURED = {
    "magnitude-2:4": 0.5,
    "magnitude-erk-2:4": 0.5,
    "magnitude-blocks-2x4": 0.8,
    "magnitude-channels": 0.6,
    "magnitude-erk-channels": 0.8,
}


@pytest.mark.parametrize("change", [rearrange_mask, ratios_only])
@pytest.mark.parametrize("method", STRUCTURED)
def test_checks_of_the_mask_keep_the_pattern_and_the_counts_and_move_it(
    method: str, change: object, network: nn.Module
) -> None:
    ticket = ticket_of(method, network, STRUCTURED[method])
    after = change(ticket, seeded(2))  # type: ignore[operator]
    before_units, units = (ticket.structure.kept_units(masks) for masks in (ticket.masks, after.masks))
    moved = 0
    for pool, kept in before_units.items():
        assert torch.equal(kept.sum(1), units[pool].sum(1))
        is_partial = bool(kept.any()) and not bool(kept.all())
        moved += is_partial and not torch.equal(kept, units[pool])
    assert moved >= sum(bool(kept.any()) and not bool(kept.all()) for kept in before_units.values()) - 1 > 0
    for layer, mask in ticket.masks.items():
        assert int(after.masks[layer].sum()) == int(mask.sum())
    assert equal(ticket.structure.with_units(after.masks, units), after.masks)
    assert not equal(after.masks, ticket.masks)
    if "2:4" in method:
        assert all(
            torch.equal(groups_of(after.masks[layer], 4).sum(1), groups_of(mask, 4).sum(1))
            for layer, mask in ticket.masks.items()
        )


@pytest.mark.parametrize("change", [rearrange_mask, ratios_only])
def test_positions_within_groups_are_equally_likely(change: object) -> None:
    masks = {"a": torch.tensor([[True, True, False, False]]).repeat(600, 2)}
    after = change(Ticket({}, masks, structure=NOfM(2, 4)), seeded(4)).masks["a"]  # type: ignore[operator]
    shares = after.view(-1, 4).double().mean(0)
    assert shares.tolist() == pytest.approx([0.5] * 4, abs=0.06)  # 4 standard deviations


def test_ratios_of_another_method_are_its_channels(network: nn.Module) -> None:
    own = ticket_of("magnitude-channels", network, 0.6)
    other = ticket_of("random-ratios-of:magnitude-channels", network, 0.6)
    counts = [
        {pool: int(kept.sum()) for pool, kept in ticket.structure.kept_units(ticket.masks).items()}
        for ticket in (own, other)
    ]
    assert counts[0] == counts[1]
    assert not equal(own.masks, other.masks)


@pytest.mark.parametrize(
    ("method", "sparsity", "message"),
    [
        ("magnitude-2:4", 0.9, "2:4 keeps 2 of every 4 weights, a sparsity of 0.5, and not 0.9"),
        ("magnitude-2:3", 1 / 3, "the 4 input channels of layer conv1 cannot be divided into groups of 3"),
        ("magnitude-4:4", 0.5, "the pattern 4:4 keeps 4 of 4, which removes nothing"),
        ("magnitude-blocks-3x1", 0.5, "the weights of layer conv1, 8 outputs by 36 inputs, cannot be divided"),
        ("magnitude-blocks-1x1", 0.5, "blocks of 1x1 are single weights"),
        ("magnitude-channels", 0.9999, "sparsity 0.9999 cannot be reached by removing channels"),
        ("lt-2:4", 0.5, "the linear layers are kept whole"),
        ("imp@3-channels", 0.5, "imp@3 prunes in rounds"),
        ("magnitude-chanels", 0.5, "did you mean channels"),
    ],
)
def test_what_a_pattern_cannot_be_is_said(method: str, sparsity: float, message: str, network: nn.Module) -> None:
    with pytest.raises(InputError, match=message):
        found = find_method(method)
        structure = find_pattern(found.pattern).fit(network, IMAGE)
        shapes = {layer: tuple(score.shape) for layer, score in magnitude(network).items()}
        structure.require_reachable(shapes, sparsity, found.allocation)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("magnitude-erk-2:4", ("magnitude-erk", "2:4")),
        ("snip-channels", ("snip", "channels")),
        ("a-blocks-4x1", ("a", "blocks-4x1")),
        ("snip", ("snip", "unstructured")),
        ("a-blocks-0x1", ("a-blocks-0x1", "unstructured")),
    ],
)
def test_names_are_divided_into_method_and_pattern(text: str, parts: tuple[str, str]) -> None:
    assert split_pattern(text) == parts


def test_one_method_has_one_name() -> None:
    assert find_method("magnitude-unstructured").name == "magnitude"
    assert find_method("magnitude-global-2:4").name == find_method("magnitude-2:4").name == "magnitude-2:4"
    assert find_method("snip-erk-channels").argument == "snip-erk-channels"


@pytest.mark.parametrize("method", [*STRUCTURED, "magnitude"])
def test_a_ticket_in_a_file_keeps_its_pattern(method: str, network: nn.Module, tmp_path: object) -> None:
    ticket = ticket_of(method, network, STRUCTURED.get(method, 0.5))
    file = tmp_path / "ticket.safetensors"  # type: ignore[operator]
    save_ticket(ticket, file, {"method": method})
    again, description = load_ticket(file)
    assert description["method"] == method
    assert (again.structure == PLAIN) is (method == "magnitude")
    assert equal(rearrange_mask(again, seeded(5)).masks, rearrange_mask(ticket, seeded(5)).masks)
