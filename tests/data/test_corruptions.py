import itertools

import numpy
import pytest
import torch
from scipy.stats import chi2_contingency, chisquare

from prunecheck.data import Images, random_labels, random_pixels


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images() -> Images:
    """Return 20,000 images of 2x2 pixels in ten classes of very different sizes."""
    source = numpy.random.default_rng(0)
    labels = numpy.minimum(source.geometric(0.4, size=20_000) - 1, 9)
    return Images(source.integers(0, 256, (20_000, 1, 2, 2), dtype=numpy.uint8), labels.astype(numpy.int64))


def distinct(count: int, *shape: int) -> Images:
    """Return images whose pixels are all different: 0, 1, 2, ... in order of channel, row and column."""
    size = int(numpy.prod(shape))
    pixels = numpy.tile(numpy.arange(size, dtype=numpy.uint8), (count, 1)).reshape(count, *shape)
    return Images(pixels, numpy.arange(count, dtype=numpy.int64))


def test_random_labels_are_uniform_over_the_classes_though_the_old_were_not(images: Images) -> None:
    new = random_labels(images, 10, draws()).labels
    assert new.dtype == numpy.int64
    counts = numpy.bincount(new, minlength=10)
    assert len(counts) == 10
    assert chisquare(counts).pvalue > 1e-3


def test_random_labels_tell_nothing_of_the_old_ones(images: Images) -> None:
    new = random_labels(images, 10, draws()).labels
    together = numpy.zeros((10, 10))
    numpy.add.at(together, (images.labels, new), 1)
    assert chi2_contingency(together[:6]).pvalue > 1e-3  # the classes with enough images for the test
    others = Images(images.pixels, 9 - images.labels)
    assert numpy.array_equal(random_labels(others, 10, draws()).labels, new)


def test_random_labels_follow_the_generator(images: Images) -> None:
    first, again, other = (random_labels(images, 10, draws(seed)).labels for seed in (1, 1, 2))
    assert numpy.array_equal(first, again)
    assert not numpy.array_equal(first, other)


def test_random_labels_leave_pixels_and_argument_as_they_were(images: Images) -> None:
    pixels, labels = images.pixels.copy(), images.labels.copy()
    corrupted = random_labels(images, 10, draws())
    assert numpy.array_equal(corrupted.pixels, pixels)
    assert numpy.array_equal(images.pixels, pixels)
    assert numpy.array_equal(images.labels, labels)


def test_random_pixels_keep_the_values_of_every_image_but_not_their_order() -> None:
    source = numpy.random.default_rng(3)
    images = Images(source.integers(0, 256, (50, 3, 5, 4), dtype=numpy.uint8), numpy.zeros(50, dtype=numpy.int64))
    shuffled = random_pixels(images, 10, draws()).pixels
    assert shuffled.shape == images.pixels.shape
    assert shuffled.dtype == numpy.uint8
    assert numpy.array_equal(numpy.sort(shuffled.reshape(50, -1)), numpy.sort(images.pixels.reshape(50, -1)))
    assert all((new != old).any() for new, old in zip(shuffled, images.pixels, strict=True))


def test_random_pixels_permute_each_image_differently_and_across_channels() -> None:
    shuffled = random_pixels(distinct(200, 3, 4, 4), 10, draws()).pixels
    assert len({image.tobytes() for image in shuffled}) == 200
    first_channel = shuffled[:, 0]
    assert {int(value) // 16 for value in numpy.unique(first_channel)} == {0, 1, 2}


def test_random_pixels_draw_every_permutation_equally_often() -> None:
    shuffled = random_pixels(distinct(36_000, 2, 1, 3), 10, draws()).pixels.reshape(-1, 6).astype(numpy.int64)
    codes = shuffled @ 6 ** numpy.arange(6)
    possible = sorted(sum(value * 6**place for place, value in enumerate(p)) for p in itertools.permutations(range(6)))
    values, counts = numpy.unique(codes, return_counts=True)
    assert values.tolist() == possible
    assert chisquare(counts).pvalue > 1e-3


def test_random_pixels_follow_the_generator() -> None:
    images = distinct(5, 1, 4, 4)
    first, again, other = (random_pixels(images, 10, draws(seed)).pixels for seed in (1, 1, 2))
    assert numpy.array_equal(first, again)
    assert not numpy.array_equal(first, other)


def test_random_pixels_leave_labels_and_argument_as_they_were(images: Images) -> None:
    pixels, labels = images.pixels.copy(), images.labels.copy()
    corrupted = random_pixels(images, 10, draws())
    assert numpy.array_equal(corrupted.labels, labels)
    assert numpy.array_equal(images.labels, labels)
    assert numpy.array_equal(images.pixels, pixels)
    corrupted.pixels[:] = 0
    assert numpy.array_equal(images.pixels, pixels)
