"""Paired differences of known distributions, in points of accuracy, beside the bound that their mean lies at."""

import math
from collections.abc import Callable
from typing import Any

import numpy
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[numpy.floating[Any]]
Draw = Callable[[Generator, tuple[int, ...]], Array]

MARGIN = 2.0
"""Points of accuracy that make no practical difference."""


def lognormal(sigma: float) -> Draw:
    """Return draws whose mean is the margin, with the long tail above it."""
    return lambda draws, shape: MARGIN + numpy.exp(draws.normal(0, sigma, shape)) - math.exp(sigma**2 / 2)


def lognormal_turned(sigma: float) -> Draw:
    """Return draws whose mean is the margin, with the long tail below it."""
    return lambda draws, shape: 2 * MARGIN - lognormal(sigma)(draws, shape)


def one_seed_in(number: int) -> Draw:
    """Return draws of which one in so many is so large that their mean is the margin; the others lose nothing."""

    def draw(draws: Generator, shape: tuple[int, ...]) -> Array:
        befallen = draws.random(shape) < 1 / number
        return draws.normal(0, 0.7, shape) + numpy.where(befallen, MARGIN * number, 0.0)

    return draw


POPULATIONS: dict[str, Draw] = {
    "normal": lambda draws, shape: draws.normal(MARGIN, 1, shape),
    "t of 3 degrees": lambda draws, shape: MARGIN + draws.standard_t(3, shape),
    "lognormal 0.25": lognormal(0.25),
    "lognormal 0.5": lognormal(0.5),
    "lognormal 1": lognormal(1.0),
    "lognormal 1, turned": lognormal_turned(1.0),
    "1 seed in 20 loses": one_seed_in(20),
    "1 seed in 10 loses": one_seed_in(10),
    "1 seed in 5 loses": one_seed_in(5),
}
"""By name. Their mean is the margin, so that ``does not use it`` is wrong; the skewness of the lognormal ones is
0.78, 1.75 and 6.2."""


def harmless(deviation: float) -> Draw:
    """Return normal draws of a change that costs nothing, of which ``does not use it`` is right."""
    return lambda draws, shape: draws.normal(0, deviation, shape)


def heavy_tails(draws: Generator, shape: tuple[int, ...]) -> Array:
    """Draw from a symmetric distribution of a change that costs nothing: t of 3 degrees, times 0.7."""
    return 0.7 * draws.standard_t(3, shape)


def of_images(kind: str, images: int) -> Draw:
    """Return draws that are whole images of a test set, of which the mean lies at the margin.

    Args:
        kind: "binomial": both accuracies are, around 90 %; "few images": the change loses each image with the
            chance of the margin, and nothing else happens; "rounded": normal accuracies of a standard deviation of
            0.5 points, to the next image; "coin": an image more or less than the margin.
        images: of the test set.
    """
    image = 100 / images

    def draw(draws: Generator, shape: tuple[int, ...]) -> Array:
        if kind == "binomial":
            return image * (draws.binomial(images, 0.9, shape) - draws.binomial(images, 0.9 - MARGIN / 100, shape))
        if kind == "few images":
            return image * draws.binomial(images, MARGIN / 100, shape)
        if kind == "coin":
            return MARGIN + image * (2.0 * draws.integers(0, 2, shape) - 1)
        level = draws.uniform(0, image, (shape[0], *[1] * (len(shape) - 1)))
        own = level + draws.normal(0, 0.5, shape)
        changed = level - MARGIN + draws.normal(0, 0.5, shape)
        return image * (numpy.round(own / image) - numpy.round(changed / image))

    return draw


OF_IMAGES = ("binomial", "few images", "rounded", "coin")
