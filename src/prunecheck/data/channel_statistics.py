"""The mean and the standard deviation of each channel of images."""

from collections.abc import Iterator
from typing import Any

import numpy
from numpy.typing import NDArray

CHUNK = 1 << 23
"""Values counted at a time."""

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Means and standard deviations, by channel."""


def mean_and_deviation(pixels: NDArray[Any]) -> Statistics:
    """Return the mean and the standard deviation of each channel: of uint8 scaled to [0, 1], of floats as they are.

    Of uint8 they are computed from counts of the 256 shades, so that nothing is rounded on the way; of floats in
    float64, around the mean. A channel of one value has the deviation 1, by which it can be divided.

    Args:
        pixels: uint8 or float32, (N, channels, height, width).
    """
    return _of_shades(pixels) if pixels.dtype == numpy.uint8 else _of_floats(pixels)


def _of_shades(pixels: NDArray[Any]) -> Statistics:
    channels = pixels.shape[1]
    counts = numpy.zeros((channels, 256))
    for piece in _pieces(pixels):
        for channel in range(channels):
            counts[channel] += numpy.bincount(piece[:, channel].ravel(), minlength=256)
    shades = numpy.arange(256) / 255
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ shades
    variance = (shares * (shades - mean[:, None]) ** 2).sum(axis=1)
    return _statistics(mean, variance, (counts > 0).sum(axis=1) == 1)


def _of_floats(pixels: NDArray[Any]) -> Statistics:
    channels = pixels.shape[1]
    count = pixels.size // channels
    axes = (0, 2, 3)
    lowest = numpy.min([piece.min(axis=axes) for piece in _pieces(pixels)], axis=0)
    highest = numpy.max([piece.max(axis=axes) for piece in _pieces(pixels)], axis=0)
    total = sum((piece.sum(axis=axes, dtype=numpy.float64) for piece in _pieces(pixels)), numpy.zeros(channels))
    mean = total / count
    squares = numpy.zeros(channels)
    for piece in _pieces(pixels):
        squares += numpy.square(piece - mean[:, None, None]).sum(axis=axes)
    return _statistics(mean, squares / count, lowest == highest)


def _statistics(mean: NDArray[Any], variance: NDArray[Any], is_flat: NDArray[numpy.bool_]) -> Statistics:
    deviation = numpy.where(is_flat, 1, numpy.sqrt(variance))
    return tuple(map(float, mean)), tuple(map(float, deviation))


def _pieces(pixels: NDArray[Any]) -> Iterator[NDArray[Any]]:
    step = max(1, CHUNK // max(1, pixels[0].size))
    for start in range(0, len(pixels), step):
        yield pixels[start : start + step]
