from collections.abc import Callable

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chisquare

from prunecheck.data import Images
from prunecheck.data.corruptions import half_data, part_of_data, single_class
from prunecheck.errors import InputError


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(labels: list[int]) -> Images:
    """Return images that carry their number in two pixels."""
    number = numpy.arange(len(labels))
    pixels = numpy.stack([number // 256, number % 256], axis=1).astype(numpy.uint8)
    return Images(pixels.reshape(-1, 1, 1, 2), numpy.array(labels, dtype=numpy.int64))


def numbers(images: Images) -> NDArray[numpy.int64]:
    pixels = images.pixels.reshape(-1, 2).astype(numpy.int64)
    return pixels[:, 0] * 256 + pixels[:, 1]


Labels = st.lists(st.integers(0, 4), min_size=2, max_size=60)


@settings(max_examples=30, deadline=None)
@given(labels=Labels, share=st.floats(0.3, 1), seed=st.integers(0, 2**62))
def test_selections_keep_images_with_their_labels_in_file_order(labels: list[int], share: float, seed: int) -> None:
    images = numbered(labels)
    selections: list[Callable[[], Images]] = [
        lambda: half_data(images, 5, draws(seed)),
        lambda: part_of_data(images, 5, draws(seed), share=share),
        lambda: single_class(images, 5, draws(seed)),
    ]
    for selection in selections:
        selected = selection()
        chosen = numbers(selected)
        assert (numpy.diff(chosen) > 0).all()
        assert selected.labels.tolist() == [labels[number] for number in chosen]


@pytest.mark.parametrize(("count", "half"), [(2, 1), (7, 3), (10, 5)])
def test_half_data_is_the_first_half_gone_through_in_file_order(count: int, half: int) -> None:
    selected = half_data(numbered([0] * count), 1, draws())
    assert numbers(selected).tolist() == list(range(half))
    assert selected.in_file_order


def test_other_selections_are_shuffled_unless_they_are_of_what_is_not() -> None:
    images = numbered([0, 1] * 10)
    half = half_data(images, 2, draws())
    for selection in (part_of_data, single_class):
        assert not selection(images, 2, draws()).in_file_order
        assert selection(half, 2, draws()).in_file_order


@settings(max_examples=60, deadline=None)
@given(labels=Labels, share=st.floats(0, 1), seed=st.integers(0, 2**62))
def test_part_of_data_has_the_share_of_all_and_nearly_that_of_each_class(
    labels: list[int], share: float, seed: int
) -> None:
    count = round(share * len(labels))
    if count == 0:
        with pytest.raises(InputError, match="has no images"):
            part_of_data(numbered(labels), 5, draws(seed), share=share)
        return
    selected = part_of_data(numbered(labels), 5, draws(seed), share=share)
    assert len(selected) == count
    classes = set(labels)
    for label in classes:
        of_class = labels.count(label)
        # To choose in steps of 1 / of_class leaves half an image open, and how many are chosen of all the rest.
        allowed = 0.5 + (len(classes) + 1) / 2 * of_class / len(labels)
        assert abs((selected.labels == label).sum() - share * of_class) <= allowed + 1e-9


def test_part_of_balanced_data_is_balanced() -> None:
    images = numbered([number % 10 for number in range(500)])
    for share, each in ((0.1, 5), (0.5, 25), (0.9, 45), (1.0, 50)):
        selected = part_of_data(images, 10, draws(), share=share)
        assert numpy.bincount(selected.labels, minlength=10).tolist() == [each] * 10


@settings(max_examples=30, deadline=None)
@given(labels=Labels, shares=st.tuples(st.floats(0.3, 1), st.floats(0.3, 1)), seed=st.integers(0, 2**62))
def test_a_smaller_part_is_contained_in_a_larger_one(labels: list[int], shares: tuple[float, float], seed: int) -> None:
    small, large = (part_of_data(numbered(labels), 5, draws(seed), share=share) for share in sorted(shares))
    assert set(numbers(small)) <= set(numbers(large))


def test_every_image_is_equally_likely_to_be_part() -> None:
    images = numbered([number % 2 for number in range(20)])
    generator = draws()
    counts = numpy.zeros(20)
    for _ in range(1000):
        counts[numbers(part_of_data(images, 2, generator, share=0.3))] += 1
    # Three of every ten are chosen without replacement, which makes counts vary less by a factor of 1 - 0.3.
    statistic = ((counts - 300) ** 2 / 300).sum() / 0.7
    assert 3 < statistic < 50  # chi-square with 18 degrees of freedom: 18 on average, outside once in 10,000


def test_single_class_has_all_images_of_a_class_that_is_present() -> None:
    labels = [7, 2, 2, 5, 7, 2, 5, 7, 7]
    generator = draws()
    seen = []
    for _ in range(600):
        selected = single_class(numbered(labels), 10, generator)
        (label,) = set(selected.labels.tolist())
        assert numbers(selected).tolist() == [number for number, one in enumerate(labels) if one == label]
        seen.append(label)
    counts = [seen.count(label) for label in (2, 5, 7)]
    assert sum(counts) == 600
    assert chisquare(counts).pvalue > 1e-3


def test_too_few_images_to_select_from_are_refused() -> None:
    with pytest.raises(InputError, match="half of the data has no images"):
        half_data(numbered([0]), 1, draws())
    with pytest.raises(InputError, match="a single class has no images"):
        single_class(numbered([]), 1, draws())
