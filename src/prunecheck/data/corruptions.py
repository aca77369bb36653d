"""Ways to take the information out of a training set (arXiv:2009.11094, section 3.1, and more).

Each is a function ``(images, num_classes, generator) -> Images`` that leaves its argument as it was.
Those that *select* return some of the images unchanged: :func:`half_data`, :func:`part_of_data` and
:func:`single_class`. The others return as many images as they are given and change the pixels or the
labels of each. All can be applied one after another.

Large sets are worked on piece by piece, so that beside the result no more than some 100 MB are needed.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy
import torch
from numpy.typing import NDArray

from prunecheck.data.datasets import Images
from prunecheck.errors import InputError

VALUES_AT_A_TIME = 2**22
"""Pixel values that are worked on together; some take eight bytes each meanwhile."""

BLANK = 255
"""White: as far from the mean as no real image is, so that it is not an input of zeros."""


def random_labels(images: Images, num_classes: int, generator: torch.Generator, *, share: float = 1.0) -> Images:
    """Draw labels anew, uniformly over the classes, whatever the image shows.

    An image's new label may be its true one, as in the published code: of ten classes a tenth of
    the labels drawn are.

    Args:
        images: the images to label.
        num_classes: how many labels there are.
        generator: of the draws. From one state, labels drawn anew at a share are the same labels of
            the same images at every larger share.
        share: the probability, in [0, 1], with which each image is given a new label.

    Raises:
        InputError: ``share`` is not in [0, 1].
    """
    require_share("random labels", share)
    drawn_anew = torch.rand(len(images), generator=generator, dtype=torch.float64).numpy() < share
    labels = torch.randint(num_classes, (len(images),), generator=generator).numpy()
    return replace(images, labels=numpy.where(drawn_anew, labels, images.labels))


def random_pixels(images: Images, num_classes: int, generator: torch.Generator) -> Images:
    """Permute the pixels of every image, over all channels and positions, each by its own permutation.

    What stays of an image is which values it has, and how often.
    """
    shuffled = numpy.empty_like(images.pixels, subok=False)
    for start, piece in _pieces(images.pixels):
        flat = piece.reshape(len(piece), -1)
        if flat.dtype != numpy.uint8:
            order = torch.randint(2**63 - 1, flat.shape, generator=generator).numpy().argsort(axis=1)
            shuffled[start : start + len(piece)] = numpy.take_along_axis(flat, order, axis=1).reshape(piece.shape)
            continue
        # Sorted by 55 random bits that carry the pixel along in the 8 below: six times as fast as argsort and gather.
        keys = torch.randint(2**55, flat.shape, generator=generator).numpy()
        keys <<= 8
        keys |= flat
        keys.sort(axis=1)
        shuffled[start : start + len(piece)] = keys.astype(numpy.uint8).reshape(piece.shape)
    return replace(images, pixels=shuffled)


def one_permutation(images: Images, num_classes: int, generator: torch.Generator) -> Images:
    """Permute the pixels of all images, over all channels and positions, by one and the same permutation.

    What tells one class from another stays, elsewhere; which pixels are neighbours does not.
    """
    _, *shape = images.pixels.shape
    order = torch.randperm(int(numpy.prod(shape)), generator=generator).numpy()
    permuted = numpy.take(numpy.asarray(images.pixels).reshape(len(images), -1), order, axis=1)
    return replace(images, pixels=permuted.reshape(images.pixels.shape))


def blank_images(images: Images, num_classes: int, generator: torch.Generator) -> Images:
    """Return white images: one value everywhere, the same for all images and all data sets of uint8.

    Of floats it is the largest that each channel has over the images given.

    White rather than the mean grey, which normalisation turns to nothing but zeros: whatever is
    multiplied by the input would be scored 0 then, and a network without batch norm collapse.
    """
    white = BLANK if images.pixels.dtype == numpy.uint8 else images.pixels.max(axis=(0, 2, 3), keepdims=True)
    return replace(images, pixels=numpy.full_like(images.pixels, white, subok=False))


def noise_images(images: Images, num_classes: int, generator: torch.Generator) -> Images:
    """Return Gaussian noise with the mean and the deviation that each channel has over the images given.

    Of uint8 it is rounded, and clipped to [0, 255]; where many values are clipped, as with images in black and
    white, the deviation of what is returned is smaller.
    """
    mean, deviation = _channel_statistics(images.pixels)
    noise = numpy.empty_like(images.pixels, subok=False)
    for start, piece in _pieces(images.pixels):
        values = torch.randn(piece.shape, generator=generator).numpy()
        values *= deviation.astype(numpy.float32)[:, None, None]
        values += mean.astype(numpy.float32)[:, None, None]
        if noise.dtype == numpy.uint8:
            values.round(out=values).clip(0, 255, out=values)
        noise[start : start + len(piece)] = values
    return replace(images, pixels=noise)


def half_data(images: Images, num_classes: int, generator: torch.Generator) -> Images:
    """Select the first half of the images, N // 2, to be gone through in file order.

    As in the published code, whose half is the first 390 batches of 64 of the unshuffled CIFAR-10:
    24,960 images, where this gives 25,000.

    Raises:
        InputError: there are fewer than two images.
    """
    count = len(images) // 2
    _require_images("half of the data", count)
    return replace(images, pixels=images.pixels[:count], labels=images.labels[:count], in_file_order=True)


def part_of_data(images: Images, num_classes: int, generator: torch.Generator, *, share: float = 0.5) -> Images:
    """Select a random share of the images of every class, and leave them in their order.

    Args:
        images: the images to select from.
        num_classes: not used.
        generator: of the choice. From one state, what is selected at a share is selected at every
            larger share too.
        share: how much to select, in (0, 1]: ``round(share * N)`` images, and the same share of each
            class as far as whole numbers allow.

    Raises:
        InputError: ``share`` is not in [0, 1], or selects no image.
    """
    require_share("part of the data", share)
    count = round(share * len(images))
    _require_images("part of the data", count)
    return images[numpy.sort(_stratified_order(images.labels, generator)[:count])]


def single_class(images: Images, num_classes: int, generator: torch.Generator) -> Images:
    """Select all images of one class, drawn from those that have any.

    Raises:
        InputError: there are no images.
    """
    _require_images("a single class", len(images))
    present = numpy.unique(images.labels)
    label = present[int(torch.randint(len(present), (), generator=generator))]
    return images[numpy.flatnonzero(images.labels == label)]


def require_share(what: str, share: float) -> float:
    """Return ``share``; raise :class:`InputError`, which says of what, unless it is in [0, 1]."""
    if not 0 <= share <= 1:
        raise InputError(f"the share of {what} must be in [0, 1], and {share:g} is not: give a number from 0 to 1.")
    return share


def _require_images(what: str, count: int) -> None:
    if count < 1:
        raise InputError(f"{what} has no images here: use a larger share, or more training images.")


def _stratified_order(labels: NDArray[numpy.int64], generator: torch.Generator) -> NDArray[numpy.int64]:
    """Return all indices in a random order, of which every beginning holds the same share of each class."""
    order = torch.randperm(len(labels), generator=generator).numpy()
    done = numpy.empty(len(labels))
    for label in numpy.unique(labels):
        places = numpy.flatnonzero(labels[order] == label)
        done[places] = (numpy.arange(len(places)) + 0.5) / len(places)
    return order[numpy.argsort(done, kind="stable")]


def _channel_statistics(pixels: NDArray[Any]) -> tuple[NDArray[numpy.float64], NDArray[numpy.float64]]:
    """Return the mean and the deviation of each channel, in units of a pixel value."""
    count, channels, height, width = pixels.shape
    total, squares = numpy.zeros(channels), numpy.zeros(channels)
    for _, piece in _pieces(pixels):
        values = piece.astype(numpy.float64)
        total += values.sum(axis=(0, 2, 3))
        squares += numpy.square(values, out=values).sum(axis=(0, 2, 3))
    mean = total / (count * height * width)
    return mean, numpy.sqrt(numpy.maximum(squares / (count * height * width) - mean**2, 0))


def _pieces(pixels: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield where each piece starts, and the piece."""
    size = max(1, VALUES_AT_A_TIME // int(numpy.prod(pixels.shape[1:])))
    for start in range(0, len(pixels), size):
        yield start, pixels[start : start + size]
