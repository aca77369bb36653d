import numpy
import torch
from numpy.typing import NDArray
from scipy.stats import chisquare, norm, pearsonr

from prunecheck.data import Images
from prunecheck.data.corruptions import noise_images


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def two_channels(count: int) -> Images:
    """Return images whose first channel is 90 or 110 and whose second is 60 or 140, half of the time each."""
    source = numpy.random.default_rng(0)
    pixels = numpy.empty((count, 2, 8, 8), dtype=numpy.uint8)
    pixels[:, 0] = source.permutation(numpy.repeat([90, 110], count * 32)).reshape(count, 8, 8)
    pixels[:, 1] = source.permutation(numpy.repeat([60, 140], count * 32)).reshape(count, 8, 8)
    return Images(pixels, numpy.arange(count) % 10)


def goodness_of_fit(values: NDArray[numpy.uint8], mean: float, deviation: float) -> float:
    """Return the p value of values being Gaussian and rounded."""
    within = numpy.arange(round(mean - 2 * deviation), round(mean + 2 * deviation) + 1)
    below, above = norm.cdf(within[0] - 0.5, mean, deviation), norm.sf(within[-1] + 0.5, mean, deviation)
    each = norm.cdf(within + 0.5, mean, deviation) - norm.cdf(within - 0.5, mean, deviation)
    flat = values.ravel()
    observed = [(flat < within[0]).sum(), *((flat == value).sum() for value in within), (flat > within[-1]).sum()]
    return float(chisquare(observed, numpy.array([below, *each, above]) * flat.size).pvalue)


def test_noise_is_gaussian_with_the_mean_and_deviation_of_each_channel() -> None:
    noise = noise_images(two_channels(500), 10, draws()).pixels
    assert goodness_of_fit(noise[:, 0], mean=100, deviation=10) > 1e-3
    assert goodness_of_fit(noise[:, 1], mean=100, deviation=40) > 1e-3


def test_noise_at_one_place_tells_nothing_of_another() -> None:
    noise = noise_images(two_channels(500), 10, draws()).pixels.astype(float)
    for first, second in (
        (noise[:-1], noise[1:]),
        (noise[:, 0], noise[:, 1]),
        (noise[..., :-1], noise[..., 1:]),
        (noise[..., :-1, :], noise[..., 1:, :]),
    ):
        centred = (
            first - first.mean(axis=(0, -1, -2), keepdims=True),
            second - second.mean(axis=(0, -1, -2), keepdims=True),
        )
        assert pearsonr(centred[0].ravel(), centred[1].ravel()).pvalue > 1e-3


def test_noise_tells_nothing_of_the_images_but_mean_and_deviation() -> None:
    images = two_channels(40)
    turned = images.pixels[::-1, :, ::-1, ::-1]
    noise = noise_images(images, 10, draws()).pixels
    assert numpy.array_equal(noise_images(Images(turned, images.labels), 10, draws()).pixels, noise)


def test_bright_and_dark_values_are_clipped_and_do_not_wrap_round() -> None:
    source = numpy.random.default_rng(0)
    for low, high in ((200, 256), (0, 56)):
        images = Images(source.integers(low, high, (200, 1, 8, 8), dtype=numpy.uint8), numpy.zeros(200, dtype=int))
        noise = noise_images(images, 10, draws()).pixels
        assert noise.min() >= max(0, low - 100)
        assert noise.max() <= min(255, high + 100)
        assert (noise == (255 if low else 0)).mean() > 0.01  # a deviation of 16 leaves the range by 1.7 deviations


def test_images_of_one_value_stay_as_they_are() -> None:
    images = Images(numpy.full((3, 1, 4, 4), 77, dtype=numpy.uint8), numpy.arange(3))
    assert (noise_images(images, 10, draws()).pixels == 77).all()
