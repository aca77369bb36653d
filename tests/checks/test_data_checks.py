from typing import cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from prunecheck.checks import CHECKS, find_check
from prunecheck.data import Images

CLASSES = 4
DATA_CHECKS = [entry.name for entry in CHECKS if entry.item.changes == "data" and entry.item.shows != "tokens"]
SELECTIONS = [entry.name for entry in CHECKS if entry.item.changes == "selection" and entry.item.shows != "tokens"]
DRAWN = [name for name in DATA_CHECKS if name != "blank-data"]
CHANGES_LABELS = {
    "corrupted-data": True,
    "random-labels": True,
    "random-pixels": False,
    "one-permutation": False,
    "blank-data": False,
    "noise-data": False,
}
CHANGES_PIXELS = {
    "corrupted-data": True,
    "random-labels": False,
    "random-pixels": True,
    "one-permutation": True,
    "blank-data": True,
    "noise-data": True,
}
PERMUTES = ["corrupted-data", "random-pixels", "one-permutation"]


@pytest.fixture
def images() -> Images:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (400, 2, 4, 4), dtype=np.uint8)
    return Images(pixels, np.arange(400, dtype=np.int64) % CLASSES)


def corrupt(name: str, images: Images, seed: int = 0) -> Images:
    check = CHECKS.get(name).function
    return cast(Images, check(images, CLASSES, torch.Generator().manual_seed(seed)))


def share_changed(before: NDArray[np.generic], after: NDArray[np.generic]) -> float:
    return float((before != after).mean())


@pytest.mark.parametrize("name", DATA_CHECKS)
def test_every_data_check_changes_something_and_leaves_the_true_data_alone(name: str, images: Images) -> None:
    pixels, labels = images.pixels.copy(), images.labels.copy()
    corrupted = corrupt(name, images)
    assert share_changed(pixels, corrupted.pixels) + share_changed(labels, corrupted.labels) > 0.5
    assert np.array_equal(images.pixels, pixels)
    assert np.array_equal(images.labels, labels)
    assert (corrupted.pixels.shape, corrupted.pixels.dtype) == (pixels.shape, pixels.dtype)
    assert (corrupted.labels.shape, corrupted.labels.dtype) == (labels.shape, labels.dtype)


def test_every_data_check_is_known_to_these_tests() -> None:
    assert set(DATA_CHECKS) == set(CHANGES_LABELS) == set(CHANGES_PIXELS)
    assert set(SELECTIONS) == {"half-data", "part-of-data", "single-class"}


