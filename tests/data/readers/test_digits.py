from collections import Counter

import numpy
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from prunecheck.data import Dataset, Images, load_dataset
from prunecheck.data.batches import Batches
from prunecheck.data.readers import digits

TRAIN_PER_CLASS = 64
IMAGES = 1797


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset("digits")


def labelled(images: Images) -> list[tuple[int, bytes]]:
    return [(int(label), pixels.tobytes()) for label, pixels in zip(images.labels, images.pixels, strict=True)]


def test_images_are_grey_uint8_and_labels_int64(dataset: Dataset) -> None:
    for part, count in ((dataset.train, 640), (dataset.test, IMAGES - 640)):
        assert part.pixels.shape == (count, 1, 8, 8)
        assert part.pixels.dtype == numpy.uint8
        assert part.labels.shape == (count,)
        assert part.labels.dtype == numpy.int64
        assert len(part) == count
    assert dataset.image_shape == (1, 8, 8)


def test_sixteen_shades_are_spread_over_the_whole_range_of_uint8(dataset: Dataset) -> None:
    shades = {int((255 * level + 8) // 16) for level in range(17)}
    assert set(numpy.unique(dataset.train.pixels).tolist()) == shades
    assert max(shades) == 255


def test_training_and_test_images_are_the_whole_original_each_image_in_one_of_them(dataset: Dataset) -> None:
    bunch = load_digits()
    original = Images(((255 * bunch.images + 8) // 16).astype(numpy.uint8)[:, None], bunch.target.astype(numpy.int64))
    assert len(original) == IMAGES
    assert Counter(labelled(dataset.train) + labelled(dataset.test)) == Counter(labelled(original))


def positions(images: Images, originals: Images) -> NDArray[numpy.int64]:
    where = {image: position for position, image in enumerate(labelled(originals))}
    assert len(where) == len(originals), "two images are alike, so that a position cannot be told from an image"
    return numpy.array([where[image] for image in labelled(images)])


def test_training_images_of_a_class_are_spread_evenly_over_the_file(dataset: Dataset) -> None:
    bunch = load_digits()
    original = Images(((255 * bunch.images + 8) // 16).astype(numpy.uint8)[:, None], bunch.target.astype(numpy.int64))
    chosen = positions(dataset.train, original)
    assert (numpy.diff(chosen) > 0).all(), "not in file order"
    for label in range(10):
        members = numpy.flatnonzero(original.labels == label)
        ranks = numpy.searchsorted(members, chosen[dataset.train.labels == label])
        assert len(ranks) == TRAIN_PER_CLASS
        assert (ranks[0], ranks[-1]) == (0, len(members) - 1)
        assert numpy.ptp(numpy.diff(ranks)) <= 1


def test_split_is_the_same_on_every_call_whatever_the_global_seeds(dataset: Dataset) -> None:
    state = numpy.random.get_state()
    try:
        for seed in (1, 2):
            numpy.random.seed(seed)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                again = digits.digits()
            assert numpy.array_equal(again.train.pixels, dataset.train.pixels)
            assert numpy.array_equal(again.test.labels, dataset.test.labels)
    finally:
        numpy.random.set_state(state)


def test_normalised_training_set_has_mean_0_and_deviation_1(dataset: Dataset) -> None:
    batches = Batches(dataset.train, dataset, batch_size=100)
    pixels = torch.cat([images for images, _ in batches.in_order()]).double()
    assert pixels.mean().item() == pytest.approx(0, abs=1e-6)
    assert pixels.std(correction=0).item() == pytest.approx(1, abs=1e-6)


def test_augmentation_does_not_mirror_digits(dataset: Dataset) -> None:
    assert not dataset.augmentation.flip
