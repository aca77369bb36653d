from typing import cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from prunecheck.checks import CHECKS
from prunecheck.data import Images

CLASSES = 4
DATA_CHECKS = [entry.name for entry in CHECKS if entry.item.changes == "data"]
CHANGES_LABELS = {"corrupted-data": True, "random-labels": True, "random-pixels": False}
CHANGES_PIXELS = {"corrupted-data": True, "random-labels": False, "random-pixels": True}


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


@pytest.mark.parametrize("name", DATA_CHECKS)
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


@pytest.mark.parametrize("name", [name for name, changes in CHANGES_PIXELS.items() if changes])
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
