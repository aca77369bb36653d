import itertools
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, chi2_contingency, chisquare

from prunecheck.data import Images, corruptions
from prunecheck.data.corruptions import (
    blank_images,
    one_permutation,
    random_labels,
    random_pixels,
)
from prunecheck.errors import InputError

Corruption = Callable[[Images, int, torch.Generator], Images]

CHANGING: list[Corruption] = [
    random_labels,
    random_pixels,
    one_permutation,
    blank_images,
    corruptions.noise_images,
]
SELECTING: list[Corruption] = [corruptions.half_data, corruptions.part_of_data, corruptions.single_class]
WITHOUT_DRAWS: list[Corruption] = [blank_images, corruptions.half_data]


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images() -> Images:
    """Return 20,000 images of 2x2 pixels in ten classes of very different sizes."""
    source = numpy.random.default_rng(0)
    labels = numpy.minimum(source.geometric(0.4, size=20_000) - 1, 9)
    return Images(source.integers(0, 256, (20_000, 1, 2, 2), dtype=numpy.uint8), labels.astype(numpy.int64))


def distinct(count: int, *shape: int, num_classes: int | None = None) -> Images:
    """Return images whose pixels are all different: 0, 1, 2, ... in order of channel, row and column."""
    size = int(numpy.prod(shape))
    pixels = numpy.tile(numpy.arange(size, dtype=numpy.uint8), (count, 1)).reshape(count, *shape)
    return Images(pixels, numpy.arange(count, dtype=numpy.int64) % (num_classes or count))


def textured(count: int, *shape: int, num_classes: int = 4) -> Images:
    """Return random images, whose labels go round the classes."""
    source = numpy.random.default_rng(count)
    return Images(source.integers(0, 256, (count, *shape), dtype=numpy.uint8), numpy.arange(count) % num_classes)


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


@settings(max_examples=20, deadline=None)
@given(low=st.floats(0, 1), high=st.floats(0, 1), seed=st.integers(0, 2**62))
def test_labels_drawn_anew_at_a_share_are_drawn_alike_at_every_larger_share(low: float, high: float, seed: int) -> None:
    low, high = min(low, high), max(low, high)
    images = distinct(200, 1, 2, 2, num_classes=10)
    some, more, all_new = (random_labels(images, 10, draws(seed), share=share).labels for share in (low, high, 1.0))
    changed = some != images.labels
    assert numpy.array_equal(more[changed], some[changed])
    changed = more != images.labels
    assert numpy.array_equal(all_new[changed], more[changed])


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_the_share_of_labels_is_drawn_anew_and_a_tenth_of_them_hit_the_true_one(images: Images, share: float) -> None:
    new = random_labels(images, 10, draws(), share=share).labels
    changed = int((new != images.labels).sum())
    assert binomtest(changed, len(images), share * 9 / 10).pvalue > 1e-3


def test_no_share_of_labels_changes_none(images: Images) -> None:
    assert numpy.array_equal(random_labels(images, 10, draws(), share=0.0).labels, images.labels)


@pytest.mark.parametrize("share", [-0.01, 1.01, float("nan"), float("inf")])
@pytest.mark.parametrize("corruption", [random_labels, corruptions.part_of_data])
def test_a_share_out_of_range_is_refused(corruption: Callable[..., Images], share: float) -> None:
    with pytest.raises(InputError, match=rf"the share of .* must be in \[0, 1\], and {share:g} is not"):
        corruption(distinct(20, 1, 2, 2), 10, draws(), share=share)


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


def test_random_pixels_do_not_depend_on_how_many_images_are_worked_on_together(monkeypatch: pytest.MonkeyPatch) -> None:
    images = textured(50, 3, 5, 4)
    together = random_pixels(images, 10, draws()).pixels
    monkeypatch.setattr(corruptions, "VALUES_AT_A_TIME", 7 * 60 + 1)
    assert numpy.array_equal(random_pixels(images, 10, draws()).pixels, together)
    assert numpy.array_equal(random_pixels(images[numpy.arange(20)], 10, draws()).pixels, together[:20])