@pytest.mark.parametrize("name", DRAWN)
def test_every_data_check_depends_on_its_generator_alone(name: str, images: Images) -> None:
    first, again, other = (corrupt(name, images, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.labels, again.labels)
    assert not (np.array_equal(first.pixels, other.pixels) and np.array_equal(first.labels, other.labels))


@pytest.mark.parametrize("name", [name for name, changes in CHANGES_LABELS.items() if changes])
def test_labels_are_drawn_anew_whatever_the_true_ones_are(name: str, images: Images) -> None:
    drawn = corrupt(name, images).labels
    table = np.zeros((CLASSES, CLASSES), dtype=int)
    np.add.at(table, (images.labels, drawn), 1)
    # 100 images of each class, of which 25 are expected in each class with a deviation of 4.3.
    assert table.sum() == len(images)
    assert (abs(table - 25) < 5 * 4.4).all()


@pytest.mark.parametrize("name", PERMUTES)
def test_every_image_keeps_its_pixels_and_loses_their_places(name: str, images: Images) -> None:
    before = images.pixels.reshape(len(images), -1)
    after = corrupt(name, images).pixels.reshape(len(images), -1)
    assert np.array_equal(np.sort(before, axis=1), np.sort(after, axis=1))
    assert (before != after).any(axis=1).all()
    # Of 32 pixels one stays in its place on average.
    assert share_changed(before, after) > 0.9


def test_every_image_has_a_permutation_of_its_own() -> None:
    same = Images(
        np.tile(np.arange(32, dtype=np.uint8).reshape(1, 2, 4, 4), (50, 1, 1, 1)), np.zeros(50, dtype=np.int64)
    )
    permuted = corrupt("random-pixels", same).pixels.reshape(50, -1)
    assert len(np.unique(permuted, axis=0)) == 50
    # Pixels leave their channel too.
    assert 0.4 < (permuted[:, :16] >= 16).mean() < 0.6


@pytest.mark.parametrize("name", CHANGES_LABELS)
def test_what_a_check_does_not_name_stays(name: str, images: Images) -> None:
    corrupted = corrupt(name, images)
    assert np.array_equal(corrupted.labels, images.labels) is not CHANGES_LABELS[name]
    assert np.array_equal(corrupted.pixels, images.pixels) is not CHANGES_PIXELS[name]
    assert not corrupted.in_file_order


def test_all_images_have_one_permutation(images: Images) -> None:
    before = images.pixels.reshape(len(images), -1)
    after = corrupt("one-permutation", images).pixels.reshape(len(images), -1)
    places = [{int(place) for place in np.flatnonzero((before == column[:, None]).all(axis=0))} for column in after.T]
    assert [len(found) for found in places] == [1] * 32
    assert set.union(*places) == set(range(32))


def test_blank_images_are_all_one_value(images: Images) -> None:
    assert len(np.unique(corrupt("blank-data", images).pixels)) == 1


def test_noise_is_as_bright_and_rich_in_contrast_as_the_images() -> None:
    rng = np.random.default_rng(5)
    # Two channels of other mean and deviation, far from where values are clipped.
    pixels = np.stack([rng.normal(90, 8, (500, 4, 4)), rng.normal(160, 20, (500, 4, 4))], axis=1).astype(np.uint8)
    true = Images(pixels, np.zeros(500, dtype=np.int64))
    noise = corrupt("noise-data", true).pixels.astype(float)
    for channel in range(2):
        before, after = pixels[:, channel].astype(float), noise[:, channel]
        # Of 8,000 values the mean has a deviation of s / 89, and the deviation one of s / 126.
        assert abs(after.mean() - before.mean()) < 5 * before.std() / 89
        assert abs(after.std() - before.std()) < 5 * before.std() / 126 + 0.1
        assert abs(np.corrcoef(before.flatten(), after.flatten())[0, 1]) < 5 / 89


def selected(name: str, images: Images, seed: int = 0) -> Images:
    """Return what a check selects of images that carry their number."""
    return corrupt(name, Images(numbered(len(images)), images.labels), seed)


def numbered(count: int) -> NDArray[np.uint8]:
    pixels = np.zeros((count, 1, 1, 2), dtype=np.uint8)
    pixels[:, 0, 0, 0], pixels[:, 0, 0, 1] = np.arange(count) // 256, np.arange(count) % 256
    return pixels


def numbers(images: Images) -> list[int]:
    high, low = images.pixels[:, 0, 0].astype(int).T
    return cast(list[int], (256 * high + low).tolist())


@pytest.mark.parametrize("name", SELECTIONS)
def test_a_selection_takes_some_images_once_with_their_labels_and_in_their_order(name: str, images: Images) -> None:
    chosen = selected(name, images)
    places = numbers(chosen)
    assert places == sorted(set(places))
    assert 0 < len(places) < len(images)
    assert np.array_equal(chosen.labels, images.labels[places])


def test_half_of_the_data_is_the_first_half_in_file_order(images: Images) -> None:
    half = selected("half-data", images)
    assert numbers(half) == list(range(200))
    assert half.in_file_order
    assert numbers(selected("half-data", Images(images.pixels[:5], images.labels[:5]))) == [0, 1]


def test_part_of_the_data_is_a_random_half_of_every_class_to_be_shuffled(images: Images) -> None:
    first, other = (selected("part-of-data", images, seed) for seed in (0, 1))
    assert np.bincount(first.labels).tolist() == [50] * CLASSES
    assert numbers(first) != numbers(other)
    assert not first.in_file_order


def test_a_single_class_is_all_of_one_class_another_for_another_seed(images: Images) -> None:
    found = set()
    for seed in range(20):
        chosen = selected("single-class", images, seed)
        (label,) = set(chosen.labels.tolist())
        found.add(label)
        assert numbers(chosen) == list(range(label, 400, CLASSES))
    assert found == set(range(CLASSES))


@pytest.mark.parametrize("share", [0.0, 0.25, 0.75, 1.0])
def test_a_share_of_the_labels_is_drawn_anew(share: float) -> None:
    labels = np.arange(4000, dtype=np.int64) % CLASSES
    true = Images(np.zeros((4000, 1, 1, 1), dtype=np.uint8), labels)
    check = find_check(f"random-labels@{share}").parts[0]
    after = check.function(true, CLASSES, torch.Generator().manual_seed(0)).labels
    expected = share * (1 - 1 / CLASSES)  # a fourth of those drawn are the true ones
    deviation = (expected * (1 - expected) / 4000) ** 0.5
    assert abs(share_changed(labels, after) - expected) <= 5 * deviation