def test_one_permutation_is_the_same_for_every_image_and_goes_across_channels() -> None:
    pixels = one_permutation(distinct(4, 3, 4, 4), 10, draws()).pixels
    order = pixels[0].reshape(-1)
    assert sorted(order) == list(range(48))
    assert {int(value) // 16 for value in order[:16]} == {0, 1, 2}
    images = textured(4, 3, 4, 4)
    expected = [[int(image.reshape(-1)[place]) for place in order] for image in images.pixels]
    assert one_permutation(images, 10, draws()).pixels.reshape(4, -1).tolist() == expected


def test_one_permutation_is_drawn_equally_often() -> None:
    generator = draws()
    seen = [tuple(one_permutation(distinct(1, 3, 1, 1), 10, generator).pixels.ravel().tolist()) for _ in range(1200)]
    counts = [seen.count(permutation) for permutation in itertools.permutations(range(3))]
    assert sum(counts) == 1200
    assert chisquare(counts).pvalue > 1e-3


def test_blank_images_are_all_alike_whatever_was_given() -> None:
    blank = blank_images(textured(30, 3, 5, 4), 10, draws()).pixels
    other = blank_images(distinct(30, 3, 5, 4), 10, draws(1)).pixels
    assert len(numpy.unique(blank)) == 1
    assert numpy.array_equal(blank, other)


@pytest.mark.parametrize("corruption", CHANGING)
def test_changing_corruptions_keep_number_shape_and_what_they_do_not_name(corruption: Corruption) -> None:
    images = textured(30, 3, 5, 4)
    corrupted = corruption(images, 4, draws())
    assert corrupted.pixels.shape == images.pixels.shape
    assert corrupted.pixels.dtype == numpy.uint8
    assert corrupted.labels.dtype == numpy.int64
    assert numpy.array_equal(corrupted.pixels, images.pixels) == (corruption is random_labels)
    assert numpy.array_equal(corrupted.labels, images.labels) == (corruption is not random_labels)


@pytest.mark.parametrize("corruption", CHANGING + SELECTING)
def test_a_memory_map_is_read_and_not_written_to(corruption: Corruption, tmp_path: Path) -> None:
    images = textured(30, 3, 5, 4)
    file = tmp_path / "pixels.npy"
    numpy.save(file, images.pixels)
    before = file.read_bytes()
    mapped = Images(numpy.load(file, mmap_mode="r"), images.labels)
    mapped.labels.setflags(write=False)
    from_map, from_memory = corruption(mapped, 4, draws()), corruption(images, 4, draws())
    assert numpy.array_equal(from_map.pixels, from_memory.pixels)
    assert numpy.array_equal(from_map.labels, from_memory.labels)
    assert file.read_bytes() == before


@pytest.mark.parametrize("corruption", [each for each in CHANGING + SELECTING if each not in WITHOUT_DRAWS])
def test_corruptions_follow_the_generator(corruption: Corruption) -> None:
    images = textured(40, 3, 5, 4)
    results = [corruption(images, 4, draws(seed)) for seed in (1, 1, 2, 3, 4)]
    first, again, *others = [(result.pixels.tobytes(), result.labels.tobytes()) for result in results]
    assert first == again
    assert any(other != first for other in others)


@pytest.mark.parametrize(("first", "second"), list(itertools.product(CHANGING + SELECTING, repeat=2)))
def test_corruptions_compose(first: Corruption, second: Corruption) -> None:
    images = textured(40, 3, 5, 4)
    before = images.pixels.tobytes(), images.labels.tobytes()
    once = first(images, 4, draws(1))
    between = once.pixels.tobytes(), once.labels.tobytes()
    twice = second(once, 4, draws(2))
    assert twice.pixels.shape == (len(twice.labels), 3, 5, 4)
    assert (len(twice) == len(once)) == (second in CHANGING or (first, second) == (corruptions.single_class,) * 2)
    assert twice.in_file_order == (corruptions.half_data in (first, second))
    assert (once.pixels.tobytes(), once.labels.tobytes()) == between
    assert (images.pixels.tobytes(), images.labels.tobytes()) == before
